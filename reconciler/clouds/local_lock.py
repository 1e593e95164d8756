"""Keeps the processes that share a folder of machines apart. The kernel lets go of the lock of one that is killed."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 30.0  # seconds; the lock is held for moments only


class BusyError(Exception):
    """Another process holds the lock for too long."""


@contextlib.contextmanager
def held(path: Path, *, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock at `path`, which is made if need be. Raises BusyError after `patience` seconds."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        until = time.monotonic() + patience
        while not _is_taken(handle):
            if time.monotonic() > until:
                raise BusyError(f"{path} is held by another process; is one stopped? See `fuser {path}`")
            time.sleep(0.005)
        yield
    finally:
        os.close(handle)


def _is_taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
