"""Machines of EC2 in this process, on virtual time: what the program says to them is its own, how long it takes is said
here. Its agent's and its connection's Python sides are real; the login and the agent on the machine are played.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import asyncssh
from attrs import Factory, define, field

from reconciler.hosts.agent import AgentHost, agent_script
from reconciler.hosts.base import UnreachableError
from reconciler.hosts.ssh import SshTransport
from reconciler.hosts.ssh_way import CONNECT
from reconciler.hosts.transport import Result
from reconciler.model.job import Collected, Job

SSH = 0.5  # seconds for a login, and for every command
COPY = 1.0  # seconds for every command that moves files
BOOT = 90.0  # seconds from a machine's purchase until it answers
SETUP = "setup-"  # begins the id of a job that prepares the machine


@cache
def _host_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519").convert_to_public()


@define
class Run:
    """One job. Seconds since the epoch."""

    started: float
    ends: float


@define
class Machine:
    """The agent's side of one machine. Its jobs end by themselves, with success."""

    cloud_id: str
    answers_at: float
    seconds: float  # that every job of a submission takes
    has_agent: bool = False
    ever: int = 0  # jobs that were started
    jobs: dict[str, Run] = Factory(dict)
    changed: asyncio.Event = field(factory=asyncio.Event)

    async def answer(self, words: Sequence[str]) -> str:
        """What the agent says to these words."""
        match words:
            case []:
                return self.report()
            case ["--wait", seconds, "--mark", mark]:
                await self._news(float(seconds), mark)
                return self.report()
            case ["start", _, *jobs]:
                for job in jobs:
                    self._start(job)
                return "".join(map(self._line, jobs))
            case ["kill", *jobs]:
                return "".join(map(self._line, jobs))
            case ["forget", *jobs]:
                for job in jobs:
                    self.jobs.pop(job, None)
                return ""
        self.has_agent = True
        return ""

    def report(self) -> str:
        """Every job in one answer."""
        now = _now()
        if not self.has_agent:
            return f"none boot {now - self.answers_at:.2f}\n"
        lines = "".join(map(self._line, self.jobs))
        version, _ = agent_script()
        return f"agent {version} boot {now - self.answers_at:.2f} {self.mark} none armed\n{lines}end {len(self.jobs)}\n"

    @property
    def mark(self) -> str:
        """Names this state of affairs."""
        return f"{self.ever}.{len(self.jobs)}.{sum(run.ends <= _now() for run in self.jobs.values())}"

    def _start(self, job: str) -> None:
        if job not in self.jobs:
            now = _now()
            self.ever += 1
            self.jobs[job] = Run(now, now + (0.0 if job.startswith(SETUP) else self.seconds))
            self.changed.set()

    def _line(self, job: str) -> str:
        run = self.jobs[job]
        if run.ends > _now():
            return f"{job} running - - {run.started:.0f} - -\n"
        return f"{job} exited - 0 {run.started:.0f} {run.ends:.0f} 1024\n"

    async def _news(self, seconds: float, mark: str) -> None:
        """Until the state of affairs is another, or the time is over."""
        give_up = _now() + seconds
        while self.mark == mark and (now := _now()) < give_up:
            self.changed.clear()
            ends = [run.ends for run in self.jobs.values() if run.ends > now]
            try:
                async with asyncio.timeout_at(min([give_up, *ends])):
                    await self.changed.wait()
            except TimeoutError:
                continue


@define
class Connection:
    """A login that was let in."""

    closed: bool = False

    def get_server_host_key(self) -> asyncssh.SSHKey:
        return _host_key()

    def is_closed(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    async def wait_closed(self) -> None:
        """Nothing is left."""


class Transport(SshTransport):
    """The program's own connection, its pauses between tries too, to a machine that is played."""

    def __init__(self, machine: Machine, *args: Any, **kwargs: Any) -> None:
        self._machine = machine
        super().__init__(*args, log_in=self._let_in, clock=_now, **kwargs)

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: AsyncIterator[bytes] | bytes = b"",
        timeout: float = 60.0,  # noqa: ARG002
    ) -> Result:
        """A command's answer, after its time. What is sent is made in full."""
        await self.open()
        if not isinstance(stdin, bytes):
            async for _ in stdin:
                pass
        await asyncio.sleep(COPY if stdin else SSH)
        return Result(0, (await self._machine.answer(argv[4:])).encode(), b"")

    def stream(self, argv: Sequence[str]) -> AsyncGenerator[bytes, None]:
        raise AssertionError(f"nobody asked for {argv[4:]}")

    async def _let_in(self, *_: Any, **__: Any) -> Connection:
        """A machine that is not up yet lets the try run into its time limit."""
        if self._machine.answers_at > _now():
            await asyncio.sleep(CONNECT)
            raise UnreachableError(f"{self._machine.cloud_id} did not answer in time")
        await asyncio.sleep(SSH)
        return Connection()


class Host(AgentHost):
    """The program's own host, but that what a thread would unpack is written at once: virtual time has no threads."""

    async def collect(self, job: Job, into: Path) -> Collected:
        """The log comes home."""
        report = await self.kill(job.id)
        await asyncio.sleep(COPY)
        into.mkdir(parents=True)
        (into / "log").write_text(f"{job.id}\n", encoding="utf-8")
        return Collected(report=report, log=into / "log", outputs=())


def _now() -> float:
    return asyncio.get_running_loop().time()
