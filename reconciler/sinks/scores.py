"""A table of scores for each pool, `<pool>.csv` among the results, written anew from the database with every news.

Regenerating bears the same news twice, in any order, and mends a table that somebody changed or lost. A lock is held
from reading to writing, against tasks and other processes, so that an older state never replaces a newer one.
"""

import asyncio
import csv
import fcntl
import io
import json
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from attrs import field, frozen

from reconciler.model.offer import Fault
from reconciler.model.printable import printable
from reconciler.model.rows import Attempt, Submission
from reconciler.model.snapshot import Done, Failed
from reconciler.sinks.base import News

Row = tuple[Submission, Attempt | None]  # with its last attempt
Rows = Callable[[str], Awaitable[Sequence[Row]]]  # pool → what its table is made of

LOCK = ".scores.lock"


@frozen
class ScoresSink:
    """Keeps `<results>/<pool>.csv` in step with the database."""

    results: Path
    rows: Rows
    _turn: asyncio.Lock = field(init=False, factory=asyncio.Lock)

    async def deliver(self, news: Sequence[News]) -> Sequence[Done | Failed]:
        """Write the table of each pool that there is news of, once."""
        pools = {each.submission.pool for each in news}
        answers = {pool: await self._write(pool) for pool in sorted(pools)}
        return [answers[each.submission.pool] for each in news]

    async def _write(self, pool: str) -> Done | Failed:
        file = self.results / f"{pool}.csv"
        try:
            async with self._turn:  # so that one thread at most waits for another process
                with await asyncio.to_thread(_locked, self.results / LOCK):
                    await asyncio.to_thread(_replace, file, table(await self.rows(pool)))
        except OSError as error:
            return Failed(fault=Fault.OURS, message=f"{file} cannot be written: {error.strerror}")
        except ValueError as error:
            return Failed(fault=Fault.OURS, message=f"{file} cannot be made: {printable(str(error))}")
        return Done()


def table(rows: Iterable[Row]) -> str:
    """The table as CSV: a row a submission, by its label; a column for every score that any of them has.

    Raises ValueError for scores that are none.
    """
    sorted_rows = sorted(rows, key=lambda row: row[0].label)
    scored = [(submission, attempt, _scores(submission, attempt)) for submission, attempt in sorted_rows]
    names = sorted({name for _, _, scores in scored for name in scores})
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["submission", "state", "attempt", *map(cell, names), "message"])
    writer.writerows(_line(submission, attempt, scores, names) for submission, attempt, scores in scored)
    return text.getvalue()


def cell(text: str) -> str:
    """Text on one line that no spreadsheet takes for a formula."""
    safe = printable(text, 1000)
    return f"'{safe}" if safe.startswith(("=", "+", "-", "@")) else safe


def _line(
    submission: Submission, attempt: Attempt | None, scores: Mapping[str, float], names: Sequence[str]
) -> Iterator[str]:
    yield cell(submission.label)
    yield cell(submission.state)
    yield str(attempt.number) if attempt else ""
    for name in names:
        yield repr(scores[name]) if name in scores else ""
    yield cell(submission.message or (attempt.message if attempt else ""))


def _scores(submission: Submission, attempt: Attempt | None) -> Mapping[str, float]:
    found = json.loads(attempt.scores) if attempt else {}
    if not isinstance(found, dict) or not all(isinstance(value, int | float) for value in found.values()):
        raise ValueError(f"the scores of {submission.label} are not numbers")
    return found


def _locked(path: Path) -> IO[bytes]:
    """A file that is locked until it is closed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _replace(file: Path, text: str) -> None:
    """Write the file so that readers see the old one or the new one, also after a crash."""
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with new.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
