"""The commands on a machine that is simply there: looked at, entered, and let go of, with a real server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.cli_rows import Invoke, Start
from tests.machines.sshd import SshMachine, machine, need_machines

pytestmark = pytest.mark.real

PATIENCE = 120.0  # seconds
POOL = """\
pool: cpu
cloud: {ssh: {machines: [%s], user: %s, key_path: %s}}
size: {machine: 1}
workload: {script: {command: sh run.sh, outputs: ["out/**"]}}
"""


@pytest.fixture
def there(here: Path) -> Iterator[SshMachine]:
    """A machine, which the deployment's pool names."""
    need_machines()
    with machine() as made:
        (here / "specs" / "cpu.yml").write_text(POOL % (made.where, made.user, made.key_path))
        yield made


@pytest.fixture
def claimed(invoke: Invoke, start: Start, here: Path, there: SshMachine) -> str:
    """The id of the machine, once it is ready and waits for work."""
    run = start("--until-settled")
    out, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, out + err
    (row,) = json.loads(invoke("instances", "--json").stdout)
    return str(row["id"])


def test_entered_looked_at_and_let_go_of(
    invoke: Invoke, start: Start, here: Path, there: SshMachine, claimed: str
) -> None:
    inside = start("ssh", claimed, "--", "cat", ".reconciler/owner")
    out, err = inside.communicate(timeout=PATIENCE)
    assert (inside.returncode, out.split()[0]) == (0, "tests"), err
    found = {each["check"]: each for each in json.loads(invoke("doctor", "--json").stdout)}
    assert found[f"machine {claimed}"]["result"] == "ok"
    assert "it answers, agent " in found[f"machine {claimed}"]["text"]
    (here / "tests.db").unlink()
    told = invoke("destroy", "--yes")
    assert told.exit_code == 0, told.output
    assert not (there.home / ".reconciler" / "owner").exists()
    assert not (here / "tests.db").exists()


def test_a_machine_that_cannot_be_reached_leaves_doubt(
    invoke: Invoke, here: Path, there: SshMachine, claimed: str
) -> None:
    there.stop()
    told = invoke("destroy", "--yes")
    assert told.exit_code == 1
    assert "could not be made sure of: ssh" in told.stderr
    found = {each["check"]: each for each in json.loads(invoke("doctor", "--json").stdout)}
    assert found[f"machine {claimed}"]["result"] == "problem"
    assert "it does not answer" in found[f"machine {claimed}"]["text"]
