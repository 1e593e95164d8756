"""The checks of `doctor`, each a function that answers with what it found; none changes anything."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import evolve, frozen

from reconciler.cli.deployment import IN_MEMORY, is_missing
from reconciler.spec.errors import SpecError
from reconciler.spec.loader import load_config, load_pools, queue_problems
from reconciler.spec.values import Config
from reconciler.store.errors import StoreError
from reconciler.wiring import open_store

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
        yield evolve(_writable("database", folder), text=f"{config.database}: is made by the first run")
        config = evolve(config, database=IN_MEMORY)
    try:
        store = open_store(config)
    except StoreError as error:
        yield Found("database", PROBLEM, str(error), usage=error.usage)
        return
    try:
        if config.database != IN_MEMORY:
            yield Found("database", OK, f"belongs to {store.identity.controller}, {store.identity.database_id}")
    finally:
        store.close()


def _folders(config: Config) -> Iterator[Found]:
    yield _writable("results", config.results)
    yield _writable("state", config.state)
    if config.queue.folder is None:
        return
    if os.access(config.queue.folder, os.R_OK | os.X_OK):
        yield Found("queue", OK, str(config.queue.folder))
    else:
        yield Found("queue", PROBLEM, f"{config.queue.folder} cannot be read: make the folder", usage=True)


def _writable(check: str, folder: Path) -> Found:
    """A folder that is there and writable, or whose nearest parent is."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Found(check, OK, str(folder) + ("" if there == folder else ": is made by the first run"))
    return Found(check, PROBLEM, f"{there} cannot be written: change its owner or mode, or name another folder")


def _disk(config: Config) -> Iterator[Found]:
    for check, folder in (("disk for results", config.results), ("disk for machines", config.state)):
        there = next(each for each in (folder, *folder.parents) if each.exists())
        free = shutil.disk_usage(there).free
        text = f"{free / 1024**3:.1f} GiB free at {there}"
        yield Found(check, OK, text) if free >= LEAST_FREE else Found(check, PROBLEM, f"{text}: make room")


CHECKS: tuple[Callable[[Config], Iterator[Found]], ...] = (_pools, _database, _folders, _disk)
