"""Local machines as folders: the one place that makes, reads, turns and ends them.

Below the root: `<cloud_id>/` is a machine, with `machine.json` and `home/`, which is called `home.off/` while nothing
may enter. `.ended/<cloud_id>` are tombstones, so that a replayed launch finds what has ended; a machine has ended when
it has one and its folder is gone. `.new-…` is a launch that is being made, `.launch-…` one that is made and whose
machines are on their way to their places. `<root>.lock` lies beside the root: it keeps two processes apart, and a root
that is gone while its lock is there has vanished, with all that was known.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from attrs import evolve, frozen

from reconciler.clouds.local_files import remove_tree, sync_folder, write_whole
from reconciler.clouds.local_lock import held
from reconciler.clouds.local_record import Record, boot_id_of, born_of, cloud_id_of, fingerprint, parse
from reconciler.model.offer import LaunchRequest, MachineState

CLOUD_ID = re.compile(r"local-[0-9a-f]{20}")
SHOWN = 3600.0  # seconds that an ended machine stays in listings
KEPT = 48 * 3600.0  # seconds that its token stays known
_FROM: Mapping[MachineState, frozenset[MachineState]] = MappingProxyType({
    MachineState.RUNNING: frozenset({MachineState.STOPPED}),
    MachineState.STOPPING: frozenset({MachineState.RUNNING, MachineState.STOPPING, MachineState.STOPPED}),
    MachineState.STOPPED: frozenset({MachineState.STOPPING}),
    MachineState.SHUTTING_DOWN: frozenset(MachineState),
})  # fmt: skip


class VanishedError(Exception):
    """The root is gone, so nothing can be said about its machines."""


class BrokenError(Exception):
    """A machine's own file makes no sense."""


class FullError(Exception):
    """There are as many machines as there may be."""


class MismatchError(Exception):
    """The token was used for another request."""


@frozen
class Scan:
    """What lies below the root."""

    live: tuple[Record, ...]
    ended: tuple[Record, ...]  # within the last hour
    broken: tuple[str, ...]  # why something there could not be read


class Folders:
    """The machines below one root. Blocking; safe from several threads and processes at once."""

    def __init__(self, root: Path, clock: Callable[[], float]) -> None:
        self.root = root
        self._clock = clock
        self._lock = root.with_name(root.name + ".lock")
        self._ended = root / ".ended"

    def scan(self) -> Scan:
        """Everything below the root, by its names and one small read for each. Raises VanishedError, BusyError."""
        if not self._is_used():
            return Scan((), (), ())
        if self._launches():
            with self._locked():
                self._finish_launches()
        broken: list[str] = []
        # Live ones first: what ends between the two reads is then found in both, and never in neither.
        live = [record for name in self._names() if (record := self._tolerant(self._live, name, broken))]
        known = {record.cloud_id for record in live}
        recent = [name for name in self._recently_ended() if name not in known]
        ended = [record for name in recent if (record := self._tolerant(self._tombstone, name, broken))]
        return Scan(tuple(live), tuple(ended), tuple(broken))

    def find(self, cloud_id: str) -> Record | None:
        """One machine, live or ended; None where there never was one. Raises VanishedError, BrokenError."""
        if not self._is_used() or not CLOUD_ID.fullmatch(cloud_id):
            return None
        return self._live(cloud_id) or self._tombstone(cloud_id)

    def home(self, cloud_id: str) -> Path:
        """A machine's own home folder."""
        return self.root / cloud_id / "home"

    def mark(self, cloud_id: str) -> str:
        """What tells a machine's processes from all others on this computer: its id, and its very folder.

        A copy of the whole root, or another root with the same tokens, has machines of the same ids.
        """
        try:
            status = (self.root / cloud_id).stat()
        except (FileNotFoundError, NotADirectoryError):
            return cloud_id
        return f"{cloud_id}.{status.st_dev:x}.{status.st_ino:x}"

    def boot_id(self, cloud_id: str) -> Path:
        """The file that names the machine's boot to its agent."""
        return self.root / cloud_id / "boot_id"

    def write_boot_id(self, record: Record) -> None:
        """Name a running machine's boot: another one after it was stopped, and after this computer was."""
        content = boot_id_of(record, Path("/proc/sys/kernel/random/boot_id").read_text()).encode() + b"\n"
        path = self.boot_id(record.cloud_id)
        if not path.exists() or path.read_bytes() != content:
            write_whole(path, content)

    def launch(self, request: LaunchRequest, *, boot: float, capacity: int | None) -> list[Record]:
        """The machines of a token: those that it bought before, or new ones, at most as many as there is room for.

        Raises FullError, MismatchError, VanishedError, BrokenError, BusyError.
        """
        with self._locked():
            self._finish_launches()
            bought = [self.find(cloud_id_of(request.token, index)) for index in range(request.count)]
            found = [record for record in bought if record]
            if any(record.request not in ("", fingerprint(request)) for record in found):
                raise MismatchError(f"token {request.token} was used for another request")
            if found:
                return found
            live = sum(1 for _ in self._names())
            room = request.count if capacity is None else min(request.count, capacity - live)
            if room < 1:
                raise FullError(f"{live} machines are in {self.root}, and {capacity} may be")
            records = [born_of(request, index, now=self._clock(), boot=boot) for index in range(room)]
            self._make(records)
            self._finish_launches()
            return records

    def turn(self, cloud_id: str, state: MachineState, reason: str = "") -> Record | None:
        """Write a live machine's new state; None where it is not live, or cannot come to it from the state it is in.

        Only a running machine has a home that can be entered. One that starts counts its boot time anew.
        """
        with self._locked():
            if not self.is_live(cloud_id):
                return None
            record = self._salvaged(cloud_id)
            if MachineState(record.state) not in _FROM[state]:
                return None
            record = record.turned(state, reason)
            if state is MachineState.RUNNING:
                record = evolve(record, up=self._clock() + record.boot)
                _move(self.root / cloud_id / "home.off", self.home(cloud_id))
            else:
                _move(self.home(cloud_id), self.root / cloud_id / "home.off")
            write_whole(self.root / cloud_id / "machine.json", record.to_json())
            return record

    def bury(self, cloud_id: str) -> None:
        """Remove a machine that has no processes, its homes first and its name last, and leave a tombstone.

        Cut short anywhere, it leaves a machine that is still being ended. Raises OSError for what cannot be removed.
        """
        folder = self.root / cloud_id
        with contextlib.suppress(FileNotFoundError):
            for path in folder.iterdir():
                if path.name != "machine.json":
                    _remove(path)
        with self._locked():
            if self.is_live(cloud_id):
                self._entomb(cloud_id)
                remove_tree(folder)
                sync_folder(self.root)

    def prune(self) -> None:
        """Remove tombstones that nobody will ask for again."""
        for entry in self._tombstones():
            with contextlib.suppress(FileNotFoundError):
                if self._clock() - entry.stat().st_mtime > KEPT:
                    Path(entry.path).unlink()

    def is_live(self, cloud_id: str) -> bool:
        """Whether the machine's folder is there. Raises VanishedError."""
        return self._is_used() and CLOUD_ID.fullmatch(cloud_id) is not None and (self.root / cloud_id).is_dir()

    def _is_used(self) -> bool:
        """Whether there ever was a machine here. Raises VanishedError.

        The root is made before its lock, and so looked for after it: another process may be making both just now.
        """
        was_used = self._lock.exists()
        if self.root.is_dir():
            return True
        if was_used:
            raise VanishedError(
                f"{self.root} is gone, so what became of its machines is unknown; bring it back, or make it anew with "
                f"`mkdir {self.root}` if they are gone for good"
            )
        return False

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._is_used():
            self.root.mkdir(parents=True, exist_ok=True)
        with held(self._lock):
            self._is_used()
            yield

    def _make(self, records: list[Record]) -> None:
        """Bring all machines of a launch about at once: a kill leaves all of them, or none."""
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=self.root))
        for record in records:
            (new / record.cloud_id / "home").mkdir(parents=True)
            write_whole(new / record.cloud_id / "machine.json", record.to_json())
        sync_folder(new)
        new.rename(new.with_name(new.name.replace(".new-", ".launch-")))
        sync_folder(self.root)

    def _finish_launches(self) -> None:
        """Move machines of launches that are made to their places; what was not made is dropped. Under the lock."""
        launches = self._launches()
        for launch in launches:
            if launch.name.startswith(".new-"):
                remove_tree(launch)
                continue
            for machine in launch.iterdir():
                machine.rename(self.root / machine.name)
            launch.rmdir()
        if launches:
            sync_folder(self.root)

    def _launches(self) -> list[Path]:
        with os.scandir(self.root) as entries:
            return [Path(entry.path) for entry in entries if entry.name.startswith((".new-", ".launch-"))]

    def _entomb(self, cloud_id: str) -> None:
        tombstone = self._ended / cloud_id
        if not tombstone.exists():
            record = self._salvaged(cloud_id)
            self._ended.mkdir(exist_ok=True)
            write_whole(tombstone, record.turned(MachineState.TERMINATED, record.reason).to_json())
            os.utime(tombstone, (self._clock(), self._clock()))

    def _names(self) -> Iterator[str]:
        with os.scandir(self.root) as entries:
            yield from (entry.name for entry in entries if CLOUD_ID.fullmatch(entry.name) and entry.is_dir())

    def _tombstones(self) -> list[os.DirEntry[str]]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self._ended) as entries:
            return [entry for entry in entries if CLOUD_ID.fullmatch(entry.name)]
        return []

    def _recently_ended(self) -> Iterator[str]:
        for entry in self._tombstones():
            with contextlib.suppress(FileNotFoundError):
                if self._clock() - entry.stat().st_mtime <= SHOWN:
                    yield entry.name

    def _live(self, cloud_id: str) -> Record | None:
        """The record of a folder that is there; one that lost it to an end that was cut short is still being ended."""
        record = _read(self.root / cloud_id / "machine.json", cloud_id)
        if record or not (self.root / cloud_id).is_dir():
            return record
        if tombstone := self._tombstone(cloud_id):
            return tombstone.turned(MachineState.SHUTTING_DOWN, tombstone.reason)
        raise BrokenError(f"{self.root / cloud_id} has no machine.json")

    def _salvaged(self, cloud_id: str) -> Record:
        """The record of a live folder; of a broken one the little that its name says, which is enough to end it."""
        try:
            return self._live(cloud_id) or Record(cloud_id=cloud_id)
        except BrokenError:
            return Record(cloud_id=cloud_id)

    def _tombstone(self, cloud_id: str) -> Record | None:
        return _read(self._ended / cloud_id, cloud_id)

    @staticmethod
    def _tolerant(read: Callable[[str], Record | None], name: str, broken: list[str]) -> Record | None:
        try:
            return read(name)
        except (BrokenError, OSError) as error:
            broken.append(str(error))
            return None


def _read(path: Path, cloud_id: str) -> Record | None:
    try:
        return parse(path.read_bytes(), cloud_id)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise BrokenError(f"{path} {error}") from error


def _move(source: Path, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not target.exists():
            source.rename(target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
