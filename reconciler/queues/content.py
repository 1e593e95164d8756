"""The store of submissions by content: what is queued is a copy, so that an edit changes nothing that was handed in.

Submissions are other people's files. A folder is checked whole before anything is written, and copied into a temporary
folder that is renamed to its hash: a kill leaves nothing that could be taken for a submission. What is kept are files:
their names, contents and execute bits; folders without a file in them are not, as in git.
"""

import contextlib
import hashlib
import itertools
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from attrs import frozen

from reconciler.model.printable import printable

MOST_FILES = 10_000
MOST_BYTES = 1024**3
LONGEST_NAME = 100  # characters of a submission's name
LONGEST_FILE_NAME = 255  # bytes
LONGEST_PATH = 1000  # bytes, below the submission's folder: it must fit below other folders too
INCOMING = ".incoming"  # in the store: what is being copied
ABANDONED = 86_400.0  # seconds after which a copy there is one that was cut short

# Left out of every submission: what tools leave behind, never part of the work.
LEFT_OUT = frozenset({".git", ".hg", ".svn", "__pycache__", ".ipynb_checkpoints", ".DS_Store", ".mypy_cache",
                      ".pytest_cache", ".ruff_cache"})  # fmt: skip

_TOO_LARGE = "it is larger than 1 GiB; bring large data to machines by the pool's `files:`"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class InvalidSubmissionError(Exception):
    """A name or a folder that can never be a submission; the message says which part, and what to do."""


@frozen
class File:
    """One file of a submission: its path below the folder, and where its bytes are (a link's target)."""

    name: str
    source: Path
    executable: bool
    size: int  # bytes


def check_name(name: str) -> None:
    """Raise InvalidSubmissionError unless the name is one that can safely name folders and stand in a shell."""
    if not name:
        raise InvalidSubmissionError("a submission needs a name")
    if len(name) > LONGEST_NAME:
        raise InvalidSubmissionError(f"the name {printable(name, 40)} has {len(name)} characters; give it at most 100")
    if name.endswith(".csv"):
        raise InvalidSubmissionError(f"{name} ends like a score table, which lies among the results; drop .csv")
    if not _NAME.fullmatch(name):
        raise InvalidSubmissionError(
            f"{printable(name, 60)!r} cannot name a submission: use letters, digits, `.`, `_`, `+` and `-`, "
            "beginning with a letter or a digit"
        )


def keep(folder: Path, store: Path) -> str:
    """Copy a folder into the store, and answer with its hash. One that is there already is not written again.

    Raises InvalidSubmissionError for a folder that cannot be a submission, OSError when the store cannot be written.
    """
    files = list(survey(folder))
    root = folder.resolve()
    digest = _digest(files, root, None)
    if (store / digest).is_dir():
        return digest
    incoming = _incoming(store)
    try:
        digest = _digest(files, root, incoming)  # of what is stored: a file may have changed meanwhile
        _sync_all(incoming)
        try:
            incoming.rename(store / digest)
        except OSError:
            if not (store / digest).is_dir():  # else another process was quicker, with the same content
                raise
        _sync(store)
        return digest
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _incoming(store: Path) -> Path:
    """A new folder to copy into. Those that others left behind, when they were killed, are removed."""
    room = store / INCOMING
    room.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=room))
    for other in room.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if made.stat().st_mtime - other.stat().st_mtime > ABANDONED:
                shutil.rmtree(other, ignore_errors=True)
    return made


def survey(folder: Path) -> Iterator[File]:
    """The files of a submission, by name. Raises InvalidSubmissionError for what may not be in one."""
    root = _root(folder)
    found = list(itertools.islice(_walk(root, "", depth=0), MOST_FILES + 1))
    if len(found) > MOST_FILES:
        raise InvalidSubmissionError(f"it has more than {MOST_FILES} files; pack them, or bring them by `files:`")
    total = 0
    for name, path in sorted(found):
        file = _file(root, name, path)
        total += file.size
        if total > MOST_BYTES:
            raise InvalidSubmissionError(_TOO_LARGE)
        yield file


def _unreadable(what: str, error: OSError) -> InvalidSubmissionError:
    hint = "see whether it is still there, and whether it may be read"
    return InvalidSubmissionError(f"{printable(what)} cannot be read: {error.strerror}; {hint}")


def _file(root: Path, name: str, path: Path) -> File:
    try:
        source = path.resolve(strict=True)
        if path.is_symlink() and not source.is_relative_to(root):
            raise InvalidSubmissionError(
                f"{printable(name)} is a link that leads out of the folder; copy what it means"
            )
        found = source.stat()
    except OSError as error:
        raise _unreadable(name, error) from error
    except RuntimeError as error:  # how Python before 3.13 says that links lead round in circles
        raise InvalidSubmissionError(f"{printable(name)} is a link that leads to itself; remove it") from error
    if not stat.S_ISREG(found.st_mode):
        raise InvalidSubmissionError(f"{printable(name)} is not a regular file; leave it out")
    return File(name, source, bool(found.st_mode & stat.S_IXUSR), found.st_size)


def _root(folder: Path) -> Path:
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise InvalidSubmissionError(f"{folder} is not a folder; name the folder that holds the submission")
        return folder.resolve(strict=True)
    except OSError as error:
        raise _unreadable(str(folder), error) from error


def _walk(folder: Path, prefix: str, depth: int) -> Iterator[tuple[str, Path]]:
    """Everything below a folder that is not a folder. Links to folders are refused: they may lead round in circles."""
    if depth > 100:
        raise InvalidSubmissionError(f"{printable(prefix)} is nested more than 100 folders deep; pack it")
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise _unreadable(prefix or str(folder), error) from error
    for entry in entries:
        if entry.name in LEFT_OUT:
            continue
        name = prefix + entry.name
        _check_file_name(name, entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{name}/", depth + 1)
        elif entry.is_symlink() and os.path.isdir(entry.path):  # noqa: PTH112 (Path.is_dir raises for some links)
            raise InvalidSubmissionError(f"{printable(name)} is a link to a folder; copy the folder instead")
        else:
            yield name, Path(entry.path)


def _check_file_name(name: str, last: str) -> None:
    if any(ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 for char in last):
        raise InvalidSubmissionError(f"the file name {printable(name)} has a control character in it; rename it")
    if len(last.encode()) > LONGEST_FILE_NAME:
        raise InvalidSubmissionError(f"the file name {printable(name, 80)} is longer than 255 bytes; shorten it")
    if len(name.encode()) > LONGEST_PATH:
        raise InvalidSubmissionError(f"the path {printable(name, 80)} is longer than {LONGEST_PATH} bytes; shorten it")


def _digest(files: list[File], root: Path, into: Path | None) -> str:
    """Hash files in one reading, in which they are also copied if they are to be: what is stored is what was hashed."""
    digest = hashlib.sha256()
    room = MOST_BYTES
    for file in files:
        with _open(file, root) as source, _sink(file, into) as sink:
            one = hashlib.sha256()
            for piece in _pieces(source, file):
                room -= len(piece)  # one that grows meanwhile does not fill our disk
                if room < 0:
                    raise InvalidSubmissionError(_TOO_LARGE)
                one.update(piece)
                sink.write(piece)
        digest.update(f"{file.name}\0{file.executable:d}\0{one.hexdigest()}\n".encode())
    return digest.hexdigest()[:32]


def _pieces(source: BinaryIO, file: File) -> Iterator[bytes]:
    try:
        while piece := source.read(1024**2):
            yield piece
    except OSError as error:
        raise _unreadable(file.name, error) from error


@contextlib.contextmanager
def _sink(file: File, into: Path | None) -> Iterator[BinaryIO]:
    if into is None:
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123
            yield nothing
        return
    target = into / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as sink:
        yield sink
        sink.flush()
        os.fsync(sink.fileno())
    target.chmod(0o755 if file.executable else 0o644)


def _open(file: File, root: Path) -> BinaryIO:
    """Open what was surveyed, and nothing that somebody has put in its place, or in a folder's above it, since."""
    try:
        opened = os.fdopen(os.open(file.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise _unreadable(file.name, error) from error
    regular = stat.S_ISREG(os.fstat(opened.fileno()).st_mode)
    if regular and Path(f"/proc/self/fd/{opened.fileno()}").readlink().is_relative_to(root):
        return opened
    opened.close()
    raise InvalidSubmissionError(f"{printable(file.name)} is not a regular file of the folder; leave it out")


def _sync_all(folder: Path) -> None:
    """Bring the entries of a folder and of all folders below it to disk."""
    for inner, _, _ in os.walk(folder):
        _sync(Path(inner))


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
