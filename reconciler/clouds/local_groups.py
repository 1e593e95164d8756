"""The groups that the agent makes for its jobs' processes where it may (cgroups, version 2): ended with their machine.

A process cannot leave its group unless it is root and means to, so what got away from everything else is ended here.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

ROOTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))  # where hosts/on_host/head.sh looks


def end_groups(mark: str) -> None:
    """Kill what is left in a machine's groups. Without the right to, or before Linux 5.14, nothing happens."""
    for group in _groups(mark):
        with contextlib.suppress(OSError):
            (group / "cgroup.kill").write_text("1")


def remove_groups(mark: str) -> None:
    """Remove a machine's groups, once no process is left in them."""
    for group in _groups(mark):
        with contextlib.suppress(OSError):
            group.rmdir()


def _groups(mark: str) -> Iterator[Path]:
    for root in ROOTS:
        with contextlib.suppress(OSError):
            yield from [
                each for each in root.iterdir() if each.name.startswith("reconciler.") and f".{mark}." in each.name
            ]
