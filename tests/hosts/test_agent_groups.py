"""Where the agent may make groups of processes, nothing gets away from its job, and nothing of a group stays behind."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.clouds.local_groups import ROOTS, end_groups, remove_groups
from reconciler.model.job import JobState
from tests.hosts.machines import LocalMachine, alive, run

# It leaves its session, its folder, and all that its environment said.
FUGITIVE = (
    "env -i setsid /bin/sh -c 'cd /; echo $$ >{pid}; exec sleep 1000' & while [ ! -s {pid} ]; do sleep 0.05; done"
)

# The other shells have no groups in these tests, so that both ways of telling processes are tried: see conftest.
pytestmark = pytest.mark.parametrize("shell", ["bash"], indirect=True)


@pytest.fixture(autouse=True)
def may_make_groups() -> None:
    """Skip by name where there are none."""
    if not any((root / "cgroup.controllers").exists() and os.access(root / "cgroup.procs", os.W_OK) for root in ROOTS):
        pytest.skip("cgroups, version 2, that we may write to")


@pytest.fixture
def pid(tmp_path: Path, machine: LocalMachine) -> Iterator[Path]:
    yield tmp_path / "fugitive"
    end_groups(machine.name)
    remove_groups(machine.name)


def groups(machine: LocalMachine) -> list[str]:
    names = (path.name for root in ROOTS if root.is_dir() for path in root.iterdir())
    return [name for name in names if machine.name in name]


def test_what_gets_away_from_everything_else_is_ended_with_its_job(machine: LocalMachine, pid: Path) -> None:
    machine.start("a", FUGITIVE.format(pid=pid) + "; sleep 1000")
    machine.wait_for_file_at(pid)
    fugitive = int(pid.read_text())
    assert run(machine.host.kill("a")).state is JobState.KILLED
    assert not alive(fugitive)
    assert machine.wait_for("a").state is JobState.KILLED
    machine.wait_until(lambda: groups(machine) == [])


def test_a_job_is_over_only_when_its_group_is_empty(machine: LocalMachine, pid: Path) -> None:
    machine.start("a", FUGITIVE.format(pid=pid) + "; exit 3")
    over = machine.wait_for("a")
    assert (over.state, over.exit_code) == (JobState.EXITED, 3)
    assert not alive(int(pid.read_text()))
    assert groups(machine) == []


def test_the_time_limit_ends_the_whole_group(machine: LocalMachine, pid: Path) -> None:
    machine.start("a", FUGITIVE.format(pid=pid) + "; sleep 1000", limit=1.0)
    assert machine.wait_for("a").state is JobState.KILLED
    assert not alive(int(pid.read_text()))


def test_the_groups_of_a_machine_end_with_it(machine: LocalMachine, pid: Path) -> None:
    machine.start("a", FUGITIVE.format(pid=pid) + "; sleep 1000")
    machine.wait_for_file_at(pid)
    assert len(groups(machine)) == 1
    end_groups(machine.name)
    machine.wait_until(lambda: not alive(int(pid.read_text())))
    machine.wait_for("a")
    remove_groups(machine.name)
    assert groups(machine) == []
