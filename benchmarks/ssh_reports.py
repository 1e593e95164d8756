"""How long five hundred hosts take to be reached, and to say what they do, each over a connection of its own.

They are five hundred loopback addresses of one real OpenSSH server, whose user's login shell is /bin/sh: its work
counts here too, on the same computer.
"""

import asyncio
import socket
import time
from collections.abc import Iterator, Sequence

from attrs import frozen

from benchmarks.figures import Figure
from reconciler.hosts.agent import AgentHost
from reconciler.hosts.ssh import SshTransport
from reconciler.hosts.ssh_way import Way
from reconciler.wiring import HANDSHAKES
from tests.machines.sshd import SshMachine, machine

HOSTS = 500
ROUNDS = 5  # of reports; their median counts


@frozen
class Times:
    """Seconds."""

    opening: float  # all connections
    reports: tuple[float, ...]  # one of each host, all at the same time


def measure(hosts: int, rounds: int) -> Times:
    """Reach so many, and ask them so often."""
    with machine("0.0.0.0", port=free_port(), max_sessions=10) as there:  # it lets in whoever comes from loopback
        return asyncio.run(_measured(there, hosts, rounds))


def free_port() -> int:
    """One at which nobody listens just now."""
    with socket.create_server(("0.0.0.0", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


async def _measured(there: SshMachine, count: int, rounds: int) -> Times:
    handshakes = asyncio.Semaphore(HANDSHAKES)
    transports = [
        SshTransport(
            Way(address=address, port=there.port, user=there.user, key_path=there.key_path), handshakes=handshakes
        )
        for address in _addresses(count)
    ]
    hosts = [AgentHost(transport) for transport in transports]
    await hosts[0].install()
    opening = await _timed([transport.open() for transport in transports[1:]])
    reports = [await _timed([host.report() for host in hosts]) for _ in range(rounds)]
    for transport in transports:
        await transport.close()
    return Times(opening, tuple(reports))


async def _timed(work: Sequence[object]) -> float:
    started = time.perf_counter()
    await asyncio.gather(*work)  # type: ignore[call-overload]
    return time.perf_counter() - started


def _addresses(count: int) -> Iterator[str]:
    return (f"127.30.{number // 250}.{number % 250 + 1}" for number in range(count))


def run() -> tuple[Figure, ...]:
    """The row's figures."""
    times = measure(HOSTS, ROUNDS)
    slowest = sorted(times.reports)[len(times.reports) // 2]
    return (
        Figure(what=f"{HOSTS} hosts by ssh: opening every connection", measured=times.opening, bound=8.0, unit=" s",
               digits=2),
        Figure(what=f"{HOSTS} hosts by ssh, connections open: one report from each, median of {ROUNDS}",
               measured=slowest, bound=2.0, unit=" s", digits=2),
    )  # fmt: skip
