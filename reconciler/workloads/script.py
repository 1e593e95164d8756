"""The plain workload: a command in the submission's own folder, judged by its exit code."""

from pathlib import Path

from attrs import frozen

from reconciler.model.assignment import Assignment
from reconciler.model.job import Collected, Job, JobReport
from reconciler.model.rows import Outcome
from reconciler.model.snapshot import Verdict
from reconciler.spec.options import Script
from reconciler.workloads.endings import ended_badly, exit_words, limits, told, with_words
from reconciler.workloads.words import last_words


@frozen
class ScriptWorkload:
    """Runs the pool's command; exit code 0 is a success, whatever it wrote."""

    settings: Script

    def job(self, assignment: Assignment, folder: Path) -> Job:
        """The command in the uploaded folder, with the outputs that the pool declares."""
        return Job(
            id=assignment.attempt,
            command=self.settings.command,
            env=told(assignment),
            limit=assignment.limit,
            folder=folder,
            outputs=self.settings.outputs,
            output_limits=limits(assignment),
        )

    def verdict(self, assignment: Assignment, report: JobReport, home: Path, collected: Collected) -> Verdict:  # noqa: ARG002
        """By the exit code; a failure is told in the program's own last words."""
        bad = ended_badly(assignment, report, collected)
        if bad is not None:
            return bad
        if report.exit_code == 0:
            return Verdict(outcome=Outcome.SUCCEEDED)
        message = with_words(exit_words(report.exit_code), last_words(collected.log))
        return Verdict(outcome=Outcome.EXIT_CODE, message=message)
