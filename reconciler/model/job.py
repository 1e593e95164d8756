"""A job, as a host runs it, and what a host reports of it. Jobs know nothing of submissions: a setup is a job too."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from attrs import field, frozen


class Folder(StrEnum):
    """Where a job's command runs."""

    WORK = "work"  # the job's own uploaded folder
    HOME = "home"  # the machine's home: setup prepares it for the jobs that come after


@frozen(kw_only=True)
class OutputLimits:
    """What one job may bring home. Beyond it, outputs are refused and the job is invalid; what fitted is kept."""

    bytes: int = 10 * 1024**3  # apparent size, so that a sparse giant counts in full
    files: int = 10_000


@frozen(kw_only=True)
class Job:
    """What a host is asked to run, once. Everything in it was frozen when the attempt was placed."""

    id: str  # [A-Za-z0-9._-]+, at most 100 characters: an attempt id, or setup-<instance>-<hash>
    command: str  # a POSIX sh script
    env: Mapping[str, str] = field(factory=dict)
    limit: float | None = None  # seconds; the host itself ends the job after that
    folder: Path | None = None  # uploaded as the job's work folder
    checkpoint: str = ""  # a folder within it that outlives the attempt; empty: none
    resume: Path | None = None  # what an earlier attempt left there, uploaded over the work folder's own
    runs_in: Folder = Folder.WORK
    outputs: tuple[str, ...] = ()  # globs relative to the work folder; ** crosses folders
    output_limits: OutputLimits = OutputLimits()
    papers: str = ""  # kept beside the job for whoever asks: the host makes nothing of them


class JobState(StrEnum):
    """What the agent says of a job. Only exited, killed and gone are evidence that nothing of it is left."""

    STARTING = "starting"  # its folder is there, its process is not yet; after 30 s that is gone
    RUNNING = "running"
    EXITED = "exited"  # by itself: there is an exit code
    KILLED = "killed"  # by its time limit or on request; also a job that was killed before it came
    GONE = "gone"  # no exit was recorded and no process is left: another boot, or killed from outside


class Cause(StrEnum):
    """Why a job was killed."""

    TIMEOUT = "timeout"  # its time limit, enforced on the host
    REQUEST = "request"  # the reconciler asked


OVER = frozenset({JobState.EXITED, JobState.KILLED, JobState.GONE})


@frozen(kw_only=True)
class JobReport:
    """One line of a host's report."""

    job: str
    state: JobState
    cause: Cause | None = None  # for killed
    exit_code: int | None = None  # 0..255, for exited
    started: datetime | None = None  # UTC, by the host's clock
    ended: datetime | None = None  # UTC, by the host's clock
    peak_memory: float | None = None  # MiB, over all processes of the job

    @property
    def over(self) -> bool:
        """Whether no process of the job is left."""
        return self.state in OVER


class Notice(StrEnum):
    """What a machine's own cloud tells it of its end (EC2: instance metadata)."""

    NONE = "none"
    REBALANCE = "rebalance"  # it may be taken back soon: no new work
    EVICTION = "eviction"  # it will be taken back within minutes


class Watch(StrEnum):
    """The dead-man watch of a machine that we bought."""

    NONE = "none"  # it has none
    ARMED = "armed"  # it shuts the machine down when its lease is over
    POWERLESS = "powerless"  # it would, and may not: no right to shut down


@frozen(kw_only=True)
class Guard:
    """What a machine that costs money does for itself, so that it ends although everybody has forgotten it."""

    lease: float  # seconds of uptime that each report buys it
    keep_results: float  # seconds that it stays for results that nobody fetched
    metadata: str = ""  # the URL of its instance metadata, where its cloud tells it of its end; empty: nowhere


@frozen(kw_only=True)
class Report:
    """All that one host says in one answer."""

    boot_id: str
    uptime: float  # seconds since boot
    agent: str  # the agent's version, empty while it is not installed
    jobs: Mapping[str, JobReport] = field(factory=dict)
    mark: str = ""  # names this state of affairs: a long poll given it waits for another
    notice: Notice = Notice.NONE  # what the cloud told the machine of its end
    watch: Watch = Watch.NONE  # whether it ends itself when nobody renews its lease
    host_key: str = ""  # that this answer came under, as `algorithm base64`; empty where there is none


@frozen(kw_only=True)
class Collected:
    """What came home from one job into a folder: `log`, the outputs under their own names."""

    report: JobReport  # the agent's last word on it
    log: Path
    outputs: tuple[str, ...]  # relative to the folder, sorted
    refused: tuple[str, ...] = ()  # "name: why", for links, devices, `..`, what is over a limit
    bytes: int = 0
