"""RAMP: a submission is put into a kit, trained on every fold, and judged by what lies in training_output."""

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from reconciler.model.assignment import Assignment
from reconciler.model.job import Collected, Job, JobReport
from reconciler.model.printable import printable
from reconciler.model.rows import Outcome
from reconciler.model.snapshot import Verdict
from reconciler.rampdb.memory import PROFILE
from reconciler.spec.options import Ramp
from reconciler.workloads.endings import ended_badly, exit_words, limits, told, with_words
from reconciler.workloads.environment import named_environment, shell_lines
from reconciler.workloads.ramp_output import OUTPUT, UnreadableError, failed_folds, folds, scores, unfinished
from reconciler.workloads.words import last_words


@frozen
class RampWorkload:
    """Runs `ramp-test` in the kit, or what the pool says instead.

    A success is an exit code 0 and RAMP's own rule: there are folds, each with its predictions, and none with an error.
    """

    settings: Ramp

    def job(self, assignment: Assignment, folder: Path) -> Job:
        """RAMP's tool on the uploaded folder, which is linked into the kit."""
        memory = (PROFILE,) if self.settings.memory_profiling else ()
        return Job(
            id=assignment.attempt,
            command=f"{shell_lines('environment.sh')}\n{shell_lines('ramp.sh')}",
            env={**told(assignment), **self._environment()},
            limit=assignment.limit,
            folder=folder,
            outputs=(f"{OUTPUT}/**", *memory),
            output_limits=limits(assignment),
        )

    def _environment(self) -> Mapping[str, str]:
        return {
            "RECONCILER_RAMP_KIT": self.settings.kit,
            "RECONCILER_RAMP_DATA": self.settings.data or "",
            "RECONCILER_RAMP_COMMAND": self.settings.command or "",
            "RECONCILER_RAMP_MEMORY": "yes" if self.settings.memory_profiling else "",
            **named_environment(self.settings),
        }

    def verdict(self, assignment: Assignment, report: JobReport, home: Path, collected: Collected) -> Verdict:
        """By RAMP's rule; the failure is the exception that the submission raised, else the log's last words."""
        bad = ended_badly(assignment, report, collected)
        if bad is not None:
            return bad
        found = folds(collected.outputs)
        failed = failed_folds(found)
        if failed or report.exit_code != 0:
            return Verdict(outcome=Outcome.EXIT_CODE, message=_failure(report, home, collected, failed))
        if why := unfinished(found):
            return Verdict(outcome=Outcome.INVALID, message=with_words(f"exit code 0, but {why}", _words(collected)))
        try:
            return Verdict(outcome=Outcome.SUCCEEDED, scores=scores(home, collected.outputs))
        except UnreadableError as error:
            return Verdict(outcome=Outcome.INVALID, message=str(error))


def _failure(report: JobReport, home: Path, collected: Collected, failed: tuple[str, ...]) -> str:
    words = last_words(home / OUTPUT / failed[0] / "error.txt") if failed else ""
    where = f", {printable(failed[0], 60)}" if failed else ""
    return with_words(f"{exit_words(report.exit_code)}{where}", words or _words(collected))


def _words(collected: Collected) -> str:
    return last_words(collected.log)
