"""Whose machine it is: one owner at a time, and nothing of another owner's is touched."""

import asyncio
import time

import pytest

from reconciler.hosts.agent import AgentHost, agent_script
from reconciler.hosts.base import HostRefusedError
from reconciler.hosts.local import LocalTransport
from reconciler.model.job import Job, JobState
from tests.hosts.machines import LocalMachine, run
from tests.hosts.watched import claimed

OURS = "iris of database 'a b' $(id) \"c\""
THEIRS = "mushrooms of database 2"


def _claim(machine: LocalMachine) -> str:
    return (machine.home / ".reconciler/claim").read_text()


def test_a_machine_is_claimed_once_and_again_by_the_same(machine: LocalMachine) -> None:
    for _ in range(2):
        run(claimed(machine, OURS).install())
        assert _claim(machine) == f"{OURS}\n"
    with pytest.raises(HostRefusedError, match="in use by: iris of database"):
        run(claimed(machine, THEIRS).install())
    assert _claim(machine) == f"{OURS}\n"


def test_of_many_owners_at_once_one_gets_it(machine: LocalMachine) -> None:
    async def race() -> list[BaseException | None]:
        hosts = [claimed(machine, f"owner {number}") for number in range(6)]
        return await asyncio.gather(*(host.install() for host in hosts), return_exceptions=True)

    outcomes = run(race())
    assert outcomes.count(None) == 1
    assert _claim(machine) == f"owner {outcomes.index(None)}\n"
    assert {type(outcome) for outcome in outcomes} == {type(None), HostRefusedError}


def test_on_anothers_machine_not_even_the_agent_is_replaced(machine: LocalMachine) -> None:
    run(claimed(machine, THEIRS).install())
    agent = machine.home / ".reconciler/agent"
    agent.write_text(agent.read_text().replace("version='", "version='x", 1))
    before = agent.read_text()
    with pytest.raises(HostRefusedError, match="in use by"):
        run(claimed(machine, OURS).install())
    assert agent.read_text() == before
    assert [path.name for path in agent.parent.glob("agent*")] == ["agent"]


@pytest.mark.parametrize("words", ["two\nlines", "a\tb", "escape \033[0m"])
def test_a_claim_is_one_line(machine: LocalMachine, words: str) -> None:
    with pytest.raises(HostRefusedError, match="one line"):
        run(claimed(machine, words).install())
    assert not (machine.home / ".reconciler/claim").exists()


def test_a_claim_that_a_crash_tore_is_told_of(machine: LocalMachine) -> None:
    (machine.home / ".reconciler/claim").touch()
    with pytest.raises(HostRefusedError, match=r"delete .*/claim"):
        run(claimed(machine, OURS).install())


def test_releasing_ends_every_job_and_frees_the_machine(machine: LocalMachine) -> None:
    host = claimed(machine, OURS)
    run(host.install())
    for name in ("a", "b", "c"):
        machine.start(name, f"setsid sleep 1000 & echo on > ~/{name}; sleep 1000")
        machine.wait_for_file(name)
    machine.start("d", "exit 3")
    machine.wait_for("d")
    run(host.release())
    assert {pid for name in "abc" for pid in machine.processes(name)} == set()  # supervisors may still be on their way
    states = {name: job.state for name, job in machine.report().jobs.items()}
    assert states == {**dict.fromkeys("abc", JobState.KILLED), "d": JobState.EXITED}
    run(claimed(machine, THEIRS).install())
    run(host.release())
    assert _claim(machine) == f"{THEIRS}\n"


def test_nothing_is_released_that_is_anothers(machine: LocalMachine) -> None:
    run(claimed(machine, THEIRS).install())
    machine.start("theirs", "echo on > ~/began; sleep 1000")
    machine.wait_for_file("began")
    run(claimed(machine, OURS).release())
    assert machine.report().jobs["theirs"].state is JobState.RUNNING
    assert _claim(machine) == f"{THEIRS}\n"


def test_a_machine_without_a_claim_is_released_of_its_jobs(machine: LocalMachine) -> None:
    machine.start("a", "sleep 1000")
    run(machine.host.release())
    assert machine.report().jobs["a"].over
    run(machine.host.release())


def test_an_older_agent_is_no_reason_to_leave_jobs_behind(machine: LocalMachine) -> None:
    run(claimed(machine, OURS).install())
    machine.start("a", "sleep 1000")
    agent = machine.home / ".reconciler/agent"
    agent.write_text(agent.read_text().replace("version='", "version='x", 1).replace("release)", "unknown)"))
    run(claimed(machine, OURS).release())
    assert machine.report().jobs["a"].over
    assert machine.report().agent == f"x{agent_script()[0]}"
    assert not (machine.home / ".reconciler/claim").exists()


def test_a_bare_machine_stays_bare_when_it_is_released(machine: LocalMachine) -> None:
    bare = machine.home / "bare"
    bare.mkdir()
    transport = LocalTransport(bare, f"{machine.name}-bare")
    run(AgentHost(transport, claim=OURS).release())
    assert list(bare.iterdir()) == []


def test_a_job_that_will_not_end_keeps_the_mark(machine: LocalMachine) -> None:
    host = claimed(machine, OURS)
    run(host.install())
    run(host.start(Job(id="a", command="echo on > ~/began; sleep 1000"), boot_id=machine.boot()))
    machine.wait_for_file("began")
    # A kill that kills nothing: the supervisor alone then sees to the job.
    agent = machine.home / ".reconciler/agent"
    whole = agent.read_text()
    agent.write_text(whole.replace("cmd_kill() {", "cmd_kill() { return; :", 1))
    with pytest.raises(HostRefusedError, match="jobs will not end: a=running"):
        run(host.release())
    assert _claim(machine) == f"{OURS}\n"
    agent.write_text(whole)
    run(host.release())
    while machine.processes():
        time.sleep(0.01)
