"""Several jobs in one command: each is its own all the same, whatever its company does."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

from reconciler.hosts.agent import AgentHost
from reconciler.hosts.base import HostRefusedError
from reconciler.hosts.local import LocalTransport
from reconciler.hosts.transport import Result
from reconciler.hosts.wire import parse_lines
from reconciler.model.job import Cause, Folder, Job, JobState
from tests.hosts.machines import LocalMachine, run

NAMES = [f"j{number}" for number in range(12)]


class Counted:
    """The machine's own transport, which notes what the agent is asked."""

    host_key = ""

    def __init__(self, machine: LocalMachine) -> None:
        self._transport = LocalTransport(machine.home, machine.name, boot_id_file=machine.boot_file)
        self.asked: list[tuple[str, ...]] = []

    async def run(self, argv: Sequence[str], **more: Any) -> Result:
        self.asked.append(tuple(argv[4:]))
        return await self._transport.run(argv, **more)

    def stream(self, argv: Sequence[str]) -> AsyncGenerator[bytes, None]:
        self.asked.append(tuple(argv[4:]))
        return self._transport.stream(argv)

    async def close(self) -> None:
        await self._transport.close()


def _job(name: str, command: str = "", **more: Any) -> Job:
    return Job(id=name, command=command or f"echo {name} >> ~/ledger; echo said by {name}", **more)


async def _wait(host: AgentHost, names: Sequence[str]) -> None:
    report = await host.report()
    while not all(report.jobs[name].over for name in names):
        report = await host.report(wait=1, mark=report.mark)


def test_what_comes_together_is_started_ended_and_forgotten_together(machine: LocalMachine, tmp_path: Path) -> None:
    transport = Counted(machine)
    host = AgentHost(transport, confined=True)

    async def story() -> None:
        started = await asyncio.gather(*(host.start(_job(name), boot_id=machine.boot()) for name in NAMES))
        assert [report.job for report in started] == NAMES
        await _wait(host, NAMES)
        got = await asyncio.gather(*(host.collect(_job(name), tmp_path / name) for name in NAMES))
        assert [(each.report.job, each.report.exit_code, each.log.read_text()) for each in got] == [
            (name, 0, f"said by {name}\n") for name in NAMES
        ]
        killed = await asyncio.gather(*map(host.kill, NAMES))
        assert killed == [each.report for each in got]
        await asyncio.gather(*map(host.forget, NAMES))
        assert (await host.report()).jobs == {}

    run(story())
    assert sorted((machine.home / "ledger").read_text().split()) == sorted(NAMES)
    commands = [words[0] for words in transport.asked if words and not words[0].startswith("--")]
    assert commands.count("start") < len(NAMES)
    assert (commands.count("pack"), commands.count("kill"), commands.count("forget")) == (1, 1, 1)


def test_a_command_for_several_jobs_leaves_alone_those_that_are_known(machine: LocalMachine) -> None:
    machine.start("old", "echo old >> ~/ledger")
    machine.wait_for("old")
    killed = run(machine.host.kill("early"))

    async def story() -> None:
        jobs = [_job(name) for name in ("new", "old", "early", "newer")]
        reports = await asyncio.gather(*(machine.host.start(job, boot_id=machine.boot()) for job in jobs))
        assert reports[1].exit_code == 0
        assert reports[2] == killed
        await _wait(machine.host, ["new", "newer"])

    run(story())
    assert sorted((machine.home / "ledger").read_text().split()) == ["new", "newer", "old"]


def test_several_jobs_that_do_not_want_to_end_are_ended_at_the_same_time(machine: LocalMachine) -> None:
    for name in NAMES[:3]:
        machine.start(name, f"trap '' TERM; echo on > ~/{name}; while :; do sleep 0.1; done", runs_in=Folder.HOME)
        machine.wait_for_file(name)
    answer = machine.agent("kill", *NAMES[:4]).stdout
    reports = parse_lines(answer, NAMES[:4])
    assert {(report.state, report.cause) for report in reports} == {(JobState.KILLED, Cause.REQUEST)}
    assert all(machine.processes(name) == set() for name in NAMES[:4])


def test_bringing_home_ends_what_runs_and_takes_the_rest_along(machine: LocalMachine, tmp_path: Path) -> None:
    jobs = [
        _job("runs", "echo on > ~/began; echo so far; sleep 1000"),
        _job("files", "mkdir out; echo 1 > out/x; ln -s x out/l; echo has files", outputs=("out/**",)),
        _job("plain"),
    ]
    for job in jobs:
        run(machine.host.start(job, boot_id=machine.boot()))
    machine.wait_for_file("began")
    machine.wait_for("files")
    machine.wait_for("plain")
    answer = machine.agent("pack", "runs", "files", "plain").stdout
    assert all(f"{name}/log".encode() in answer for name in ("runs", "files", "plain"))

    async def story() -> None:
        runs, files, plain = await asyncio.gather(*(machine.host.collect(job, tmp_path / job.id) for job in jobs))
        assert (runs.report.state, runs.log.read_text()) == (JobState.KILLED, "so far\n")
        assert (files.outputs, files.refused, files.report.exit_code) == (("out/x",), ("out/l: a link",), 0)
        assert (plain.outputs, plain.report.exit_code) == ((), 0)

    run(story())


def test_of_several_jobs_the_one_that_is_refused_is_the_only_one(machine: LocalMachine, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        machine.start(name, f"echo said by {name}")
        machine.wait_for(name)
    run(machine.host.forget("b"))

    async def story() -> None:
        got = await asyncio.gather(
            *(machine.host.collect(_job(name), tmp_path / name) for name in ("a", "b", "c")), return_exceptions=True
        )
        assert isinstance(got[1], HostRefusedError)
        assert [(tmp_path / name / "log").read_text() for name in ("a", "c")] == ["said by a\n", "said by c\n"]

    run(story())
    machine.start("busy", "sleep 1000")

    async def forget() -> None:
        got = await asyncio.gather(*map(machine.host.forget, ("a", "busy", "c")), return_exceptions=True)
        assert [type(each) for each in got] == [type(None), HostRefusedError, type(None)]

    run(forget())
    assert set(machine.report().jobs) == {"busy"}


def test_a_job_without_a_name_of_its_own_is_no_job(machine: LocalMachine) -> None:
    for words in (
        ["start", machine.boot()],
        ["kill"],
        ["kill", "a", "b", "a"],
        ["forget", "a", "-rf"],
        ["pack", "../a"],
        ["kill", ""],
    ):
        outcome = machine.agent(*words, check=False)
        assert outcome.returncode == 2, words
    with pytest.raises(HostRefusedError, match="cannot be a job's id"):
        run(machine.host.kill("-rf"))
