"""Which process we are, and whether another one on this computer is surely dead: what claims are told by."""

import os
import platform
import secrets
from pathlib import Path


def this_process() -> str:
    """A name for this process that no other process ever has: computer, boot, process id, its start, chance."""
    return f"{platform.node()}/{_boot()}/{os.getpid()}/{_started(os.getpid())}/{secrets.token_hex(4)}"


def is_dead(name: str) -> bool:
    """Whether the named process surely lives no more. One on another computer may live: its claims run out."""
    try:
        node, boot, pid, started, _ = name.split("/")
    except ValueError:
        return False
    if node != platform.node():
        return False
    return boot != _boot() or _started(int(pid)) != started


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _started(pid: int) -> str:
    """When a process began, in ticks since boot; empty when there is none, or only what is left of one."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
