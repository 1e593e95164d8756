"""What the rest of the program asks of a workload. It runs nothing: it describes a job, then reads its results."""

from pathlib import Path
from typing import Protocol

from reconciler.model.assignment import Assignment
from reconciler.model.job import Collected, Job, JobReport
from reconciler.model.snapshot import Verdict


class Workload(Protocol):
    """One kind of work. Pure but for reading the folder that came home."""

    def job(self, assignment: Assignment, folder: Path) -> Job:
        """What the host runs for an attempt; `folder` is the submission's own, in the store by content."""
        ...

    def verdict(self, assignment: Assignment, report: JobReport, home: Path, collected: Collected) -> Verdict:
        """What the results in `home` say: a success or not, the failure in a line for people, and scores."""
        ...
