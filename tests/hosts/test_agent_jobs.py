"""A job's life on one machine, under every shell: start, environment, time limit, kill, forget, log."""

import signal
from pathlib import Path

import pytest

from reconciler.hosts.base import HostRefusedError
from reconciler.hosts.local import KEPT
from reconciler.model.job import Cause, Folder, Job, JobState
from tests.hosts.machines import LocalMachine, run


def test_a_job_runs_in_its_folder_and_says_how_it_ended(machine: LocalMachine, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep/data.txt").write_text("forty-two\n")
    machine.start("a.1", "cat deep/data.txt; echo oops >&2; exit 3", folder=source)
    report = machine.wait_for("a.1")
    assert (report.state, report.exit_code, report.cause) == (JobState.EXITED, 3, None)
    assert report.started is not None
    assert report.ended is not None
    assert report.started <= report.ended
    assert run(_log(machine, "a.1")) == b"forty-two\noops\n"


def test_a_setup_job_runs_in_the_home(machine: LocalMachine) -> None:
    machine.start("setup", "pwd > where", runs_in=Folder.HOME)
    assert machine.wait_for("setup").exit_code == 0
    assert (machine.home / "where").read_text().strip() == str(machine.home)


NASTY = {
    "QUOTES": "a 'b' \"c\" \\d `id` $(id) ${HOME} *",
    "LINES": "\n one\n\ntwo \n\n",
    "EMPTY": "",
    "UNICODE": "žluťoučký kůň",
    "PPID": "a name that shells do not let go of",
    "IFS": "/",
    "dir": "a name that the agent uses itself",
}


def test_the_environment_arrives_as_it_is(machine: LocalMachine) -> None:
    machine.start("env", "exec env > seen", env=NASTY, runs_in=Folder.HOME)
    machine.start("raw", "cat /proc/self/environ > raw", env=NASTY, runs_in=Folder.HOME)
    assert machine.wait_for("env").exit_code == 0
    assert machine.wait_for("raw").exit_code == 0
    pairs = (machine.home / "raw").read_bytes().decode().rstrip("\0").split("\0")
    seen = dict(pair.split("=", 1) for pair in pairs)
    kept = {name: value for name, value in NASTY.items() if name not in ("PPID", "IFS")}  # /bin/sh makes its own
    assert {name: seen.get(name) for name in kept} == kept
    assert seen["RECONCILER_ATTEMPT"] == "raw"
    assert seen["RECONCILER_MACHINE"] == machine.name
    assert seen["HOME"] == str(machine.home)
    ours = {*KEPT, "HOME", "PWD", "OLDPWD", "_", "SHLVL", "IFS", "PPID"}
    assert {name for name in seen if not name.startswith("RECONCILER_")} <= ours | set(NASTY)
    assert "RECONCILER_BOOT_ID_FILE" not in seen


def test_the_second_start_of_a_job_does_nothing(machine: LocalMachine) -> None:
    for _ in range(3):
        machine.start("once", "echo ran >> ledger", runs_in=Folder.HOME)
        machine.wait_for("once")
    assert (machine.home / "ledger").read_text() == "ran\n"


def test_the_time_limit_ends_what_ignores_TERM(machine: LocalMachine) -> None:  # noqa: N802
    machine.start("limited", "sleep 1000 & sleep 1000", limit=0.3)
    report = machine.wait_for("limited")
    assert (report.state, report.cause, report.exit_code) == (JobState.KILLED, Cause.TIMEOUT, None)
    assert machine.processes("limited") == set()


def test_kill_ends_a_job_and_may_be_repeated(machine: LocalMachine) -> None:
    machine.start("a", "echo on > began; sleep 1000 & wait", runs_in=Folder.HOME)
    machine.wait_for_file("began")
    first = run(machine.host.kill("a"))
    assert (first.state, first.cause) == (JobState.KILLED, Cause.REQUEST)
    assert run(machine.host.kill("a")) == first
    assert machine.report().jobs["a"] == first


def test_kill_ends_what_ignores_TERM(machine: LocalMachine) -> None:  # noqa: N802
    machine.start("stubborn", "trap '' TERM; echo on > began; while :; do sleep 0.1; done", runs_in=Folder.HOME)
    machine.wait_for_file("began")
    assert run(machine.host.kill("stubborn")).state is JobState.KILLED


def test_a_job_that_exited_stays_exited_when_killed(machine: LocalMachine) -> None:
    machine.start("done", "exit 7")
    before = machine.wait_for("done")
    assert run(machine.host.kill("done")) == before


def test_a_job_ended_by_a_signal_has_the_code_that_a_shell_gives(machine: LocalMachine) -> None:
    machine.start("dead", "kill -9 $$")
    assert machine.wait_for("dead").exit_code == 128 + signal.SIGKILL


def test_forgetting_frees_the_disk_and_leaves_a_tombstone(machine: LocalMachine) -> None:
    machine.start("gone", "mkdir locked; echo big > locked/file; chmod 500 locked; echo ran >> ~/ledger")
    over = machine.wait_for("gone")
    for _ in range(2):
        run(machine.host.forget("gone"))
    assert not (machine.jobs() / "gone/work").exists()
    assert "gone" not in machine.report().jobs
    assert machine.start("gone", "echo ran >> ~/ledger") == over
    assert run(machine.host.kill("gone")) == over
    assert (machine.home / "ledger").read_text() == "ran\n"


def test_a_running_job_is_not_forgotten(machine: LocalMachine) -> None:
    machine.start("busy", "sleep 1000")
    with pytest.raises(HostRefusedError, match="not over"):
        run(machine.host.forget("busy"))


def test_another_boot_is_refused_and_leaves_nothing(machine: LocalMachine) -> None:
    job = Job(id="late", command="echo ran > ~/ledger")
    with pytest.raises(HostRefusedError, match="another boot"):
        run(machine.host.start(job, boot_id="11111111-2222-3333-4444-555555555555"))
    assert machine.report().jobs == {}


def test_a_log_is_followed_until_the_job_is_over(machine: LocalMachine) -> None:
    machine.start("talk", "echo one; until [ -e ~/go ]; do sleep 0.05; done; printf two")

    async def follow() -> bytes:
        said = b""
        async for piece in machine.host.log("talk", follow=True):
            said += piece
            if said == b"one\n":
                (machine.home / "go").touch()
        return said

    assert run(follow()) == b"one\ntwo"
    assert machine.agent("log", "talk", "--from", "4").stdout == b"two"


def test_peak_memory_counts_every_process(machine: LocalMachine) -> None:
    hold = "dd if=/dev/zero bs=30000000 count=1 2>/dev/null | (sleep 1.5; wc -c)"  # dd holds it until it is read
    machine.start("fat", hold)
    peak = machine.wait_for("fat").peak_memory
    assert peak is not None
    assert 25 < peak < 300


@pytest.mark.parametrize("job_id", ["", "a/b", "../a", ".", ".hidden", "a b", "a\nb", "x" * 101, "$(id)"])
def test_bad_ids_are_refused_on_both_sides(machine: LocalMachine, job_id: str) -> None:
    with pytest.raises(HostRefusedError):
        run(machine.host.kill(job_id))
    assert machine.agent("kill", job_id, check=False).returncode == 2


def test_bad_words_are_refused(machine: LocalMachine) -> None:
    for words in ((), ("fly",), ("report", "--wait", "x"), ("report", "--why", "1"), ("log", "a", "--from", "-1")):
        (machine.jobs() / "a").mkdir(parents=True, exist_ok=True)
        outcome = machine.agent(*words, check=False)
        assert (outcome.returncode, outcome.stdout) == (2, b""), words
        assert outcome.stderr.startswith(b"agent: ")


async def _log(machine: LocalMachine, job: str) -> bytes:
    return b"".join([piece async for piece in machine.host.log(job)])
