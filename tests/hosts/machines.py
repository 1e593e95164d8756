"""A machine for tests, and shorthands for what tests ask of it and of its processes."""

import asyncio
import atexit
import os
import subprocess
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from attrs import frozen

from reconciler.hosts.agent import AgentHost
from reconciler.hosts.ssh import SshTransport
from reconciler.hosts.ssh_way import Way
from reconciler.model.job import Job, JobReport, Report
from tests.machines.sshd import SshMachine

T = TypeVar("T")


@frozen
class LocalMachine:
    """One machine, and shorthands for what tests do with it."""

    host: AgentHost
    home: Path
    name: str
    boot_file: Path
    environment: Mapping[str, str]

    def jobs(self) -> Path:
        return self.home / ".reconciler/jobs"

    def agent(self, *words: str, stdin: bytes = b"", check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """The agent itself, without our Python side in between."""
        command = ["sh", str(self.home / ".reconciler/agent"), *words]
        return subprocess.run(command, input=stdin, env=self.environment, capture_output=True, check=check, timeout=60)

    def report(self) -> Report:
        return run(self.host.report())

    def start(self, job_id: str, command: str, **fields: Any) -> JobReport:
        return run(self.host.start(Job(id=job_id, command=command, **fields), boot_id=self.boot()))

    def boot(self) -> str:
        return self.boot_file.read_text().strip()

    def wait_for(self, job_id: str, test: Callable[[JobReport], bool] = lambda job: job.over) -> JobReport:
        """Follow the reports until the job is as it should be; pytest's own time limit is the only one."""
        return run(self._wait_for(job_id, test))

    async def _wait_for(self, job_id: str, test: Callable[[JobReport], bool]) -> JobReport:
        report = await self.host.report()
        while job_id not in report.jobs or not test(report.jobs[job_id]):
            report = await self.host.report(wait=1, mark=report.mark)
        return report.jobs[job_id]

    def wait_for_file(self, name: str) -> str:
        """What a job wrote into its home, as soon as it is there, a whole line."""
        path = self.home / name
        while not (path.exists() and path.read_text().endswith("\n")):
            time.sleep(0.01)
        return path.read_text().strip()

    def wait_for_file_at(self, path: Path) -> None:
        """Returns once the file has something in it."""
        self.wait_until(lambda: path.exists() and path.stat().st_size > 0)

    def wait_until(self, what: Callable[[], bool]) -> None:
        """Returns once it is so."""
        while not what():
            time.sleep(0.02)

    def processes(self, job: str = "") -> set[int]:
        """Every process of this machine, or of one job, by the marks that the agent uses, read independently of it."""
        marks = {f"RECONCILER_MACHINE={self.name}".encode()}
        if job:
            marks.add(f"RECONCILER_ATTEMPT={job}".encode())
        found = set()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and marks <= set((entry / "environ").read_bytes().split(b"\0")):
                    found.add(int(entry.name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found


def ssh_way(machine: SshMachine, **more: Any) -> Way:
    """The way there, by its own key."""
    given = {"address": machine.address, "port": machine.port, "user": machine.user, "key_path": machine.key_path}
    return Way(**(given | more))


def ssh_transport(machine: SshMachine, **more: Any) -> SshTransport:
    """A connection there, not yet open."""
    return SshTransport(ssh_way(machine, **more), handshakes=asyncio.Semaphore(5))


def ssh_host(machine: SshMachine, **more: Any) -> AgentHost:
    """A host by ssh."""
    return AgentHost(ssh_transport(machine, **more))


def run(work: Coroutine[Any, Any, T]) -> T:
    """One piece of asynchronous work, in the one loop of these tests: an open connection belongs to its loop."""
    return _runner().run(work)


@cache
def _runner() -> asyncio.Runner:
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner


def alive(pid: int) -> bool:
    """Whether there is such a process that is no zombie."""
    return _status(pid)[0] not in "ZX"


def wait_for_the_end_of_group(group: int) -> None:
    """Returns once no process of the group is left, zombies included."""
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)


def in_session(session: int) -> list[int]:
    """The processes of a session, without zombies."""
    statuses = {int(entry.name): _status(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    return [pid for pid, (state, found) in statuses.items() if found == session and state not in "ZX"]


def _status(pid: int) -> tuple[str, int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "X", -1
    return fields[0], int(fields[3])
