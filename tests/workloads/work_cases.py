"""Orders, reports and what came home, for tests of workloads."""

from pathlib import Path
from typing import Any

from attrs import evolve

from reconciler.model.assignment import Assignment
from reconciler.model.job import Cause, Collected, JobReport, JobState

DATA = Path(__file__).parent / "data"

ORDERS = Assignment(
    attempt="s1.1", submission="good", pool="iris", content="abc", workload="script", settings="{}",
    limit=7200.0, env={"OMP_NUM_THREADS": "1"}, max_bytes=1000, max_files=10,
)  # fmt: skip

KILLED = JobReport(job="s1.1", state=JobState.KILLED, cause=Cause.REQUEST)
TIMED_OUT = evolve(KILLED, cause=Cause.TIMEOUT)
GONE = JobReport(job="s1.1", state=JobState.GONE)


def exited(code: int) -> JobReport:
    return JobReport(job="s1.1", state=JobState.EXITED, exit_code=code)


def brought(home: Path, log: str | bytes | None = None, **more: Any) -> Collected:
    """All that lies in a folder, as if it had just come home; with a log, if one is given."""
    if log is not None:
        (home / "log").write_bytes(log.encode() if isinstance(log, str) else log)
    names = (str(file.relative_to(home)) for file in home.rglob("*") if file.is_file())
    return Collected(report=GONE, log=home / "log", outputs=tuple(sorted(set(names) - {"log"})), **more)
