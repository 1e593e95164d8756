"""What goes to a machine, as a tar stream made while it is sent. Only regular files and folders leave this computer."""

import asyncio
import os
import re
import stat
import tarfile
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

from attrs import evolve, frozen

from reconciler.hosts.base import HostRefusedError
from reconciler.hosts.globs import GlobError, globs_to_lines
from reconciler.model.job import Job

_PIECE = 1024 * 1024  # bytes sent at once
_BLOCK = tarfile.RECORDSIZE
_SAID_THERE = "RECONCILER_ATTEMPT"  # the job's id, by which the agent knows the job's processes
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@frozen
class Entry:
    """One member of the stream: a folder, some bytes, or a file of this computer."""

    name: str
    content: bytes | Path | None  # None: a folder
    executable: bool = False

    def below(self, folder: str) -> "Entry":
        """The same, within a folder of that name."""
        return evolve(self, name=f"{folder}/{self.name}")


@frozen
class Upload:
    """Everything of one job, and how much that is."""

    job: str
    entries: tuple[Entry, ...]
    size: int  # bytes, of contents alone


def job_upload(job: Job) -> Upload:
    """What goes to a machine for a job. Raises HostRefusedError, as `job_entries` does."""
    entries = tuple(job_entries(job))
    return Upload(job.id, tuple(entry.below(job.id) for entry in entries), sum(map(_size, entries)))


def job_entries(job: Job) -> Iterator[Entry]:
    """Everything of a job: its work folder first, what to run last, so that a stream cut off is never a whole job.

    Raises HostRefusedError for a job that no host can run, and where its folder cannot be read.
    """
    yield Entry("work", None)
    if job.folder is not None:
        yield from folder_entries(job.folder, "work")
    if job.resume is not None:
        yield Entry(f"work/{job.checkpoint}", None)
        yield from folder_entries(job.resume, f"work/{job.checkpoint}")
    yield Entry("spec", None)
    yield Entry("spec/env", None)
    for name, value in job.env.items():
        if name == _SAID_THERE:
            continue
        if not _NAME.fullmatch(name) or "\0" in value:
            raise HostRefusedError(
                f"{name!r} cannot be an environment variable: use letters, digits and underscores, no NUL"
            )
        yield Entry(f"spec/env/{name}", os.fsencode(value))
    try:
        outputs = globs_to_lines(job.outputs)
    except GlobError as error:
        raise HostRefusedError(str(error)) from error
    if outputs:
        yield Entry("spec/outputs", outputs)
    yield Entry("spec/command", job.command.encode("utf-8", "surrogateescape"))
    if job.papers:
        yield Entry("spec/papers", job.papers.encode("utf-8", "surrogateescape"))
    limit = "-" if job.limit is None else max(1, round(job.limit * 100))  # centiseconds
    terms = f"{job.runs_in} {job.output_limits.files} {job.output_limits.bytes} {limit}\n"
    yield Entry("spec/terms", terms.encode())


def folder_entries(folder: Path, prefix: str) -> Iterator[Entry]:
    """The files and folders below `folder`, in a stable order. A link that stays inside becomes the file it points to.

    Raises HostRefusedError for anything else.
    """
    root = folder.resolve()
    try:
        for where, folders, files in os.walk(folder, onerror=_raise):
            folders.sort()
            inside = Path(where).relative_to(folder)
            for name in sorted(folders + files):
                yield _entry(Path(where, name), f"{prefix}/{(inside / name).as_posix()}", root)
    except OSError as error:
        raise HostRefusedError(f"cannot read {error.filename}: {error.strerror}") from error


def path_entries(source: Path, name: str) -> Iterator[Entry]:
    """A file or a folder of this computer under another name. Raises HostRefusedError."""
    if source.is_dir():
        yield Entry(name, None)
        yield from folder_entries(source, name)
    elif source.is_file():
        yield Entry(name, source, os.access(source, os.X_OK))
    else:
        raise HostRefusedError(f"cannot bring {source}: there is no such file or folder")


async def tar_stream(entries: Iterable[Entry]) -> AsyncIterator[bytes]:
    """The entries as a tar, in pieces of about 1 MiB. Files are read by a thread. Raises HostRefusedError."""
    pieces = _pieces(entries)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
        if len(piece) < _PIECE:
            return  # the last one, and of a small submission the only one


def _size(entry: Entry) -> int:
    if isinstance(entry.content, Path):
        try:
            return entry.content.stat().st_size
        except OSError as error:
            raise HostRefusedError(f"cannot read {entry.content}: {error.strerror}") from error
    return len(entry.content or b"")


def _raise(error: OSError) -> None:
    raise error


def _entry(path: Path, name: str, root: Path) -> Entry:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        target = path.resolve()
        if not target.is_relative_to(root) or not target.is_file():
            raise HostRefusedError(f"{path} is a link that leads outside its folder, or to no file")
        return Entry(name, target, os.access(target, os.X_OK))
    if stat.S_ISDIR(mode):
        return Entry(name, None)
    if not stat.S_ISREG(mode):
        raise HostRefusedError(f"{path} is neither a file nor a folder")
    return Entry(name, path, bool(mode & stat.S_IXUSR))


def _pieces(entries: Iterable[Entry]) -> Iterator[bytes]:
    buffer = bytearray()
    total = 0
    for entry in entries:
        for part in _member(entry):
            buffer += part
            if len(buffer) >= _PIECE:
                total += len(buffer)
                yield bytes(buffer)
                buffer.clear()
    total += len(buffer)
    buffer += bytes(2 * tarfile.BLOCKSIZE + -(total + 2 * tarfile.BLOCKSIZE) % _BLOCK)
    yield bytes(buffer)


def _member(entry: Entry) -> Iterator[bytes]:
    """A header and the content, padded. Owner and times are nobody's; GNU's format is what every tar can read."""
    info = tarfile.TarInfo(entry.name)
    if entry.content is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        yield _header(info)
    elif isinstance(entry.content, bytes):
        info.size, info.mode = len(entry.content), 0o644
        yield _header(info) + entry.content + bytes(-info.size % tarfile.BLOCKSIZE)
    else:
        yield from _file(info, entry.content, 0o755 if entry.executable else 0o644)


def _file(info: tarfile.TarInfo, path: Path, mode: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            info.size, info.mode, info.mtime = status.st_size, mode, int(status.st_mtime)
            yield _header(info)
            left = info.size
            while left:
                part = file.read(min(left, _PIECE))
                if not part:
                    raise HostRefusedError(f"{path} became shorter while it was sent")
                left -= len(part)
                yield part
    except OSError as error:
        raise HostRefusedError(f"cannot read {path}: {error.strerror}") from error
    yield bytes(-info.size % tarfile.BLOCKSIZE)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
