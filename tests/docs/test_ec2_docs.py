"""docs/ec2.md is walked from an empty account on: AWS's commands, the pool, `reconcile doctor`.

AWS's own command is not a Python package that could stand beside boto3 here: each documented line is turned into the
call that it makes, by the same model of AWS that the command has, and made to the EC2 of tests.
"""

import json
import shlex
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from click.testing import CliRunner

from reconciler.cli import main
from reconciler.spec.loader import load_pool
from tests.clouds.cloud_cases import run
from tests.clouds.ec2_cases import cloud, options, request
from tests.docs.test_pages import fenced
from tests.ec2.control import KEYS, REGION, Ec2
from tests.machines.sshd import new_key

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "ec2.md"
# Options that AWS's command has for people → what they set.
HANDY = {"protocol": ("IpProtocol",), "port": ("FromPort", "ToPort"), "cidr": ("CidrIp",)}
NOT_SENT = {"query", "output"}  # they shape what is printed
INSTANCE = "i-0123456789abcdef0"  # as the page writes it


def console_lines() -> list[str]:
    return [line for block in fenced(PAGE, "console") for line in block.splitlines()]


class Aws:
    """What AWS's command does with a line, as far as the page goes."""

    def __init__(self, server: Ec2, home: Path) -> None:
        self.server = server
        self.home = home
        self.instance = ""

    def __call__(self, line: str) -> Any:
        """Make the call that the line makes. Options that the operation does not have fail the test."""
        _, service, command, *rest = shlex.split(line)
        if command == "wait":
            return self.wait(service, rest)
        operation, shape = self.operation(service, command)
        asked = self.asked(shape, rest)
        if operation == "RunInstances":  # the command's own default, and an image that the EC2 of tests has
            asked |= {"MinCount": 1, "MaxCount": 1, "ImageId": self.server.image("ubuntu")}
        with closing(self.server.client(service)) as client:
            answer = getattr(client, xform_name(operation))(**asked)
        if operation == "RunInstances":
            self.instance = answer["Instances"][0]["InstanceId"]
        return answer

    def wait(self, service: str, rest: list[str]) -> None:
        waiter, *rest = rest
        with closing(self.server.client(service)) as client:
            found = client.get_waiter(waiter.replace("-", "_"))
            _, shape = self.operation(service, xform_name(found.config.operation, "-"))
            found.wait(**self.asked(shape, rest))

    def operation(self, service: str, command: str) -> tuple[str, Any]:
        model = botocore.session.get_session().get_service_model(service)
        name = next(name for name in model.operation_names if xform_name(name, "-") == command)
        return name, model.operation_model(name).input_shape

    def asked(self, shape: Any, words: list[str]) -> dict[str, Any]:
        members = {xform_name(name, "-"): name for name in shape.members}
        found: dict[str, Any] = {}
        for option, value in options_of(words):
            if option in HANDY:
                number = int(value) if option == "port" else value
                found |= dict.fromkeys(HANDY[option], number)
            elif option not in NOT_SENT:
                name = members[option]
                found[name] = self.value(shape.members[name], value.replace(INSTANCE, self.instance or INSTANCE))
        return found

    def value(self, shape: Any, text: str) -> Any:
        if text.startswith(("file://", "fileb://")):
            scheme, _, path = text.partition("://")
            file = Path(path.replace("~", str(self.home), 1)) if path.startswith("~") else ROOT / path
            return file.read_bytes() if scheme == "fileb" else file.read_text()
        if shape.type_name != "list":
            return text
        if shape.member.type_name == "structure":  # the command's shorthand: Name=x,Values=y
            pairs = dict(part.split("=", 1) for part in text.split(","))
            return [{"Name": pairs["Name"], "Values": [pairs["Values"]]}]
        return [text]


def options_of(words: list[str]) -> Iterator[tuple[str, str]]:
    for option, value in zip(words[::2], words[1::2], strict=True):
        assert option.startswith("--")
        yield option.removeprefix("--"), value


def test_the_page_leads_from_an_empty_account_to_a_doctor_without_complaints(
    ec2: Ec2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, lines = tmp_path / ".ssh" / "ramp.pem", console_lines()
    key.parent.mkdir()
    assert any(line.startswith("ssh-keygen ") and line.endswith(" ~/.ssh/ramp.pem") for line in lines)
    made = new_key()
    key.write_bytes(made.export_private_key())
    key.chmod(0o600)
    key.with_name("ramp.pem.pub").write_bytes(made.export_public_key())
    aws = Aws(ec2, tmp_path)
    spoken = [line for line in lines if line.startswith("aws ") and not line.startswith("aws configure")]
    assert len(spoken) > 10
    for line in spoken:
        aws(line)
    assert [each["state"] for each in ec2.instances()] == ["terminated"]

    shutil.copytree(ROOT / "examples" / "ec2", tmp_path / "examples" / "ec2")
    (exported,) = (line for line in lines if line.startswith("export AWS_PROFILE"))
    given = dict(word.split("=", 1) for word in shlex.split(exported)[1:])
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": ec2.url, "HOME": str(tmp_path), **given}.items():
        if name != "AWS_PROFILE":  # the keys of tests lie in no file
            monkeypatch.setenv(name, value.replace("~", str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    (doctor,) = (line for line in lines if line.startswith("reconcile ") and line.endswith(" doctor"))
    told = CliRunner().invoke(main, [*shlex.split(doctor)[1:], "--json"], prog_name="reconcile")
    found = {each["check"]: (each["result"], each["text"]) for each in json.loads(told.stdout)}
    assert {each for each, (result, _) in found.items() if result == "problem"} == set(), found
    for what in ("credentials", "image", "key pair", "private key", "security group", "instance types", "quota"):
        assert found[f"pool iris: {what}"][0] == "ok", found
    assert told.exit_code == 0


def test_the_pool_on_the_page_is_a_good_one(tmp_path: Path) -> None:
    (block,) = fenced(PAGE, "yaml")
    name = block.partition("\n")[0].removeprefix("# pools/")
    (tmp_path / name).write_text(block)
    pool = load_pool(tmp_path / name)
    settings: Any = pool.cloud.settings
    assert (pool.pool, settings.region, settings.key_name, settings.security_group) == (
        "iris", REGION, "ramp", ("ramp",)
    )  # fmt: skip


def test_a_machine_is_found_where_the_page_says_it_is(ec2: Ec2) -> None:
    """The console's filter on the page is the tag that machines carry."""
    assert "`tag:reconciler:controller`" in PAGE.read_text()
    settings = options(ec2, image=ec2.image())
    with cloud(settings) as made:
        (one,) = run(made.launch(request(settings)))
    with closing(ec2.client()) as client:
        filters = [{"Name": "tag-key", "Values": ["reconciler:controller"]}]
        (found,) = client.describe_instances(Filters=filters)["Reservations"]
    assert [each["InstanceId"] for each in found["Instances"]] == [one.cloud_id]
