"""The settings of each kind of cloud and workload, and the registries that the loader looks kinds up in.

A new kind is one frozen class here and one line in a registry; the loader and the JSON Schema follow.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from attrs import field, frozen

from reconciler.spec.errors import Wrong, shown
from reconciler.spec.forms import Aside, Content, Form, Range


@frozen(kw_only=True)
class LocalCloud:
    """Machines are folders on this computer, with a home of their own. Types in `size` are free names."""

    folder: Annotated[Path | None, "where the machines lie; without it, `machines` in the state folder"] = None
    boot: Annotated[float, Form.DELAY, Aside(), "a new machine answers after this; for trying things out"] = 0.0
    capacity: Annotated[
        int | None, Range(0, 100_000), Aside(), "machines at most; more is refused for lack of capacity"
    ] = None
    delay: Annotated[float, Form.DELAY, Aside(), "every answer comes this much later; for trying things out"] = 0.0


@frozen(kw_only=True)
class Ec2Cloud:
    """Machines of Amazon EC2, in one region of one account. Types in `size` are instance types."""

    region: Annotated[str, "the AWS region, such as eu-west-1"]
    profile: Annotated[str | None, "a profile of ~/.aws; without it and without keys, boto3's own chain decides"] = None
    access_key_id: Annotated[str | None, Form.SECRET, Aside(), "${NAME}: the variable that holds it"] = None
    secret_access_key: Annotated[str | None, Form.SECRET, Aside(), "${NAME}: the variable that holds it"] = None
    session_token: Annotated[str | None, Form.SECRET, Aside(), "${NAME}: the variable that holds it"] = None
    endpoint_url: Annotated[str | None, Form.URL, "another service than AWS; without it, AWS_ENDPOINT_URL"] = None
    image: Annotated[str | None, "ami-…, or a name: the newest image whose name begins with it"] = None
    owners: Annotated[tuple[str, ...], Form.WORDS, "whose images a name may find: self, amazon, account ids"] = (
        "self",
    )
    key_name: Annotated[str | None, "the key pair, as EC2 calls it"] = None
    key_path: Annotated[Path | None, Aside(), "its private key on this computer; without it, those of ~/.ssh"] = None
    user: Annotated[str, "who logs in"] = "ubuntu"
    port: Annotated[int, Range(1, 65535), Aside(), "where sshd listens"] = 22
    address: Annotated[
        str, Form.ADDRESS, Aside(), "where machines answer: public (private for one that has none) or private"
    ] = "public"
    via: Annotated[str | None, Form.LOGIN, Aside(), "a bastion on the way: [user@]host[:port]"] = None
    known_hosts: Annotated[
        Path | None, Aside(), "host keys that you know; without it, the console's or the first seen"
    ] = None
    security_group: Annotated[tuple[str, ...], Form.WORDS, "security groups, by name or id"] = ()
    subnets: Annotated[tuple[str, ...], Form.WORDS, Aside(), "subnets, tried in turn"] = ()
    zones: Annotated[tuple[str, ...], Form.WORDS, Aside(), "availability zones, tried in turn"] = ()
    instance_profile: Annotated[str | None, "the machines' IAM instance profile, by name or ARN"] = None
    volume_size: Annotated[int | None, Range(1, 65536), "GiB of the root disk; without it, the image's"] = None
    volume_type: Annotated[str | None, "such as gp3; without it, the image's"] = None
    user_data: Annotated[Path | None, Content(), "a script or cloud-config for the first boot, beside our own"] = None
    tags: Annotated[
        Mapping[Annotated[str, Form.TAG], Annotated[str, Form.TAG_VALUE]], Aside(), "tags for machines and disks"
    ] = field(factory=dict)
    max_price: Annotated[float | None, Form.PRICE, Aside(), "spot: US dollars an hour at most"] = None
    launch_specification: Annotated[
        Path | None, Content(), "a JSON file of RunInstances' own keys; the keys here go over it"
    ] = None
    lease: Annotated[float, Form.DURATION, Aside(), "a machine that nobody cares for ends itself after this"] = 3600.0
    keep_results: Annotated[
        float, Form.DURATION, Aside(), "with results that nobody brought home it waits for so long first"
    ] = 86400.0
    prices: Annotated[
        Mapping[Annotated[str, Form.TYPE], Annotated[float, Form.PRICE]],
        Aside(),
        "instance type: US dollars an hour on demand; without it, AWS is asked",
    ] = field(factory=dict)
    metadata: Annotated[str, Form.URL, Aside(), "where a machine learns of its interruption"] = "http://169.254.169.254"


@frozen(kw_only=True)
class SshCloud:
    """Machines that are simply there, reached by ssh. Types in `size` are free names."""

    machines: Annotated[tuple[Annotated[str, Form.LOGIN], ...], Aside(), "which machines: [user@]host[:port] each"]
    user: Annotated[str | None, Aside(), "who logs in; without it, your own name here"] = None
    key_path: Annotated[Path | None, Aside(), "the private key on this computer; without it, those of ~/.ssh"] = None
    via: Annotated[str | None, Form.LOGIN, Aside(), "a bastion on the way: [user@]host[:port]"] = None
    known_hosts: Annotated[Path | None, Aside(), "host keys that you know; without it, the first seen"] = None


def one_environment(conda_env: str | None, venv: str | None, python: str | None) -> None:
    """At most one of them may be named, and conda's by a name that conda takes. Raises Wrong."""
    named = {"conda_env": conda_env, "venv": venv, "python": python}
    given = [key for key, value in named.items() if value is not None]
    if len(given) > 1:
        raise Wrong(f"{' and '.join(given)} name an environment each", "keep one of them")
    if conda_env is not None and (conda_env in (".", "..") or any(sign in conda_env for sign in "/:# ")):
        hint = "write the name that conda shows; for a folder, venv: or python:"
        raise Wrong(f"{shown(conda_env)} is not the name of a conda environment", hint)


@frozen(kw_only=True)
class Script:
    """A command, run in the submission's own folder."""

    command: Annotated[str, Form.COMMAND, "run in the submission's folder by /bin/sh"]
    outputs: Annotated[
        tuple[Annotated[str, Form.GLOB], ...], "files that come home, by pattern; ** crosses folders"
    ] = ()
    checkpoint: Annotated[
        str | None, Form.FOLDER, "a folder of the submission's; it comes home too, and goes along with the next attempt"
    ] = None
    conda_env: Annotated[str | None, "the conda environment it runs in, by name"] = None
    venv: Annotated[str | None, Form.MACHINE_PATH, "the virtual environment it runs in, on the machine"] = None
    python: Annotated[str | None, Form.MACHINE_PATH, "the interpreter it runs by, on the machine"] = None

    def __attrs_post_init__(self) -> None:
        """One environment at most. Raises Wrong."""
        one_environment(self.conda_env, self.venv, self.python)


@frozen(kw_only=True)
class Ramp:
    """A RAMP kit, into which each submission is put and trained."""

    kit: Annotated[str, Form.MACHINE_PATH, "the kit's folder on the machine"]
    memory_profiling: Annotated[bool, "record the peak memory of each training"] = False
    command: Annotated[str | None, Form.COMMAND, "instead of ramp-test"] = None
    data: Annotated[str | None, Form.MACHINE_PATH, "the data's folder on the machine; without it, the kit's"] = None
    conda_env: Annotated[str | None, "the conda environment it runs in, by name"] = None
    venv: Annotated[str | None, Form.MACHINE_PATH, "the virtual environment it runs in, on the machine"] = None
    python: Annotated[str | None, Form.MACHINE_PATH, "the interpreter it runs by, on the machine"] = None

    def __attrs_post_init__(self) -> None:
        """One environment at most. Raises Wrong."""
        one_environment(self.conda_env, self.venv, self.python)


CLOUDS: Mapping[str, type] = MappingProxyType({"local": LocalCloud, "ec2": Ec2Cloud, "ssh": SshCloud})
WORKLOADS: Mapping[str, type] = MappingProxyType({"script": Script, "ramp": Ramp})


@frozen(eq=False, kw_only=True)
class Kinds:
    """The clouds and workloads that a pool spec file may name: kind → its options class, frozen."""

    clouds: Mapping[str, type] = CLOUDS
    workloads: Mapping[str, type] = WORKLOADS


KINDS = Kinds()
