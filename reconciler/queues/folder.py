"""A queue that is a folder: each folder in it is a submission, taken once it has been left alone for two seconds.

The folder is its users' desk: a name that cannot be a submission's, or a bad file, is that submission's fault and is
shown; the others go on.
"""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from attrs import Factory, define, frozen

from reconciler.queues.base import Entry, Reading
from reconciler.queues.content import LEFT_OUT, InvalidSubmissionError, check_name, keep
from reconciler.spec.errors import SpecError
from reconciler.spec.loader import load_submission
from reconciler.spec.values import SubmissionOptions

SETTLED = 2.0  # seconds for which nothing in a submission may have changed
OPTIONS = "submission.yml"
MOST_LOOKED_AT = 20_000  # files whose times are compared; a folder with more is refused when it is copied


@frozen
class Look:
    """What tells one state of a folder from another without reading its files."""

    newest: float  # seconds since the epoch; modified or, for files that were moved in, changed
    total: int  # bytes
    count: int


@define
class FolderQueue:
    """Reads a folder of submissions. What has not changed since the last reading is not copied again."""

    folder: Path
    store: Path
    clock: Callable[[], float] = time.time
    name: str = "folder"
    _known: dict[str, tuple[Look, Entry]] = Factory(dict)

    async def read(self) -> Reading:
        """Everything that the folder holds now. One that cannot be listed is a bad reading, and proves nothing."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> Reading:
        try:
            found = sorted(entry.name for entry in os.scandir(self.folder) if _is_submission(entry))
        except OSError as error:
            return Reading(queue=self.name, good=False, error=f"{self.folder} cannot be listed: {error.strerror}")
        entries: list[Entry] = []
        unsettled: set[str] = set()
        for name in found:
            entry = self._entry(name)
            if entry is None:
                unsettled.add(name)
            else:
                entries.append(entry)
        for gone in self._known.keys() - set(found):
            del self._known[gone]
        return Reading(queue=self.name, entries=tuple(entries), unsettled=frozenset(unsettled))

    def _entry(self, name: str) -> Entry | None:
        """One submission; None while it is still being written."""
        path = self.folder / name
        try:
            look = _look(path)
        except OSError:
            return None  # it is being moved about
        before = self._known.get(name)
        if before and before[0] == look:
            return before[1]
        if 0 <= self.clock() - look.newest < SETTLED:
            return None
        entry = self._taken(name, path)
        self._known[name] = (look, entry)
        return entry

    def _taken(self, name: str, path: Path) -> Entry:
        problem, content, options = "", "", SubmissionOptions()
        try:
            check_name(name)
            if (path / OPTIONS).is_file():
                options = load_submission(path / OPTIONS)
            content = keep(path, self.store)
        except InvalidSubmissionError as error:
            problem = str(error)
        except SpecError as error:
            problem = str(error.problems[0])
        return Entry(key=name, name=name, content=content, options=options, problem=problem)


def _is_submission(entry: "os.DirEntry[str]") -> bool:
    return entry.is_dir() and not entry.name.startswith(".") and entry.name not in LEFT_OUT


def _look(path: Path) -> Look:
    """The newest time, the size and the number of all that lies in a folder. Raises OSError."""
    newest, total, count = _time(path.stat()), 0, 0
    for folder, folders, files in os.walk(path):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        for name in (*folders, *files):
            status = os.lstat(os.path.join(folder, name))  # noqa: PTH118 (a thousand folders, every pass)
            newest, total, count = max(newest, _time(status)), total + status.st_size, count + 1
        if count > MOST_LOOKED_AT:
            break
    return Look(newest, total, count)


def _time(status: os.stat_result) -> float:
    return max(status.st_mtime, status.st_ctime)
