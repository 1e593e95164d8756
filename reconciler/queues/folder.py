"""A queue that is a folder: each folder in it is a submission, taken once it has been left alone for two seconds.

The folder is its users' desk: a name that cannot be a submission's, or a bad file, is that submission's fault and is
shown; the others go on.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from attrs import Factory, define, evolve, frozen

from reconciler.model.printable import printable
from reconciler.queues.base import Entry, Reading
from reconciler.queues.content import LEFT_OUT, LONGEST_NAME, InvalidSubmissionError, check_name, keep
from reconciler.spec.errors import SpecError
from reconciler.spec.loader import load_submission
from reconciler.spec.values import SubmissionOptions

SETTLED = 2.0  # seconds for which nothing in a submission may have changed
OPTIONS = "submission.yml"
MOST_LOOKED_AT = 20_000  # files whose times are compared; a folder with more is refused when it is copied
MOST_PROBLEMS = 3  # of a submission.yml, in one message
_SECOND = 1_000_000_000  # nanoseconds


@frozen
class Look:
    """What tells one state of a folder from another without reading its files."""

    changed: int  # nanoseconds since the epoch, the newest: unlike the time of writing, nobody can set it back
    written: int
    total: int  # bytes
    count: int


@frozen
class Known:
    """A folder as it was last taken."""

    look: Look
    entry: Entry
    seen: float  # when it was last there


class _UnsettledError(Exception):
    """The folder is being written, or was just now."""


@define
class FolderQueue:
    """Reads a folder of submissions. What has not changed since the last reading is not copied again."""

    folder: Path
    store: Path
    clock: Callable[[], float] = time.time
    name: str = "folder"
    _known: dict[str, Known] = Factory(dict)

    async def read(self) -> Reading:
        """Everything that the folder holds now. One that cannot be listed is a bad reading, and proves nothing."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> Reading:
        try:
            with os.scandir(self.folder) as listed:
                found = sorted(entry.name for entry in listed if _is_submission(entry))
        except OSError as error:
            return self._bad(f"{self.folder} cannot be listed: {error.strerror}")
        entries: list[Entry] = []
        unsettled = self._just_gone(set(found))
        for name in found:
            try:
                entries.append(self._entry(name))
            except _UnsettledError:
                unsettled.add(_key(name))
            except OSError as error:
                return self._bad(f"submissions cannot be kept in {self.store}: {error.strerror}")
        return Reading(queue=self.name, entries=tuple(entries), unsettled=frozenset(unsettled))

    def _bad(self, error: str) -> Reading:
        return Reading(queue=self.name, good=False, error=error)

    def _just_gone(self, found: set[str]) -> set[str]:
        """Keys of folders that were there a moment ago: whoever replaces one removes the old one first."""
        now = self.clock()
        gone = {name for name in self._known if name not in found}
        lately = {name for name in gone if 0 <= now - self._known[name].seen < SETTLED}
        for name in gone - lately:
            del self._known[name]
        return {_key(name) for name in lately}

    def _entry(self, name: str) -> Entry:
        """One submission. Raises _UnsettledError while it is being written, OSError when the store cannot be."""
        path = self.folder / name
        look = _look(path)
        before = self._known.get(name)
        if before and before.look == look:
            entry = before.entry
        elif 0 <= self.clock() - look.changed / _SECOND < SETTLED:
            raise _UnsettledError(name)
        else:
            entry = self._taken(name, path)
            if _look(path) != look:  # what was copied may be half of the old and half of the new
                raise _UnsettledError(name)
        self._known[name] = Known(look, entry, self.clock())
        return entry

    def _taken(self, name: str, path: Path) -> Entry:
        problem, content, options = "", "", SubmissionOptions()
        try:
            check_name(name)
            if path.is_symlink():
                raise InvalidSubmissionError(f"{name} is a link; copy the folder itself into the queue's")
            content = keep(path, self.store)
            options = self._options(content, path)
        except InvalidSubmissionError as error:
            problem = str(error)
        shown = printable(name, LONGEST_NAME) or "?"
        return Entry(key=_key(name), name=shown, content=content, options=options, problem=problem)

    def _options(self, content: str, path: Path) -> SubmissionOptions:
        """What the submission says of itself, read from the copy: the folder may hold another by now, or a link."""
        file = self.store / content / OPTIONS
        if not file.exists():
            return SubmissionOptions()
        try:
            return load_submission(file)
        except SpecError as error:
            problems = [
                str(evolve(problem, file=Path(path.name, OPTIONS))) for problem in error.problems[:MOST_PROBLEMS]
            ]
            raise InvalidSubmissionError("; ".join(problems)) from error


def _is_submission(entry: "os.DirEntry[str]") -> bool:
    """Links to folders are submissions that are refused, so that whoever made one hears of it."""
    is_folder = entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry.path))  # noqa: PTH112
    return is_folder and not entry.name.startswith(".") and entry.name not in LEFT_OUT


def _key(name: str) -> str:
    """A folder's name as text that any database takes: names that are not UTF-8 are spelt out."""
    return name.encode(errors="backslashreplace").decode()


def _look(path: Path) -> Look:
    """The newest times, the size and the number of all that lies in a folder. Raises _UnsettledError when it moves."""
    try:
        return _summed(status for status in _statuses(str(path)))
    except OSError as error:
        raise _UnsettledError(path.name) from error


def _statuses(path: str) -> Iterator[os.stat_result]:
    yield os.lstat(path)
    left = MOST_LOOKED_AT
    for folder, folders, files in os.walk(path):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        for name in (*folders, *files):
            yield os.lstat(f"{folder}/{name}")
            left -= 1
        if left < 0:
            return


def _summed(statuses: Iterable[os.stat_result]) -> Look:
    changed = written = total = count = 0
    for status in statuses:
        changed, written = max(changed, status.st_ctime_ns), max(written, status.st_mtime_ns)
        total, count = total + status.st_size, count + 1
    return Look(changed, written, total, count)
