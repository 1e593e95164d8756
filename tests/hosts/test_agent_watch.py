"""The dead-man watch, under every shell. Nothing here says how soon it acts: only that it acts, and never too early."""

import contextlib
import math
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from reconciler.hosts.base import HostRefusedError
from reconciler.model.job import Watch
from tests.hosts.machines import LocalMachine, alive, run
from tests.hosts.watched import (
    guarded,
    install,
    pass_time,
    replace_tool,
    shutdowns,
    tools,
    uptime,
    wait_for_end,
    wait_for_shutdown,
    watch_file,
)

LONG = 3600.0
one_shell = pytest.mark.parametrize("shell", ["dash"], indirect=True)  # for what takes seconds, or is the same in all


def _lease(machine: LocalMachine) -> float:
    """When the lease was last renewed, in seconds of uptime."""
    boot, at = (machine.home / ".reconciler/lease").read_text().splitlines()[0].split()
    assert boot == machine.boot()
    return int(at) / 100


def _agent_processes(machine: LocalMachine, command: str) -> list[int]:
    found = []
    for pid in machine.processes():
        with contextlib.suppress(OSError):  # it has ended since
            if f"\0{command}\0".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def test_a_machine_without_a_guard_has_no_watch(machine: LocalMachine) -> None:
    assert machine.report().watch is Watch.NONE
    assert machine.processes() == set()
    assert not (machine.home / ".reconciler/lease").exists()


def test_the_watch_is_armed_once_and_apart_from_everything(machine: LocalMachine) -> None:
    host = guarded(machine)
    install(host)
    word, boot, pid = watch_file(machine)
    assert (word, boot) == ("armed", machine.boot())
    assert alive(int(pid))
    assert os.getsid(int(pid)) == int(pid)
    assert b"RECONCILER_ATTEMPT" not in Path(f"/proc/{pid}/environ").read_bytes()
    install(host)
    assert watch_file(machine) == [word, boot, pid]
    assert _agent_processes(machine, "watching") == [int(pid)]
    assert machine.report().watch is Watch.ARMED


def test_a_forgotten_machine_shuts_itself_down_after_its_lease(machine: LocalMachine) -> None:
    install(guarded(machine, lease=1))
    renewed = _lease(machine)
    at, words = wait_for_shutdown(machine)
    assert words == "shutdown -h now"
    assert at >= renewed + 1
    assert len(shutdowns(machine)) == 1


def test_every_report_renews_the_lease(machine: LocalMachine) -> None:
    install(guarded(machine, lease=1))
    until = uptime() + 1.5
    while uptime() < until:
        asked = math.floor(uptime() * 100) / 100
        machine.report()
        assert _lease(machine) >= asked
    renewed = _lease(machine)
    at, _ = wait_for_shutdown(machine)
    assert at >= renewed + 1


@one_shell
def test_a_long_poll_renews_the_lease_at_its_end_too(machine: LocalMachine) -> None:
    install(guarded(machine))
    report = machine.report()
    before = uptime()
    run(machine.host.report(wait=1, mark=report.mark))
    assert _lease(machine) >= before + 0.9


def test_a_running_job_keeps_the_machine(machine: LocalMachine) -> None:
    install(guarded(machine, lease=1, keep=1))
    machine.start("long", "until [ -e ~/go ]; do sleep 0.05; done", limit=600.0)
    pass_time(uptime() + 1.5)
    assert shutdowns(machine) == []
    before = uptime()
    (machine.home / "go").touch()
    at, _ = wait_for_shutdown(machine)
    assert (machine.jobs() / "long/exit").exists()
    assert at >= before + 1


@one_shell
def test_a_job_that_outlasts_its_limit_keeps_nothing(machine: LocalMachine) -> None:
    install(guarded(machine, lease=1, keep=1))
    machine.start("stuck", "echo on > ~/began; sleep 1000", limit=600.0)
    machine.wait_for_file("began")
    # As if it had been told to end, more than a minute ago, and would not.
    (machine.jobs() / "stuck/stop").write_text("timeout\n")
    gate = machine.jobs() / "stuck/pid"
    *words, started_at = gate.read_text().split()
    gate.write_text(" ".join([*words, str(int(started_at) - 60_000 - 6_100)]) + "\n")
    wait_for_shutdown(machine)
    assert not (machine.jobs() / "stuck/exit").exists()


@one_shell
def test_results_that_nobody_fetched_keep_the_machine_for_a_while(machine: LocalMachine) -> None:
    install(guarded(machine, lease=1, keep=2))
    renewed = _lease(machine)
    machine.start("done", "true")
    at, _ = wait_for_shutdown(machine)
    assert at >= renewed + 1 + 2


@pytest.mark.parametrize("job", ["setup-i1-abc", "home"])
def test_what_is_home_or_of_a_setup_keeps_nothing(machine: LocalMachine, job: str) -> None:
    install(guarded(machine, lease=1, keep=LONG))
    machine.start(job, "true")
    wait_for_end(machine, job)
    if job == "home":
        pass_time(uptime() + 1.5)
        assert shutdowns(machine) == []
        run(machine.host.forget(job))
    wait_for_shutdown(machine)


@one_shell
def test_a_renewed_lease_ends_all_waiting(machine: LocalMachine) -> None:
    install(guarded(machine, lease=1, keep=3))
    machine.start("done", "true")
    wait_for_end(machine, "done")
    pass_time(_lease(machine) + 1.8)
    renewed = machine.report().uptime
    at, _ = wait_for_shutdown(machine)
    assert at >= renewed + 1 + 3


@one_shell
@pytest.mark.parametrize("lie", ["", "x y", "{boot} 99999999999", "other 100", "{boot} 1; reboot"])
def test_a_lease_that_makes_no_sense_renews_nothing(machine: LocalMachine, lie: str) -> None:
    install(guarded(machine, lease=1))
    (machine.home / ".reconciler/lease").write_text(f"{lie.format(boot=machine.boot())}\n")
    wait_for_shutdown(machine)


@one_shell
def test_what_a_job_deletes_comes_back(machine: LocalMachine) -> None:
    install(guarded(machine, lease=2))
    for name in ("watch", "lease"):
        (machine.home / ".reconciler" / name).unlink()
    while not all((machine.home / ".reconciler" / name).exists() for name in ("watch", "lease")):
        time.sleep(0.01)
    assert machine.report().watch is Watch.ARMED


def test_another_version_or_other_words_take_over(machine: LocalMachine) -> None:
    install(guarded(machine, lease=4))
    first = int(watch_file(machine)[2])
    install(guarded(machine, lease=5))
    second = int(watch_file(machine)[2])
    assert second != first
    while alive(first):
        time.sleep(0.01)
    agent = machine.home / ".reconciler/agent"
    agent.write_text(agent.read_text().replace("version='", "version='x", 1))
    machine.agent("watch", "5", "3600", "")
    third = int(watch_file(machine)[2])
    install(guarded(machine, lease=5))
    fourth = int(watch_file(machine)[2])
    assert len({second, third, fourth}) == 3
    while alive(second) or alive(third):
        time.sleep(0.01)
    assert machine.report().watch is Watch.ARMED


def test_a_watch_that_died_is_seen_and_armed_again(machine: LocalMachine) -> None:
    host = guarded(machine)
    install(host)
    mark = machine.report().mark
    os.kill(int(watch_file(machine)[2]), signal.SIGKILL)
    report = run(machine.host.report(wait=50, mark=mark))
    assert report.watch is Watch.NONE
    run(host.report())  # of one that has a guard, which arms it
    assert machine.report().watch is Watch.ARMED


def test_after_a_restart_of_the_machine_it_is_armed_anew(machine: LocalMachine) -> None:
    host = guarded(machine, lease=4)
    install(host)
    before = watch_file(machine)
    machine.boot_file.write_text("22222222-2222-3333-4444-555555555555\n")
    assert machine.report().watch is Watch.NONE
    install(host)
    assert machine.report().watch is Watch.ARMED
    assert watch_file(machine)[1] == machine.boot() != before[1]


def _become_a_user(machine: LocalMachine, sudo: str) -> None:
    replace_tool(machine, "id", "echo 1000")
    replace_tool(machine, "sudo", sudo)


def test_without_the_right_to_shut_down_it_says_so(machine: LocalMachine) -> None:
    _become_a_user(machine, "exit 1")
    host = guarded(machine, lease=1)
    install(host)
    assert watch_file(machine)[0] == "powerless"
    assert machine.report().watch is Watch.POWERLESS
    # The right has come, and the watch is armed when it is asked for again.
    _become_a_user(machine, '[ "$1" = -n ] && shift && exec "$@"')
    install(host)
    assert machine.report().watch is Watch.ARMED
    assert wait_for_shutdown(machine)[1] == "shutdown -h now"


@one_shell
def test_a_right_that_was_lost_is_told_to_who_waits(machine: LocalMachine) -> None:
    _become_a_user(machine, '[ "$1" = -n ] && shift && exec "$@"')
    install(guarded(machine, lease=1))
    report = machine.report()
    assert report.watch is Watch.ARMED
    _become_a_user(machine, "exit 1")
    while report.watch is Watch.ARMED:
        report = run(machine.host.report(wait=50, mark=report.mark))
    assert report.watch is Watch.POWERLESS
    assert shutdowns(machine) == []


def test_where_one_way_down_fails_the_next_is_tried(machine: LocalMachine) -> None:
    replace_tool(machine, "shutdown", "exit 1")
    install(guarded(machine, lease=1))
    assert wait_for_shutdown(machine)[1] == "poweroff "


@one_shell
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("0", "1", ""),
        ("x", "1", ""),
        ("1", "-1", ""),
        ("1", "$(id)", ""),
        ("1", "1", "ftp://x"),
        ("1", "1", "http://x y"),
    ],
)
def test_words_that_make_no_sense_arm_nothing(machine: LocalMachine, words: tuple[str, ...]) -> None:
    outcome = machine.agent("watch", *words, check=False)
    assert outcome.returncode == 2
    assert outcome.stderr.startswith(b"agent: ")
    assert machine.processes() == set()


@one_shell
def test_a_watch_that_cannot_come_up_is_refused(machine: LocalMachine) -> None:
    host = guarded(machine)
    replace_tool(machine, "setsid", "exit 1")
    with pytest.raises(HostRefusedError, match="does not come up"):
        install(host)


def test_a_report_with_a_watch_starts_no_process(machine: LocalMachine) -> None:
    install(guarded(machine))
    shell = subprocess.run(
        ["sh", "-c", "command -v sh"], env=machine.environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    bare = {**machine.environment, "PATH": str(machine.home / "nowhere")}
    before = uptime()
    command = [shell, str(machine.home / ".reconciler/agent"), "report"]
    outcome = subprocess.run(command, env=bare, capture_output=True, check=True)
    assert outcome.stderr == b""
    assert b" none armed\n" in outcome.stdout
    assert _lease(machine) >= math.floor(before * 100) / 100
    assert (tools(machine) / "shutdown").exists()
