"""A queue that is an event of a RAMP database: what is `new` there is ours to run.

Which ones is ramp-engine's own rule (ramp_engine/dispatcher.py, fetch_from_db): all that are `new`, but the starting
kit. What runs here already is reported as long as its row is there, so that only one that was deleted is missing.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from attrs import Factory, define, frozen

from reconciler.lifecycle.submission import SUBMISSION
from reconciler.model.printable import printable
from reconciler.model.rows import Submission
from reconciler.queues.base import Entry, Reading
from reconciler.queues.content import INCOMING, InvalidSubmissionError, keep
from reconciler.rampdb.access import EventRow, Ramp, SubmissionRow
from reconciler.rampdb.routes import pool_of
from reconciler.rampdb.states import NEW
from reconciler.spec.values import RampEvent, SubmissionOptions
from reconciler.store.errors import StoreError

SETTLED = 2.0  # seconds for which a submission's files must have been left alone: RAMP replaces them one by one
_OUTPUT = "training_output"  # what an earlier training by RAMP left in a submission's folder
_MOST_LOOKED_AT = 2000  # files whose times are compared; a submission of RAMP has a handful

Known = Callable[[str], Awaitable[Mapping[str, Submission]]]  # a queue's name → its newest submission of each key


@frozen
class Look:
    """What tells one state of a folder from another without reading its files."""

    submitted: datetime
    files: tuple[tuple[str, int, int], ...]  # name, nanoseconds when it was last changed, bytes

    @property
    def changed(self) -> float:
        """When something in it changed last: seconds since the epoch."""
        return max((at for _, at, _ in self.files), default=0) / 1e9


@frozen
class Taken:
    """A folder as it was last kept."""

    look: Look
    content: str
    problem: str


@define
class RampQueue:
    """Reads the event's submissions. What has not changed since the last reading is not copied again."""

    event: RampEvent
    store: Path
    name: str  # rampdb.access.names_of
    known: Known
    ramp: Ramp
    clock: Callable[[], float] = time.time
    _taken: dict[int, Taken] = Factory(dict)
    _missing: dict[int, float] = Factory(dict)  # a submission whose folder is not there → since when

    @classmethod
    def open(
        cls, event: RampEvent, store: Path, *, name: str, known: Known, clock: Callable[[], float] = time.time
    ) -> "RampQueue":
        """Raises StoreError for a database URL that is none, or has no driver here."""
        return cls(event, store, name, known, Ramp.open(event), clock)

    def close(self) -> None:
        """Let go of the database."""
        self.ramp.close()

    async def read(self) -> Reading:
        """What is to be run, and what we run that is still there. A database that cannot be read proves nothing."""
        known = await self.known(self.name)  # first: what is missing from RAMP must have been known before it was read
        return await asyncio.to_thread(self._read, known)

    def _read(self, known: Mapping[str, Submission]) -> Reading:
        try:
            with self.ramp.reading() as connection:
                event = self.ramp.row(connection)
                rows = self.ramp.submissions(connection, event)
        except StoreError as error:
            return Reading(queue=self.name, good=False, error=error.message)
        entries: list[Entry] = []
        unsettled: set[str] = set()
        for row in rows:
            ours = known.get(str(row.id))
            if row.is_valid is False or (self.event.only and row.id not in self.event.only):
                continue
            if row.state == NEW or (self.event.only and ours is None):
                try:
                    entry = self._entry(event, row)
                except OSError as error:
                    why = f"submissions cannot be kept in {self.store}: {error.strerror}"
                    return Reading(queue=self.name, good=False, error=why)
                entries += [entry] if entry else []
                unsettled |= set() if entry else {str(row.id)}
            elif ours and not SUBMISSION.is_final(ours.state):
                entries.append(self._going_on(row, ours))
        self._forget(rows)
        return Reading(queue=self.name, entries=tuple(entries), unsettled=frozenset(unsettled), missing_ends=True)

    def _entry(self, event: EventRow, row: SubmissionRow) -> Entry | None:
        """One that is to be run; None while its files are still being written. Raises OSError for the store."""
        folder = event.submissions / row.basename
        taken = self._content(row, folder)
        if taken is None:
            return None
        problem = (
            f"{printable(row.team, 60)}/{printable(row.name, 60)} ({row.basename}): {taken.problem}"
            if taken.problem
            else ""
        )
        options = SubmissionOptions(pool=pool_of(self.event.route, row.team, row.name))
        return Entry(
            key=str(row.id), name=row.basename, content=taken.content, options=options, problem=problem, renewed=True
        )

    def _content(self, row: SubmissionRow, folder: Path) -> Taken | None:
        try:
            look = _look(row, folder)
        except OSError as error:
            since = self._missing.setdefault(row.id, self.clock())
            if self.clock() - since < SETTLED:
                return None
            why = f"its folder cannot be read on the server: {error.strerror}"
            return Taken(Look(row.submitted, ()), "", why)
        self._missing.pop(row.id, None)
        before = self._taken.get(row.id)
        if before and before.look == look:
            return before
        if 0 <= self.clock() - look.changed < SETTLED:
            return None
        try:
            taken = Taken(look, _kept(folder, self.store), "")
        except InvalidSubmissionError as error:
            taken = Taken(look, "", str(error).replace(str(folder), row.basename))
        try:
            if _look(row, folder) != look:  # what was copied may be half of the old and half of the new
                return None
        except OSError:
            return None
        self._taken[row.id] = taken
        return taken

    def _going_on(self, row: SubmissionRow, ours: Submission) -> Entry:
        """One that we have in hand: as we know it, whatever its folder holds by now."""
        return Entry(key=str(row.id), name=row.basename, content=ours.content, options=SubmissionOptions())

    def _forget(self, rows: Sequence[SubmissionRow]) -> None:
        """Keep nothing of what waits no more."""
        waiting = {row.id for row in rows if row.state == NEW}
        for memory in (self._taken, self._missing):
            for gone in memory.keys() - waiting:
                del memory[gone]


def _look(row: SubmissionRow, folder: Path) -> Look:
    """Raises OSError where the folder cannot be read."""
    found: list[tuple[str, int, int]] = []
    os.scandir(folder).close()  # os.walk says nothing of a folder that is not there
    for place, folders, files in os.walk(folder):
        if place == str(folder):
            folders[:] = [name for name in folders if name != _OUTPUT]
            status = os.lstat(place)
            found.append(("", 0 if (folder / _OUTPUT).exists() else status.st_ctime_ns, 0))
        for name in files:
            path = f"{place}/{name}"
            status = os.lstat(path)
            found.append((path, max(status.st_ctime_ns, status.st_mtime_ns), status.st_size))
        if len(found) > _MOST_LOOKED_AT:
            break
    return Look(row.submitted, tuple(sorted(found)))


def _kept(folder: Path, store: Path) -> str:
    """Keep what was handed in, without what RAMP itself left beside it."""
    if not (folder / _OUTPUT).is_dir():
        return keep(folder, store)
    room = store / INCOMING
    room.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=room) as made:
        copy = Path(made) / folder.name
        try:
            shutil.copytree(folder, copy, symlinks=True, ignore=shutil.ignore_patterns(_OUTPUT))
        except shutil.Error as error:
            raise InvalidSubmissionError("its folder cannot be read whole on the server") from error
        return keep(copy, store)
