"""How fast outputs come home from a real OpenSSH server, checked and synced, beside scp that does neither.

scp is OpenSSH's own, with the cipher that we prefer; it and we take the same file from the same machine in turn.
"""

import asyncio
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from attrs import frozen

from benchmarks.figures import Figure
from reconciler.hosts.agent import AgentHost
from reconciler.hosts.ssh import SshTransport
from reconciler.hosts.ssh_way import CIPHERS, Way
from reconciler.model.job import Job
from tests.machines.sshd import SshMachine, machine

MEGABYTES = 100
ROUNDS = 5


@frozen
class Times:
    """Seconds, round by round."""

    ours: tuple[float, ...]
    scp: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Our speed as a share of scp's."""
        return statistics.median(self.scp) / statistics.median(self.ours)


def measure(megabytes: int, rounds: int) -> Times:
    """Bring a file of so many MB home so often."""
    with tempfile.TemporaryDirectory(prefix="reconciler-benchmark-") as folder, machine() as there:
        return asyncio.run(_measured(there, Path(folder), megabytes, rounds))


async def _measured(there: SshMachine, folder: Path, megabytes: int, rounds: int) -> Times:
    way = Way(address=there.address, port=there.port, user=there.user, key_path=there.key_path)
    host = AgentHost(SshTransport(way, handshakes=asyncio.Semaphore(1)))
    await host.install()
    command = f"mkdir out && head -c {megabytes * 1_000_000} /dev/urandom > out/big"
    job = Job(id="a", command=command, outputs=("out/**",))
    report = await host.report()
    await host.start(job, boot_id=report.boot_id)
    while not ("a" in report.jobs and report.jobs["a"].over):
        report = await host.report(wait=5, mark=report.mark)
    ours, scp = [], []
    for number in range(rounds):
        scp.append(await asyncio.to_thread(_scp, there, folder / f"scp{number}"))
        started = time.perf_counter()
        await host.collect(job, folder / f"ours{number}")
        ours.append(time.perf_counter() - started)
        for used in (folder / f"scp{number}", folder / f"ours{number}"):
            shutil.rmtree(used)
    await host.close()
    return Times(tuple(ours), tuple(scp))


def _scp(there: SshMachine, into: Path) -> float:
    into.mkdir()
    started = time.perf_counter()
    subprocess.run(
        [
            "scp", "-q", "-F", "none", "-i", there.key_path, "-P", str(there.port), "-c", CIPHERS[0],
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            f"{there.user}@{there.address}:.reconciler/jobs/a/work/out/big", into,
        ],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - started


def run() -> tuple[Figure, ...]:
    """The row's figures."""
    times = measure(MEGABYTES, ROUNDS)
    return (
        Figure(
            what=f"{MEGABYTES} MB of outputs home by ssh, checked and synced, median of {ROUNDS}: speed beside scp's",
            measured=times.ratio, bound=0.9, unit=" x", digits=2, at_least=True,
        ),
    )  # fmt: skip
