"""The agent's words as values. What is not exactly in its words is no answer at all: nothing is assumed."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from reconciler.hosts.base import UnreachableError
from reconciler.model.job import Cause, JobReport, JobState, Notice, Report, Watch

_T = TypeVar("_T")
JOB_ID = re.compile(r"(?![.-])[A-Za-z0-9._-]{1,100}")


def parse_report(output: bytes) -> Report:
    """A whole report: its header, a line a job, and the line that says that it is whole. Raises UnreachableError."""
    lines = _text(output).split("\n")
    header = lines[0].split(" ")
    match header:
        case ["none", boot_id, uptime] if lines[1:] == [""]:
            return Report(boot_id=boot_id, uptime=_number(uptime, lines[0]), agent="")
        case ["agent", version, boot_id, uptime, mark, notice, watch] if lines[-2:] == [f"end {len(lines) - 3}", ""]:
            return Report(
                boot_id=boot_id,
                uptime=_number(uptime, lines[0]),
                agent=version,
                jobs=_jobs(lines[1:-2]),
                mark=mark,
                notice=_word(notice, Notice, lines[0]),
                watch=_word(watch, Watch, lines[0]),
            )
    raise UnreachableError(f"the host's report makes no sense: {_shortened(output)}")


def parse_lines(output: bytes, jobs: Sequence[str]) -> Sequence[JobReport]:
    """The lines that start and kill answer with: one a job, in the order asked for. Raises UnreachableError."""
    *lines, rest = _text(output).split("\n")
    if rest or len(lines) != len(jobs):
        raise UnreachableError(f"the host's answer makes no sense: {_shortened(output)}")
    reports = [parse_job(line) for line in lines]
    if [report.job for report in reports] != list(jobs):
        raise UnreachableError(f"the host answered about other jobs than {', '.join(jobs)}: {_shortened(output)}")
    return reports


def parse_job(line: str) -> JobReport:
    """One job's line: id, state, cause, exit code, started, ended, peak memory in KiB. Raises UnreachableError."""
    fields = line.split(" ")
    if len(fields) != 7 or not JOB_ID.fullmatch(fields[0]):
        raise UnreachableError(f"the host's line of a job makes no sense: {line[:200]!r}")
    job, state, cause, code, started, ended, peak = fields
    try:
        report = JobReport(
            job=job,
            state=JobState(state),
            cause=_optional(cause, Cause),
            exit_code=_optional(code, int),
            started=_optional(started, _moment),
            ended=_optional(ended, _moment),
            peak_memory=_optional(peak, lambda text: int(text) / 1024),
        )
    except (ValueError, OverflowError, OSError) as error:
        raise UnreachableError(f"the host's line of a job makes no sense: {line[:200]!r}") from error
    if (report.state is JobState.EXITED) != (report.exit_code is not None):
        raise UnreachableError(f"the host's line of a job contradicts itself: {line[:200]!r}")
    return report


def _jobs(lines: Sequence[str]) -> Mapping[str, JobReport]:
    by_id = {job.job: job for job in map(parse_job, lines)}
    if len(by_id) != len(lines):
        raise UnreachableError("the host's report names a job twice")
    return by_id


def _text(output: bytes) -> str:
    try:
        return output.decode("ascii")
    except UnicodeDecodeError as error:
        raise UnreachableError(f"the host's answer makes no sense: {_shortened(output)}") from error


def _shortened(output: bytes) -> str:
    return repr(output[:200].decode(errors="replace"))


def _number(text: str, line: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise UnreachableError(f"the host's report has no uptime: {line[:200]!r}")
    return float(text)


def _word(text: str, known: Callable[[str], _T], line: str) -> _T:
    try:
        return known(text)
    except ValueError as error:
        raise UnreachableError(f"the host's report has a word that we do not know: {line[:200]!r}") from error


def _moment(text: str) -> datetime:
    return datetime.fromtimestamp(int(text), UTC)


def _optional(text: str, parse: Callable[[str], _T]) -> _T | None:
    return None if text == "-" else parse(text)
