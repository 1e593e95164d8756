"""The store of submissions by content: what is queued is a copy, so that an edit changes nothing that was handed in.

Submissions are other people's files. A folder is checked whole before anything is written, and copied into a temporary
folder that is renamed to its hash: a kill leaves nothing that could be taken for a submission.
"""

import hashlib
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
INCOMING = ".incoming-"

# Left out of every submission: what tools leave behind, never part of the work.
LEFT_OUT = frozenset({".git", ".hg", ".svn", "__pycache__", ".ipynb_checkpoints", ".DS_Store", ".mypy_cache",
                      ".pytest_cache", ".ruff_cache"})  # fmt: skip

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
    store.mkdir(parents=True, exist_ok=True)
    incoming = Path(tempfile.mkdtemp(prefix=INCOMING, dir=store))
    try:
        digest = _copy(files, incoming)
        target = store / digest
        if not target.exists():
            _sync(incoming)
            try:
                incoming.rename(target)
            except OSError:
                if not target.exists():  # else another process was quicker, with the same content
                    raise
            _sync(store)
        return digest
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def survey(folder: Path) -> Iterator[File]:
    """The files of a submission, by name. Raises InvalidSubmissionError for what may not be in one."""
    root = _root(folder)
    count = total = 0
    for name, path in sorted(_walk(root, "", depth=0)):
        source = path.resolve()
        if path.is_symlink() and not source.is_relative_to(root):
            raise InvalidSubmissionError(
                f"{printable(name)} is a link that leads out of the folder; copy what it means"
            )
        try:
            found = source.stat()
        except OSError as error:
            raise InvalidSubmissionError(f"{printable(name)} cannot be read: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise InvalidSubmissionError(f"{printable(name)} is not a regular file; leave it out")
        count, total = count + 1, total + found.st_size
        if count > MOST_FILES:
            raise InvalidSubmissionError(f"it has more than {MOST_FILES} files; pack them, or bring them by `files:`")
        if total > MOST_BYTES:
            raise InvalidSubmissionError("it is larger than 1 GiB; bring large data to machines by the pool's `files:`")
        yield File(name, source, bool(found.st_mode & stat.S_IXUSR), found.st_size)


def _root(folder: Path) -> Path:
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise InvalidSubmissionError(f"{folder} is not a folder; name the folder that holds the submission")
        return folder.resolve(strict=True)
    except OSError as error:
        raise InvalidSubmissionError(f"{folder} cannot be read: {error.strerror}") from error


def _walk(folder: Path, prefix: str, depth: int) -> Iterator[tuple[str, Path]]:
    """Everything below a folder that is not a folder. Links to folders are refused: they may lead round in circles."""
    if depth > 100:
        raise InvalidSubmissionError(f"{printable(prefix)} is nested more than 100 folders deep")
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise InvalidSubmissionError(f"{printable(prefix) or folder} cannot be read: {error.strerror}") from error
    for entry in entries:
        if entry.name in LEFT_OUT:
            continue
        name = prefix + entry.name
        _check_file_name(name, entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{name}/", depth + 1)
        elif entry.is_symlink() and Path(entry.path).is_dir():
            raise InvalidSubmissionError(f"{printable(name)} is a link to a folder; copy the folder instead")
        else:
            yield name, Path(entry.path)


def _check_file_name(name: str, last: str) -> None:
    if any(ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 for char in last):
        raise InvalidSubmissionError(f"the file name {printable(name)} has a control character in it; rename it")
    if len(last.encode()) > LONGEST_FILE_NAME:
        raise InvalidSubmissionError(f"the file name {printable(name, 80)} is longer than 255 bytes; shorten it")


def _copy(files: list[File], into: Path) -> str:
    """Copy and hash in one reading, so that what is stored is what was hashed: a file may change meanwhile."""
    digest = hashlib.sha256()
    for file in files:
        target = into / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        one = hashlib.sha256()
        with _open(file) as source, target.open("wb") as sink:
            while piece := source.read(1024**2):
                one.update(piece)
                sink.write(piece)
            sink.flush()
            os.fsync(sink.fileno())
        target.chmod(0o755 if file.executable else 0o644)
        digest.update(f"{file.name}\0{file.executable:d}\0{one.hexdigest()}\n".encode())
    return digest.hexdigest()[:32]


def _open(file: File) -> BinaryIO:
    """Open what was surveyed, and nothing that somebody has put in its place since."""
    try:
        opened = os.fdopen(os.open(file.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise InvalidSubmissionError(f"{printable(file.name)} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise InvalidSubmissionError(f"{printable(file.name)} is not a regular file; leave it out")
    return opened


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
