"""The checks of `doctor`, each a function that answers with what it found; none changes anything."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import evolve, frozen

from reconciler.cli.deployment import is_missing
from reconciler.model.rows import Identity
from reconciler.spec.errors import SpecError
from reconciler.spec.loader import load_config, load_pools, queue_problems
from reconciler.spec.values import Config
from reconciler.store.engine import open_database
from reconciler.store.errors import StoreError, name_of
from reconciler.store.opening import look
from reconciler.store.queries import Queries
from reconciler.store.store import PATIENCE
from reconciler.store.tables import HEAD

OK, PROBLEM, UNKNOWN = "ok", "problem", "could not check"
LEAST_FREE = 1024**3  # bytes of disk below which a run will soon stop
SYSTEM = (3, 11)  # the least Python

# What the agent on a machine calls, and the Debian package that has it.
TOOLS = (
    ("sh", "dash"), ("awk", "mawk"), ("cut", "coreutils"), ("dd", "coreutils"), ("find", "findutils"),
    ("grep", "grep"), ("head", "coreutils"), ("mkfifo", "coreutils"), ("paste", "coreutils"), ("sed", "sed"),
    ("setsid", "util-linux"), ("sort", "coreutils"), ("tail", "coreutils"), ("tar", "tar"), ("tr", "coreutils"),
    ("xargs", "findutils"),
)  # fmt: skip


@frozen
class Found:
    """What one check came to. `usage`: the files that somebody wrote are at fault, not the computer."""

    check: str
    result: str
    text: str = ""
    usage: bool = False


def examine(path: Path) -> Iterator[Found]:
    """Every check; those that need a good config.yml are left out where there is none."""
    yield from _computer()
    try:
        config = load_config(path)
    except SpecError as error:
        yield from (Found("config", PROBLEM, str(problem), usage=True) for problem in error.problems)
        return
    yield Found("config", OK, f"{path}: controller {config.controller}")
    for check in CHECKS:
        try:
            yield from check(config)
        except OSError as error:
            yield Found(check.__name__.strip("_"), UNKNOWN, f"{error.filename or ''} {error.strerror}".strip())


def _computer() -> Iterator[Found]:
    good = sys.version_info >= SYSTEM
    yield Found("python", OK if good else PROBLEM, sys.version.split()[0] + ("" if good else ": install 3.11 or newer"))
    missing = [(tool, package) for tool, package in TOOLS if shutil.which(tool) is None]
    if missing:
        names = ", ".join(f"{tool} ({package})" for tool, package in missing)
        yield Found("tools", PROBLEM, f"machines on this computer lack {names}: install the packages")
    else:
        yield Found("tools", OK, " ".join(tool for tool, _ in TOOLS))
    if Path("/proc/self/environ").exists() and Path("/proc/sys/kernel/random/boot_id").exists():
        yield Found("/proc", OK)
    else:
        yield Found("/proc", PROBLEM, "processes of jobs cannot be found: mount it, or run on Linux")


def _pools(config: Config) -> Iterator[Found]:
    read = load_pools(config.pools)
    for problem in (*read.problems, *queue_problems(config, read)):
        yield Found("pools", PROBLEM, str(problem), usage=True)
    for pool in read.pools:
        size = ", ".join(f"{kind} {size.low}..{size.high}" for kind, size in pool.size.items())
        yield Found(f"pool {pool.pool}", OK, f"{pool.cloud.kind}: {size}")


def _database(config: Config) -> Iterator[Found]:
    if is_missing(config):
        folder = Path(config.database.removeprefix("sqlite:///")).parent
        yield evolve(writable("database", folder), text=f"{config.database}: is made by the first run")
        return
    try:
        with looked_at(config) as seen:
            yield Found("database", OK, _told(seen))
    except StoreError as error:
        yield Found("database", PROBLEM, str(error), usage=error.usage)


@frozen
class Seen:
    """A database as it is: none of its tables is made, and an old one is not brought up to date."""

    name: str
    version: str  # of its schema; empty where it has none of our tables yet
    identity: Identity | None
    rows: Queries

    @property
    def is_current(self) -> bool:
        """Whether its rows are those that this version reads."""
        return self.version == HEAD and self.identity is not None


@contextmanager
def looked_at(config: Config) -> Iterator[Seen]:
    """A database that is there. Raises StoreError."""
    database = open_database(config.database, patience=PATIENCE, look=True)
    try:
        version, identity = look(database, config.controller)
        yield Seen(name_of(database.url), version, identity, Queries(database))
    finally:
        database.close()


def _told(seen: Seen) -> str:
    if seen.identity is None:
        return f"{seen.name}: is empty, and set up by the first run"
    old = "" if seen.version == HEAD else f", schema {seen.version}: is brought up to date by the first run"
    return f"belongs to {seen.identity.controller}, {seen.identity.database_id}{old}"


def _folders(config: Config) -> Iterator[Found]:
    yield writable("results", config.results)
    yield writable("state", config.state)
    if config.queue.folder is not None and os.access(config.queue.folder, os.R_OK | os.X_OK):  # else told with pools
        yield Found("queue", OK, str(config.queue.folder))


def writable(check: str, folder: Path) -> Found:
    """A folder that is there and writable, or whose nearest parent is. Raises OSError where the look is denied."""
    there = _nearest(folder)
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Found(check, OK, str(folder) + ("" if there == folder else ": is made by the first run"))
    return Found(check, PROBLEM, f"{there} cannot be written: change its owner or mode, or name another folder")


def _nearest(path: Path) -> Path:
    """The path, else the nearest of its parents that is there. Raises OSError."""
    for each in path.absolute(), *path.absolute().parents:
        with suppress(FileNotFoundError, NotADirectoryError):
            each.stat()
            return each
    return Path(path.anchor)


def _ramp(config: Config) -> Iterator[Found]:
    if config.ramp:
        from reconciler.cli.ramp_checks import of_event
        from reconciler.rampdb.access import names_of

        for name, event in zip(names_of(config.ramp), config.ramp, strict=True):
            yield from of_event(name, event)


def _disk(config: Config) -> Iterator[Found]:
    for check, folder in (("disk for results", config.results), ("disk for machines", config.state)):
        there = _nearest(folder)
        free = shutil.disk_usage(there).free
        text = f"{free / 1024**3:.1f} GiB free at {there}"
        yield Found(check, OK, text) if free >= LEAST_FREE else Found(check, PROBLEM, f"{text}: make room")


CHECKS: tuple[Callable[[Config], Iterator[Found]], ...] = (_pools, _database, _ramp, _folders, _disk)
