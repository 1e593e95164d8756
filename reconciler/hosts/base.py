"""What the rest of the program asks of a host. Every call is safe to repeat, and harmless whenever it lands."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Protocol

from reconciler.model.job import Collected, Job, JobReport, Report


class UnreachableError(Exception):
    """The host did not answer, or not in words that the agent uses. Says nothing about its jobs."""


class HostRefusedError(Exception):
    """The host answered, and cannot do it: its disk is full, a tool is missing, it is another boot."""


class UnstorableError(Exception):
    """The fault is on our side: this computer could not write what the host sent (a full disk, no permission)."""


class Host(Protocol):
    """One machine's way in. Raises UnreachableError or HostRefusedError from every call."""

    async def report(self, *, wait: float = 0.0, mark: str = "") -> Report:
        """All jobs of this machine in one answer.

        With `wait` (seconds), answers as soon as the state of affairs is another than `mark` names.
        """
        ...

    async def install(self) -> None:
        """Bring the agent, unless this version of it is there; then arm the machine's own watch, or mark it as ours.

        Raises HostRefusedError for a machine that somebody else has marked as theirs.
        """
        ...

    async def release(self) -> None:
        """End every job, and take our mark off: for a machine that we let go of and may not end."""
        ...

    async def put(self, files: Mapping[Path, str]) -> None:
        """Bring files and folders of this computer to paths on the machine (`~/` is its home)."""
        ...

    async def start(self, job: Job, *, boot_id: str) -> JobReport:
        """Upload and start, as one whole. Does nothing where the job is known already, or was killed before it came.

        Raises HostRefusedError when the machine is on another boot than `boot_id`.
        """
        ...

    async def kill(self, job: str) -> JobReport:
        """End every process of the job, TERM then KILL, and close its folder, so that a late start does nothing."""
        ...

    async def collect(self, job: Job, into: Path) -> Collected:
        """End the job, as `kill` does, and bring its log and outputs into a new folder, checked and synced to disk.

        Raises HostRefusedError when its processes do not end, UnstorableError when this computer cannot write them.
        """
        ...

    async def forget(self, job: str) -> None:
        """Free the disk that a collected job holds. Its tombstone stays."""
        ...

    async def papers(self, job: str) -> str:
        """What `Job.papers` said of a job that is not forgotten; empty where it said nothing."""
        ...

    def log(self, job: str, *, follow: bool = False) -> AsyncIterator[bytes]:
        """The job's log so far; with `follow`, until the job is over."""
        ...

    async def close(self) -> None:
        """Let go of connections and local processes. Jobs go on."""
        ...
