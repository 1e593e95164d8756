"""Machines with a watch, for tests: a guard on a machine that is a folder, and tools that only note their call."""

import time
from pathlib import Path

from reconciler.hosts.agent import AgentHost
from reconciler.hosts.local import LocalTransport
from reconciler.model.job import Guard
from tests.hosts.machines import LocalMachine, run

# It notes when, as seconds of uptime, and how it was called.
_NOTE = 'read -r up rest </proc/uptime; echo "$up {name} $*" >>"{ledger}"'
SHUTDOWNS = ("shutdown", "poweroff", "halt")


def guarded(machine: LocalMachine, *, lease: float = 3600, keep: float = 3600, metadata: str = "") -> AgentHost:
    """The machine again, by a host that arms its watch. Whatever would shut down this computer is replaced first."""
    for name in SHUTDOWNS:
        if not (tools(machine) / name).is_file() or (tools(machine) / name).is_symlink():
            replace_tool(machine, name, note(machine, name))
    guard = Guard(lease=lease, keep_results=keep, metadata=metadata)
    return AgentHost(_transport(machine), confined=True, guard=guard)


def claimed(machine: LocalMachine, words: str) -> AgentHost:
    """The machine again, by a host that marks it as its owner's."""
    return AgentHost(_transport(machine), confined=True, claim=words)


def _transport(machine: LocalMachine) -> LocalTransport:
    return LocalTransport(machine.home, machine.name, boot_id_file=machine.boot_file)


def tools(machine: LocalMachine) -> Path:
    """The folder that comes first on the machine's PATH."""
    return Path(machine.environment["PATH"].split(":")[0])


def replace_tool(machine: LocalMachine, name: str, script: str) -> None:
    """From now on this command is that script."""
    new = tools(machine) / f".{name}"
    new.write_text(f"#!/bin/sh\n{script}\n")
    new.chmod(0o755)
    new.replace(tools(machine) / name)


def note(machine: LocalMachine, name: str) -> str:
    """A script that does nothing but note that it was called."""
    return _NOTE.format(name=name, ledger=_ledger(machine))


def _ledger(machine: LocalMachine) -> Path:
    return machine.home.parent / "ledger"


def shutdowns(machine: LocalMachine) -> list[tuple[float, str]]:
    """When and how the machine shut itself down so far."""
    if not _ledger(machine).exists():
        return []
    parts = [line.split(" ", 1) for line in _ledger(machine).read_text().splitlines()]
    return [(float(up), words) for up, words in parts]


def wait_for_shutdown(machine: LocalMachine) -> tuple[float, str]:
    """The first shutdown, however long it takes: pytest's own time limit is the only one. Asks for no report."""
    while not shutdowns(machine):
        time.sleep(0.02)
    return shutdowns(machine)[0]


def uptime() -> float:
    """Of this computer, in seconds."""
    return float(Path("/proc/uptime").read_text().split()[0])


def pass_time(until: float) -> None:
    """Return when the computer has been up that long."""
    while uptime() < until:
        time.sleep(0.02)


def wait_for_end(machine: LocalMachine, job: str) -> float:
    """The uptime when a job was seen to be over, without a report, which would renew the lease."""
    while not (machine.jobs() / job / "exit").exists():
        time.sleep(0.01)
    return uptime()


def watch_file(machine: LocalMachine) -> list[str]:
    """The words of what the watch says of itself: armed or powerless, boot id, pid."""
    return (machine.home / ".reconciler/watch").read_text().splitlines()[0].split()


def install(host: AgentHost) -> None:
    """Bring the agent and arm the watch."""
    run(host.install())
