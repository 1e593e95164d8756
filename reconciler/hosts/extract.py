"""What comes home from a machine: other people's files, checked once more on this side before they touch the disk."""

import asyncio
import errno
import os
import shutil
import tarfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, cast

from attrs import frozen

from reconciler.hosts.base import UnreachableError, UnstorableError
from reconciler.hosts.wire import parse_lines
from reconciler.model.job import Collected, JobReport, OutputLimits

LOG = "log"
MANIFEST = "manifest.json"  # written beside the outputs once they are home
# Names in the folder that no output may have.
_TAKEN = MappingProxyType({LOG: "the job's log", MANIFEST: "the manifest"})
_LONGEST_LOG = 80 * 1024**2  # bytes; the agent shortens a log to less
_MOST_REFUSALS = 101  # the agent lists a hundred, and says how many more there are
_LONGEST_LINE = 4096  # bytes of the agent's word on one job
_PIECE = 1024 * 1024
_CHUNK = 256 * 1024  # bytes that are copied at a time: more would not stay in a processor's cache, less costs calls
_NAME_FAULTS = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)


@frozen
class Home:
    """Where a job's log and outputs go: a new folder; and how much of outputs may come in."""

    folder: Path
    limits: OutputLimits


async def extract(stream: AsyncIterator[bytes], homes: Mapping[str, Home]) -> Sequence[Collected]:
    """Unpack what the agent's `pack` sends of these jobs, each into its folder, synced to disk.

    Raises UnreachableError when the stream is cut off or makes no sense, UnstorableError when this computer cannot
    write it, and what the stream itself raises.
    """
    pipe = _Pipe(stream, asyncio.get_running_loop())
    worker = asyncio.ensure_future(asyncio.to_thread(_unpack, pipe, homes))
    try:
        return await asyncio.shield(worker)
    finally:
        pipe.stop()
        await asyncio.wait([worker])  # so that nobody writes into the folder after we are gone
        if not worker.cancelled():
            worker.exception()  # seen already, or of no interest after a cancellation


class _Pipe:
    """An asynchronous stream as a file that a thread reads."""

    def __init__(self, stream: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop
        self._buffer = b""
        self._at = 0
        self._stopped = False
        self._pending: asyncio.Task[bytes] | None = None

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        if self._at == len(self._buffer):
            self._buffer, self._at = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result(), 0
        piece = self._buffer[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def drain(self) -> None:
        """Read to the end, which is where a command says that it failed."""
        while self.read(_PIECE):
            pass

    def stop(self) -> None:
        """In the loop's thread: end a read that waits, and every later one."""
        self._stopped = True
        if self._pending is not None:
            self._pending.cancel()

    async def _next(self) -> bytes:
        if self._stopped:
            raise asyncio.CancelledError
        self._pending = asyncio.current_task()
        try:
            async for piece in self._stream:
                if piece:
                    return piece
            return b""
        finally:
            self._pending = None


def _unpack(pipe: _Pipe, homes: Mapping[str, Home]) -> Sequence[Collected]:
    """All of it, in a thread of its own. After an error nothing is left, so that another try begins anew."""
    unpackings: dict[str, _Unpacking] = {}
    try:
        for job, home in homes.items():
            _make_empty(home.folder)
            unpackings[job] = _Unpacking(job, home.folder, home.limits)
        _sort(pipe, unpackings)
        return [each.finish() for each in unpackings.values()]
    except BaseException as error:
        for job in unpackings:
            shutil.rmtree(homes[job].folder, ignore_errors=True)
        if isinstance(error, OSError):
            what = error.filename or "what came home"
            raise UnstorableError(f"cannot write {what}: {error.strerror}") from error
        raise


def _make_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise UnstorableError(f"{folder} is not empty: results are written to a new folder only")


def _sort(pipe: _Pipe, unpackings: Mapping[str, "_Unpacking"]) -> None:
    """Each member to its job."""
    try:
        # The agent sends one archive after another: end marks in between are passed over.
        with tarfile.open(
            mode="r|",
            fileobj=cast("IO[bytes]", pipe),
            bufsize=_CHUNK,
            ignore_zeros=True,
            errors="surrogateescape",
        ) as archive:
            for member in archive:
                job, _, name = member.name.partition("/")
                if job not in unpackings:
                    raise UnreachableError(f"the host sent {member.name!r}, which nobody asked for")
                unpackings[job].take(archive, member, name)
        pipe.drain()
    except (tarfile.TarError, EOFError) as error:
        pipe.drain()
        raise UnreachableError(f"what the host sent is no archive: {error}") from error


class _Unpacking:
    """One job's collection, as far as it has come."""

    def __init__(self, job: str, into: Path, limits: OutputLimits) -> None:
        self._job = job
        self._into = into
        self._limits = limits
        self._outputs: set[str] = set()
        self._folders = {into}
        self._refused: list[str] = []
        self._bytes = 0
        self._report: JobReport | None = None  # the last thing to come

    def finish(self) -> Collected:
        """All has come, and is on the disk. Raises UnreachableError where it has not."""
        if self._report is None:
            raise UnreachableError("what the host sent was cut off")
        self._sync()
        return Collected(
            report=self._report,
            log=self._into / LOG,
            outputs=tuple(sorted(self._outputs)),
            refused=tuple(_shown(line) for line in self._refused),
            bytes=self._bytes,
        )

    def take(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        """One member, whose path in the job's folder this is."""
        if path == "exit" and member.isreg() and self._report is None:
            self._report = self._last_word(archive, member)
        elif path == "log" and member.isreg() and not (self._into / LOG).exists():
            self._write(archive, member, self._into / LOG, _LONGEST_LOG)
        elif path == "refused" and member.isreg():
            self._refused += self._agents_refusals(archive, member)
        elif path.startswith("work/"):
            name = path.removeprefix("work/")
            why = self._fault(name, member) or self._store(archive, member, name)
            if why:
                self._refuse(f"{name}: {why}")
        else:
            raise UnreachableError(f"the host sent {member.name!r}, which nobody asked for")

    def _last_word(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> JobReport:
        file = archive.extractfile(member)
        line = file.readline(_LONGEST_LINE) if file else b""  # what follows it is the rest of a spare
        (report,) = parse_lines(line, [self._job])
        return report

    def _agents_refusals(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> list[str]:
        file = archive.extractfile(member)
        text = file.read(_PIECE).decode("utf-8", "surrogateescape") if file else ""
        return [line for line in text.split("\n") if line][:_MOST_REFUSALS]

    def _refuse(self, line: str) -> None:
        if len(self._refused) < _MOST_REFUSALS:
            self._refused.append(line)

    def _fault(self, name: str, member: tarfile.TarInfo) -> str:
        """Why this output may not come in, or nothing."""
        parts = name.split("/")
        if any(part in ("", ".", "..") for part in parts):
            return "its path leads elsewhere"
        if parts[0] in _TAKEN:
            return f"its name is taken by {_TAKEN[parts[0]]}"
        if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in name):
            return "a control character in its name"
        if any(0xD800 <= ord(character) < 0xE000 for character in name):
            return "its name is not UTF-8"
        if name in self._outputs:
            return "there are two of that name"
        if not (member.isreg() or member.islnk()):
            return "not a regular file"
        if len(self._outputs) >= self._limits.files:
            return f"over the limit of {self._limits.files} files"
        return ""

    def _store(self, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> str:
        """Write one output. Says why not, where the fault is the output's."""
        path = self._into / name
        left = self._limits.bytes - self._bytes
        try:
            if member.islnk():
                return self._copy(member.linkname.partition("/work/")[2], path, name, left)
            if member.size > left:
                return f"over the limit of {self._limits.bytes} bytes"
            self._write(archive, member, path, left)
        except (NotADirectoryError, FileExistsError, IsADirectoryError):
            return "its path collides with another output"
        except OSError as error:
            if error.errno not in _NAME_FAULTS:
                raise
            return "this computer cannot have a file of that name"
        self._outputs.add(name)
        self._bytes += member.size
        return ""

    def _copy(self, source: str, path: Path, name: str, left: int) -> str:
        """A second name of a file that has come already: brought as a file of its own."""
        if source not in self._outputs:
            return "a second name of a file that is no output"
        size = (self._into / source).stat().st_size
        if size > left:
            return f"over the limit of {self._limits.bytes} bytes"
        self._make_folder(path.parent)
        with (self._into / source).open("rb") as file, path.open("xb") as copy:
            while piece := file.read(_PIECE):
                copy.write(piece)
        self._outputs.add(name)
        self._bytes += size
        return ""

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, most: int) -> None:
        if member.size > most:
            raise UnreachableError(f"the host sent {member.name!r} with {member.size} bytes, which is more than it may")
        file = archive.extractfile(member)
        if file is None:
            raise UnreachableError(f"the host sent {member.name!r}, which is no file")
        self._make_folder(path.parent)
        with path.open("xb") as target:
            while piece := file.read(_CHUNK):
                target.write(piece)

    def _make_folder(self, folder: Path) -> None:
        if folder not in self._folders:
            self._make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            self._folders.add(folder)

    def _sync(self) -> None:
        if not (self._into / LOG).exists():
            raise UnreachableError("the host sent no log")
        paths = [self._into / LOG, *(self._into / name for name in self._outputs)]
        for path in (*paths, *sorted(self._folders, reverse=True)):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _shown(line: str) -> str:
    """A line that is safe to print and to store: control characters and broken UTF-8 become question marks."""
    safe = line.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\ufffd", "?")
    return "".join("?" if ord(character) < 32 or 127 <= ord(character) < 160 else character for character in safe)
