"""Ends every process of a local machine, whatever it did to get away: a folder has no power switch.

A process is the machine's by RECONCILER_MACHINE in its environment, by standing in the machine's folder, by the
session of such a process, or by descent from one. They are stopped as they are found, so that one that forks all the
time does not outrun the search, and killed when a look at /proc finds no more. This process, those that it descends
from, and their sessions are never touched, wherever they stand.
"""

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from attrs import frozen

MARK = b"RECONCILER_MACHINE="
ENOUGH = 3  # looks in a row that found nothing: one can be dodged by a process that forks just then and ends
PATIENCE = 10.0  # seconds: SIGKILL is not refused, but a process that waits for a broken disk hears it late


class ProcessesLeftError(Exception):
    """Processes of the machine did not end, though they were killed."""


@frozen
class Process:
    """One line of the process table."""

    pid: int
    parent: int
    session: int
    started: int  # clock ticks since boot: with the pid, it names a process for good
    marked: bool  # by its environment, or by where it stands


def end_processes(machines: Mapping[str, Collection[Path]], *, patience: float = PATIENCE) -> None:
    """End all processes of machines, given by what RECONCILER_MACHINE says on them, with their folders.

    Raises ProcessesLeftError after `patience` seconds.
    """
    mark = Mark(machines)
    until = time.monotonic() + patience
    looks = 0 if machines else ENOUGH
    while looks < ENOUGH:
        newest = _newest()
        found = _freeze(mark)
        if not found:
            looks += 1 if _newest() != newest else ENOUGH  # nothing was born meanwhile: nothing can have dodged it
            continue
        looks = 0
        if time.monotonic() > until:
            pids = ", ".join(str(process.pid) for process in found)
            raise ProcessesLeftError(f"processes {pids} were killed and do not end; see `ps -o pid,stat,cmd -p {pids}`")
        for process in found:
            _signal(process, signal.SIGKILL)
        time.sleep(0.002)


def _freeze(mark: "Mark") -> list[Process]:
    """Stop the machine's processes until a look finds no further one."""
    stopped: set[Process] = set()
    while True:
        table: dict[int, Process] = {}
        spared = set(ancestors())
        for process in look(mark):
            table[process.pid] = process
            if process.marked and process.pid not in spared | {1} and process not in stopped:
                _signal(process, signal.SIGSTOP)  # at once: after the look it may have forked and ended
        found = [table[pid] for pid in members(table, os.getpid())]
        new = {process for process in found if process not in stopped}
        if not new:
            return found
        for process in new:
            _signal(process, signal.SIGSTOP)
        stopped |= new


def ancestors() -> Iterator[int]:
    """Our own pid and those that it descends from, as they are now."""
    pid = os.getpid()
    while pid > 0:
        yield pid
        pid = int(_stat(pid)[1])


def members(table: Mapping[int, Process], me: int) -> set[int]:
    """Pids of a process table that belong to the marked ones. Pure.

    A session counts when its leader is one of them or has ended, so that a process started by hand from a terminal
    does not take the terminal with it.
    """
    spared = set(_line(table, me)) | {1}
    spared_sessions = {table[pid].session for pid in spared if pid in table} | {0}
    found = {process.pid for process in table.values() if process.marked} - spared
    while True:
        sessions = {table[pid].session for pid in found} - spared_sessions
        sessions = {session for session in sessions if session in found or session not in table}
        more = {each.pid for each in table.values() if each.parent in found or each.session in sessions} - spared
        if more <= found:
            return found
        found |= more


def _line(table: Mapping[int, Process], pid: int) -> Iterator[int]:
    """A process and those that it descends from."""
    while pid in table:
        yield pid
        pid = table[pid].parent


class Mark:
    """What tells a machine's process by itself."""

    def __init__(self, machines: Mapping[str, Collection[Path]]) -> None:
        self._ids = frozenset(machine.encode() for machine in machines)
        self._folders = tuple({os.path.realpath(folder) for folders in machines.values() for folder in folders})

    def is_on(self, thread: str) -> bool:
        """Whether a thread, by its folder in /proc, carries a machine's id, or stands in its folder.

        Raises OSError when it has ended.
        """
        for entry in _content(f"{thread}/environ").split(b"\0"):
            if entry.startswith(MARK) and entry[len(MARK) :] in self._ids:
                return True
        places = (os.readlink(f"{thread}/{link}") for link in ("cwd", "root"))  # noqa: PTH115
        return any(self._is_inside(place) for place in places)

    def _is_inside(self, place: str) -> bool:
        return any(place == folder or place.startswith(folder + "/") for folder in self._folders)


def look(mark: Mark) -> Iterator[Process]:
    """Every process that lives, the newest first, since those may be gone in a moment.

    One that others may not look into cannot be marked; descent and session still tell.
    """
    newest = _newest()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 (a Path each would be slow)
    for pid in sorted(pids, key=lambda pid: (pid > newest, -pid)):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            process = _read(pid, mark)
            if process:
                yield process


def _read(pid: int, mark: Mark) -> Process | None:
    stat = _stat(pid)
    threads = [f"/proc/{pid}"]
    if stat[0] in "ZX":
        if int(stat[17]) <= 1:  # it has ended, and waits to be asked how
            return None
        threads = [f"/proc/{pid}/task/{thread}" for thread in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208
    return Process(pid, int(stat[1]), int(stat[3]), int(stat[19]), any(_is_marked(each, mark) for each in threads))


def _is_marked(folder: str, mark: Mark) -> bool:
    with contextlib.suppress(OSError):
        return mark.is_on(folder)
    return False


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on: the second, its name, may hold anything."""
    return _content(f"/proc/{pid}/stat").rpartition(b")")[2].decode().split()


def _newest() -> int:
    """The pid that was given last."""
    return int(_content("/proc/loadavg").split()[-1])


def _content(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(handle, 1 << 16), b""))
    finally:
        os.close(handle)


def _signal(process: Process, number: signal.Signals) -> None:
    """Signal this very process: pids come back. One that may not be signalled stays, and is told of in the end."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        if int(_stat(process.pid)[19]) == process.started:
            os.kill(process.pid, number)
