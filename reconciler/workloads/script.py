"""The plain workload: a command in the submission's own folder, judged by its exit code."""

from pathlib import Path

from attrs import frozen

from reconciler.model.assignment import Assignment
from reconciler.model.job import Collected, Job, JobReport
from reconciler.model.rows import Outcome
from reconciler.model.snapshot import Verdict
from reconciler.spec.options import Script
from reconciler.workloads.endings import ended_badly, exit_words, limits, told, with_words
from reconciler.workloads.environment import named_environment, shell_lines
from reconciler.workloads.words import last_words


@frozen
class ScriptWorkload:
    """Runs the pool's command; exit code 0 is a success, whatever it wrote."""

    settings: Script

    def job(self, assignment: Assignment, folder: Path) -> Job:
        """The command in the uploaded folder and the environment named, with the outputs that the pool declares."""
        checkpoint = self.settings.checkpoint or ""
        environment = named_environment(self.settings)
        before = f"{shell_lines('environment.sh')}\nuse_environment\n" if environment else ""
        return Job(
            id=assignment.attempt,
            command=before + self.settings.command,
            env={**told(assignment), **environment},
            limit=assignment.limit,
            folder=folder,
            checkpoint=checkpoint,
            outputs=(*self.settings.outputs, *([f"{checkpoint}/**"] if checkpoint else [])),
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
