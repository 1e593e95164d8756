"""What happens at the wrong moment: starts and kills that cross, supervisors that die, daemons, reboots, long polls."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from reconciler.hosts.local import local_host
from reconciler.hosts.upload import job_upload, tar_stream
from reconciler.hosts.wire import parse_report
from reconciler.model.job import Cause, Folder, Job, JobReport, JobState
from tests.hosts.machines import LocalMachine, alive, in_session, run


def _gate(machine: LocalMachine, job: str) -> list[str]:
    """The agent's own record of a job's processes: boot, main pid, its start, supervisor's pid, its start, times."""
    return (machine.jobs() / job / "pid").read_text().split()


def _kill_supervisor(machine: LocalMachine, job: str) -> None:
    pid = int(_gate(machine, job)[3])
    os.kill(pid, signal.SIGKILL)
    while alive(pid):
        time.sleep(0.01)


def test_of_many_starts_at_once_one_runs(machine: LocalMachine) -> None:
    job = Job(id="one", command="echo ran >> ~/ledger; sleep 0.2")

    async def race() -> list[JobReport]:
        return await asyncio.gather(*(machine.host.start(job, boot_id=machine.boot()) for _ in range(8)))

    assert {report.job for report in run(race())} == {"one"}
    assert machine.wait_for("one").exit_code == 0
    assert (machine.home / "ledger").read_text() == "ran\n"


def test_a_kill_before_the_start_wins(machine: LocalMachine) -> None:
    killed = run(machine.host.kill("early"))
    assert (killed.state, killed.cause) == (JobState.KILLED, Cause.REQUEST)
    assert machine.start("early", "echo ran > ~/ledger") == killed
    assert machine.report().jobs == {"early": killed}
    assert not (machine.home / "ledger").exists()


def test_kills_and_starts_that_cross_agree(machine: LocalMachine) -> None:
    """Whatever comes first: afterwards nothing runs, and what ran left no other trace than the report says."""

    async def cross(number: int) -> tuple[JobReport, JobReport]:
        job = Job(id=f"x{number}", command="sleep 1000")

        async def late_kill() -> JobReport:
            await asyncio.sleep(number * 0.004)
            return await machine.host.kill(job.id)

        started, killed = await asyncio.gather(machine.host.start(job, boot_id=machine.boot()), late_kill())
        return started, killed

    for number in range(8):
        started, killed = run(cross(number))
        assert started.job == killed.job
        assert (killed.state, killed.cause) == (JobState.KILLED, Cause.REQUEST)
    assert {job.state for job in machine.report().jobs.values()} == {JobState.KILLED}


@pytest.mark.parametrize(
    "daemon",
    [
        "setsid sleep 1000 &",
        "(setsid sh -c 'sleep 1000 & echo $! > ~/deep' &) &",
        "(trap '' TERM HUP; while :; do sleep 0.2; done) &",
        "env -i sleep 1000 &",
    ],
    ids=["setsid", "double fork", "ignores TERM", "without environment"],
)
def test_what_a_job_leaves_behind_ends_with_it(machine: LocalMachine, daemon: str) -> None:
    machine.start("parent", f"{daemon}\nsleep 0.2; exit 4")
    assert machine.wait_for("parent").exit_code == 4
    assert machine.processes("parent") == set()
    assert not in_session(int(_gate(machine, "parent")[1]))


def test_what_a_job_detached_is_killed_with_it(machine: LocalMachine) -> None:
    machine.start("parent", "setsid sleep 1000 & echo on > ~/began; sleep 1000")
    machine.wait_for_file("began")
    assert run(machine.host.kill("parent")).state is JobState.KILLED
    assert machine.processes("parent") == set()


def test_without_its_supervisor_a_job_is_running_then_gone(machine: LocalMachine) -> None:
    machine.start("orphan", "echo on > ~/began; until [ -e ~/go ]; do sleep 0.05; done")
    machine.wait_for_file("began")
    _kill_supervisor(machine, "orphan")
    assert machine.report().jobs["orphan"].state is JobState.RUNNING
    (machine.home / "go").touch()
    assert machine.wait_for("orphan").state is JobState.GONE
    assert machine.start("orphan", "echo again > ~/again").state is JobState.GONE
    assert not (machine.home / "again").exists()


def test_without_its_supervisor_a_job_keeps_its_time_limit(machine: LocalMachine) -> None:
    machine.start("orphan", "echo on > ~/began; sleep 1000", limit=1.0)
    machine.wait_for_file("began")
    gate = _gate(machine, "orphan")
    # Its guard too: then only the reports are left to see to it.
    for pid in in_session(int(gate[3])):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    report = machine.wait_for("orphan")
    assert (report.state, report.cause) == (JobState.KILLED, Cause.TIMEOUT)


def test_without_its_supervisor_a_job_can_be_killed(machine: LocalMachine) -> None:
    machine.start("orphan", "echo on > ~/began; setsid sleep 1000")
    machine.wait_for_file("began")
    _kill_supervisor(machine, "orphan")
    report = run(machine.host.kill("orphan"))
    assert (report.state, report.cause) == (JobState.KILLED, Cause.REQUEST)


def test_a_job_of_another_boot_is_gone(machine: LocalMachine) -> None:
    machine.start("before", "echo on > ~/began; sleep 1000")
    machine.wait_for_file("began")
    machine.boot_file.write_text("22222222-2222-3333-4444-555555555555\n")
    report = machine.report()
    assert report.boot_id == "22222222-2222-3333-4444-555555555555"
    assert report.jobs["before"].state is JobState.GONE


def test_a_start_cut_off_before_its_process_is_gone_after_a_while(machine: LocalMachine) -> None:
    folder = machine.jobs() / "cut"
    folder.mkdir(parents=True)
    assert machine.report().jobs["cut"].state is JobState.STARTING
    boot, at = (folder / "born").read_text().split()
    (folder / "born").write_text(f"{boot} {int(at) - 2900}\n")
    assert machine.start("cut", "echo ran > ~/ledger").state is JobState.STARTING
    (folder / "born").write_text(f"{boot} {int(at) - 3001}\n")
    assert machine.report().jobs["cut"].state is JobState.GONE
    machine.agent("supervise", "cut")  # a supervisor that comes too late
    assert machine.report().jobs["cut"].state is JobState.GONE
    assert not (machine.home / "ledger").exists()


def test_an_upload_that_is_cut_off_starts_nothing(machine: LocalMachine) -> None:
    async def whole() -> bytes:
        return b"".join([piece async for piece in tar_stream(job_upload(Job(id="cut", command="echo ran")).entries)])

    stream = run(whole())
    for end in (0, 512, 1024, 2560, 3072):
        outcome = machine.agent("start", machine.boot(), "cut", stdin=stream[:end], check=False)
        assert outcome.returncode == 4, end
    assert machine.report().jobs == {}
    assert list((machine.home / ".reconciler/uploads").iterdir()) == []


def test_a_torn_record_does_not_stop_the_report(machine: LocalMachine) -> None:
    machine.start("torn", "exit 0")
    machine.wait_for("torn")
    (machine.jobs() / "torn/exit").write_text("")
    machine.boot_file.write_text("33333333-2222-3333-4444-555555555555\n")
    assert machine.report().jobs["torn"].state is JobState.GONE


def test_every_waiter_wakes_when_a_job_ends(machine: LocalMachine) -> None:
    machine.start("slow", "echo on > ~/began; until [ -e ~/go ]; do sleep 0.02; done")
    machine.wait_for_file("began")

    async def poll() -> list[JobState]:
        mark = (await machine.host.report()).mark
        waiting = [asyncio.ensure_future(machine.host.report(wait=50, mark=mark)) for _ in range(3)]
        waiters = machine.home / ".reconciler/waiters"
        while not (waiters.exists() and len(list(waiters.iterdir())) == 3):
            await asyncio.sleep(0.01)
        (machine.home / "go").touch()
        return [(await report).jobs["slow"].state for report in waiting]

    assert run(poll()) == [JobState.EXITED] * 3
    assert list((machine.home / ".reconciler/waiters").iterdir()) == []


def test_no_wake_up_is_lost_however_the_end_falls(machine: LocalMachine) -> None:
    """Each job ends at another moment of the poll. A wake-up that came without news would show as a round more."""

    async def story() -> int:
        rounds = 0
        for number in range(25):
            job = Job(id=f"q{number}", command=f"sleep 0.{number:03}")
            await machine.host.start(job, boot_id=machine.boot())
            report = await machine.host.report()
            while not report.jobs[job.id].over:
                report = await machine.host.report(wait=50, mark=report.mark)
                rounds += 1
        return rounds

    # starting → running → exited: at most two answers each, and none that came without news.
    assert run(story()) <= 50


def test_a_waiter_that_was_cancelled_leaves_no_process(machine: LocalMachine) -> None:
    async def cancel() -> None:
        mark = (await machine.host.report()).mark
        waiting = asyncio.ensure_future(machine.host.report(wait=50, mark=mark))
        while not machine.processes():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting

    run(cancel())
    while machine.processes():
        time.sleep(0.01)
    # The FIFO that it left is cleared away by the next one that waits.
    assert run(machine.host.report(wait=1, mark=machine.report().mark)).jobs == {}
    assert list((machine.home / ".reconciler/waiters").iterdir()) == []


def test_jobs_survive_the_end_of_who_started_them(machine: LocalMachine, tmp_path: Path) -> None:
    machine.start("lasting", "echo on > ~/began; sleep 1000", runs_in=Folder.HOME)
    machine.wait_for_file("began")
    main = int(_gate(machine, "lasting")[1])
    assert os.getsid(main) == main
    assert os.getsid(main) != os.getsid(0)


def test_kill_all_ends_what_jobs_detached_and_nothing_else(machine: LocalMachine) -> None:
    machine.start(
        "a", "setsid sleep 1000 & env -i sleep 1000 & echo on > ~/began; trap '' TERM; while :; do sleep 1; done"
    )
    machine.wait_for_file("began")
    main = int(_gate(machine, "a")[1])
    others = {**machine.environment, "RECONCILER_MACHINE": f"{machine.name}x"}
    bystander = subprocess.Popen(["sleep", "1000"], env=others)
    try:
        run(machine.host.kill_all())
        assert machine.processes() == set()
        assert in_session(main) == []
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_kill_all_without_a_name_ends_nothing(machine: LocalMachine) -> None:
    outcome = machine.agent("kill-all", "", check=False)
    assert outcome.returncode == 2


def test_two_machines_with_a_job_of_one_name_do_not_meet(machine: LocalMachine, tmp_path: Path) -> None:
    other_home = tmp_path / "other"
    other_home.mkdir()
    other = local_host(other_home, f"{machine.name}-other")
    try:
        run(other.install())
        boot = run(other.report()).boot_id
        run(other.start(Job(id="same", command="sleep 1000"), boot_id=boot))
        machine.start("same", "sleep 1000")
        assert run(machine.host.kill("same")).state is JobState.KILLED
        assert not run(other.report()).jobs["same"].over
    finally:
        run(other.kill_all())


def test_a_report_over_many_jobs_starts_no_process(machine: LocalMachine) -> None:
    """It runs every pass on every machine, so it must need nothing but the shell: here there are no tools at all."""
    machine.start("now", "echo on > ~/began; sleep 1000")
    machine.wait_for_file("began")
    for number in range(50):
        folder = machine.jobs() / f"old{number}"
        folder.mkdir(parents=True)
        (folder / "exit").write_text(f"old{number} exited - 0 1 2 3\n")
    bare = {**machine.environment, "PATH": str(machine.home / "nowhere")}
    command = [shutil.which("sh", path=machine.environment["PATH"]), machine.home / ".reconciler/agent", "report"]
    outcome = subprocess.run(command, env=bare, capture_output=True, check=True)
    assert outcome.stderr == b""
    assert len(parse_report(outcome.stdout).jobs) == 51
