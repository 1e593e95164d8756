"""Writing and removing files so that a kill in between shows either the old or the new, and never half of it."""

import contextlib
import errno
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by its new content, on disk before anybody sees it."""
    handle, name = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's own entries to disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_tree(top: Path) -> None:
    """Remove a folder whose names are ours and whose depths are not: jobs wrote them.

    Folders below are moved up to the top, one after another, so neither a deep tree nor a read-only mode stops it, and
    no path grows long. Two may remove the same tree at once. Raises OSError for what cannot be removed.
    """
    prefix = os.urandom(8).hex()
    names = (f".up-{prefix}-{number}" for number in itertools.count())
    with contextlib.suppress(FileNotFoundError):
        top.chmod(0o700)
        while not _is_removed(top):
            for entry in _entries(top):
                with contextlib.suppress(FileNotFoundError):
                    _remove(entry, top, names)


def _is_removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        return False
    return True


def _remove(entry: os.DirEntry[str], top: Path, names: Iterator[str]) -> None:
    path = Path(entry.path)
    if not entry.is_dir(follow_symlinks=False):
        path.unlink()
        return
    path.chmod(0o700)
    for child in _entries(path):
        with contextlib.suppress(FileNotFoundError):
            if child.is_dir(follow_symlinks=False):
                Path(child.path).chmod(0o700)
                Path(child.path).rename(top / next(names))
            else:
                Path(child.path).unlink()
    path.rmdir()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)
