"""A machine of EC2 is reached by the settings that it was born with, and believed by the key that its console tells."""

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from reconciler.clouds.ec2 import Ec2Cloud
from reconciler.hosts.base import Host, UnreachableError
from reconciler.model.job import Watch
from reconciler.model.offer import Machine
from reconciler.spec.canonical import to_json
from reconciler.spec.options import Ec2Cloud as Options
from tests.clouds.cloud_cases import OWNER, run
from tests.clouds.ec2_cases import cloud, options, request
from tests.ec2.control import Ec2
from tests.machines.sshd import SshMachine, machine, need_machines, new_key

CONSOLE = "-----BEGIN SSH HOST KEY KEYS-----\n{} root@host\n-----END SSH HOST KEY KEYS-----\n"


async def asked(host: Host, call: str) -> Any:
    """One answer of a host, whose connection is closed afterwards."""
    try:
        return await getattr(host, call)()
    finally:
        await host.close()


def settled(server: Ec2, folder: Path) -> Options:
    need_machines()
    return options(server, image=server.image(), key_path=folder / "user_key", lease=7200.0)


def say(made: Ec2Cloud, bought: Machine, settings: Options, call: str = "report") -> Any:
    return run(asked(made.host(bought, to_json(settings)), call))


def test_a_machine_answers_under_the_key_of_its_console_and_no_other(ec2: Ec2, tmp_path: Path) -> None:
    settings = settled(ec2, tmp_path)
    with cloud(settings) as made:
        (bought,) = run(made.launch(request(settings)))
        with machine(bought.address, folder=tmp_path) as there:
            ec2.console(bought.cloud_id, CONSOLE.format(there.host_key))
            report = say(made, bought, settings)
            assert (report.boot_id, report.host_key) == (there.boot_id, there.host_key)
            say(made, bought, settings, "install")
            assert say(made, bought, settings).watch is not Watch.NONE
            ec2.console(bought.cloud_id, CONSOLE.format(public(new_key())))
            with pytest.raises(UnreachableError):
                say(made, bought, settings)
            pinned = evolve(bought, host_key=there.host_key)
            assert say(made, pinned, settings).boot_id == there.boot_id


def test_a_machine_that_somebody_else_bought_is_marked_and_not_watched(ec2: Ec2, tmp_path: Path) -> None:
    settings = settled(ec2, tmp_path)
    with cloud(settings) as made:
        (bought,) = run(made.launch(request(settings)))
        with machine(bought.address, folder=tmp_path) as there:
            adopted = evolve(bought, adopted=True)
            say(made, adopted, settings, "install")
            assert say(made, adopted, settings).watch is Watch.NONE
            assert f"{OWNER.controller} {OWNER.database_id}" in marks(there)


def marks(there: SshMachine) -> str:
    """What lies in the agent's folder."""
    files = (path for path in (there.home / ".reconciler").iterdir() if path.is_file())
    return "".join(path.read_text(errors="replace") for path in files)


def public(key: Any) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])
