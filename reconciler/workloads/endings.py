"""What the end of a job means, as far as no workload needs to look at its outputs, and what all jobs are told."""

import re
import signal
from collections.abc import Mapping

from reconciler.model.assignment import Assignment
from reconciler.model.job import Cause, Collected, JobReport, JobState, OutputLimits
from reconciler.model.printable import printable
from reconciler.model.rows import Outcome
from reconciler.model.snapshot import Verdict
from reconciler.workloads.words import last_words

_SIZES = ((1024**4, "TiB"), (1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))
_BYTES = re.compile(r"\b(\d{4,}) bytes$")  # as the agent says its limits
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def told(assignment: Assignment) -> Mapping[str, str]:
    """The environment of every job: the pool's and the submission's own, and who it is."""
    return {
        **assignment.env,
        "RECONCILER_SUBMISSION": assignment.submission,
        "RECONCILER_ATTEMPT": assignment.attempt,
        "RECONCILER_POOL": assignment.pool,
    }


def limits(assignment: Assignment) -> OutputLimits:
    """What the attempt may bring home."""
    return OutputLimits(bytes=assignment.max_bytes, files=assignment.max_files)


def ended_badly(assignment: Assignment, report: JobReport, collected: Collected) -> Verdict | None:
    """The verdict that holds whatever the outputs say; None where they have to say it.

    The message does not name the place of the log: results are still on their way to where they will lie.
    """
    if collected.refused:
        return Verdict(outcome=Outcome.INVALID, message=_refused(collected))
    if report.state is JobState.EXITED:
        return None
    outcome, message = Outcome.LOST, "it is gone: its machine was started anew, or something there ended it"
    if report.state is JobState.KILLED:
        message = "it was ended before it was done"
        if report.cause is Cause.TIMEOUT:
            outcome, message = Outcome.TIMEOUT, f"it reached its time limit of {_duration(assignment.limit)}"
    return Verdict(outcome=outcome, message=with_words(message, last_words(collected.log)))


def exit_words(code: int | None) -> str:
    """An exit code as people know it: `exit code 3`, `exit code 137 (SIGKILL)`."""
    name = ""
    if code is not None and code > 128:
        known = {each.value: each.name for each in signal.Signals}
        name = known.get(code - 128, "")
    return f"exit code {code} ({name})" if name else f"exit code {code}"


def with_words(message: str, words: str) -> str:
    """The message, and behind it what the program itself said last."""
    return f"{message}: {words}" if words else message


def _refused(collected: Collected) -> str:
    first, *others = collected.refused
    more = f", and {len(others)} more" if others else ""
    return f"an output was refused: {_BYTES.sub(_size, printable(first))}{more}"


def _size(found: re.Match[str]) -> str:
    """Bytes as people write them."""
    count = int(found[1])
    size, unit = next(((size, unit) for size, unit in _SIZES if count >= size), (1, "bytes"))
    return f"{count / size:.4g} {unit}"


def _duration(seconds: float) -> str:
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size and seconds % size == 0), (1, "s"))
    return f"{seconds / size:g}{unit}"
