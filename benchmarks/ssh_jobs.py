"""Two hundred jobs that do nothing, on ten machines with a real OpenSSH server each; and how soon an end is a success.

The program is a process of its own; machines, jobs and it share this computer's processors. Ten machines have ten
disks, so theirs are in memory, where this computer has such a file system; what is ours is on disk. The rate counts
from the placing of the first job, uploads included. A job notes its end by this computer's uptime, just before it is
over.
"""

import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from attrs import frozen

import reconciler
from benchmarks.deployment import CONFIG, PATIENCE, Deployment, wait_until
from benchmarks.figures import Figure
from benchmarks.work import queue_at_once
from reconciler.store.store import Store
from reconciler.wiring import open_store, read_config
from tests.machines.sshd import SshMachine, machine

MACHINES, JOBS = 10, 200
SINGLE = 20  # jobs whose ends are timed, one after the other
LOOK = 0.002  # seconds between looks at the database
PAUSE = 0.3  # seconds between single jobs

POOL = """\
pool: cpu
cloud: {{ssh: {{machines: [{machines}], user: {user}, key_path: {key}}}}}
size: {{machine: {count}}}
slots: {slots}
workload: {{script: {{command: sh run.sh}}}}
"""
NOTING = 'read -r now rest </proc/uptime; echo "$now" >~/ended\n'


@frozen
class Jobs:
    """What was measured. Seconds."""

    jobs: int
    makespan: float  # from the first placing to the last success
    delays: tuple[float, ...]  # from each single job's end to its success

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / self.makespan


def measure(machines: int, jobs: int, single: int) -> Jobs:
    """Queue so many jobs at once for warm machines, then so many one after the other."""
    with ExitStack() as stack:
        disks = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="machines-", dir=_memory())))
        disks.chmod(0o755)
        made = [stack.enter_context(machine(folder=disks / str(number))) for number in range(machines)]
        deployment = stack.enter_context(_deployment(made, slots=-(-jobs // machines)))
        store = stack.enter_context(_running(deployment, machines))
        queue_at_once(deployment, *read_config(deployment.config), store, jobs, "true\n")
        database = deployment.folder / "benchmark.db"
        wait_until(lambda: _succeeded(database) == jobs, "every job succeeded", patience=PATIENCE)
        makespan = _makespan(database)
        return Jobs(jobs, makespan, tuple(_delays(deployment, made, single)))


def _memory() -> Path | None:
    """A file system in memory, if there is one."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else None


@contextmanager
def _deployment(made: Sequence[SshMachine], *, slots: int) -> Iterator[Deployment]:
    with tempfile.TemporaryDirectory(prefix="reconciler-benchmark-") as name:
        folder = Path(name)
        (folder / "pools").mkdir()
        (folder / "config.yml").write_text(CONFIG.format(interval="10s"), encoding="utf-8")
        text = POOL.format(
            machines=", ".join(each.where for each in made), user=made[0].user, key=made[0].key_path, count=len(made),
            slots=slots,
        )  # fmt: skip
        (folder / "pools" / "cpu.yml").write_text(text, encoding="utf-8")
        yield Deployment(folder)


@contextmanager
def _running(deployment: Deployment, machines: int) -> Iterator[Store]:
    """The program, once every machine is ready."""
    config, _ = read_config(deployment.config)
    with closing(open_store(config)) as store, (deployment.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "--config", str(deployment.config)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            wait_until(
                lambda: [row.state for row in store.instances()] == ["ready"] * machines, "every machine is ready"
            )
            yield store
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def _succeeded(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM submissions WHERE state = 'succeeded'").fetchone()
        return int(count)


def _makespan(database: Path) -> float:
    with closing(sqlite3.connect(database)) as connection:
        (first,) = connection.execute("SELECT min(opened) FROM attempts").fetchone()
        (last,) = connection.execute("SELECT max(since) FROM submissions").fetchone()
        return float(last - first)


def _delays(deployment: Deployment, made: Sequence[SshMachine], count: int) -> Iterator[float]:
    folder = deployment.work("noting", NOTING)
    with closing(sqlite3.connect(deployment.folder / "benchmark.db")) as connection:
        for _ in range(count):
            submission = reconciler.submit(deployment.config, folder, pool="cpu")
            give_up = time.monotonic() + PATIENCE
            while _state(connection, submission) != "succeeded":
                if time.monotonic() > give_up:
                    raise RuntimeError(f"{submission} is still {_state(connection, submission)}")
                time.sleep(LOOK)
            seen = time.clock_gettime(time.CLOCK_BOOTTIME)
            notes = [each.home / "ended" for each in made]
            yield seen - max(float(note.read_text()) for note in notes if note.exists())
            time.sleep(PAUSE)


def _state(connection: sqlite3.Connection, submission: str) -> str:
    (state,) = connection.execute("SELECT state FROM submissions WHERE id = ?", [submission]).fetchone()
    return str(state)


def run() -> tuple[Figure, ...]:
    """The row's figures."""
    jobs = measure(MACHINES, JOBS, SINGLE)
    return (
        Figure(
            what=f"{JOBS} jobs `true` on {MACHINES} hosts by ssh, first placed to last succeeded", measured=jobs.rate,
            bound=75.0, unit=" jobs/s", digits=1, at_least=True,
        ),
        Figure(
            what="a job ends on a host by ssh, until it is `succeeded` here: p50",
            measured=statistics.median(jobs.delays), bound=0.5, unit=" s", digits=3,
        ),
    )  # fmt: skip
