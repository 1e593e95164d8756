"""How long a submission takes that does nothing: from the commit that queues it to the commit that calls it a success.

The program is a process of its own, with one machine that is ready; submissions come one at a time, as from a person.
The time of the first commit is history's, taken just before it; that of the last is when this process sees the row.
"""

import sqlite3
import statistics
import time
from contextlib import closing

from attrs import frozen

import reconciler
from benchmarks.deployment import PATIENCE, Deployment, deployment, running
from benchmarks.figures import Figure
from reconciler.store.store import Store

SUBMISSIONS = 30
LOOK = 0.002  # seconds between looks at the database: what looking adds, at most
PAUSE = 0.3  # seconds between submissions, so that what follows a success is over


@frozen
class Latency:
    """Seconds from queued to succeeded, of each submission."""

    seconds: tuple[float, ...]


def measure(submissions: int) -> Latency:
    """Submit so many, one after the other."""
    with deployment(machines=1) as made:
        folder = made.work("nothing", ":\n")
        with running(made) as store:
            seconds = []
            for _ in range(submissions):
                submission = reconciler.submit(made.config, folder, pool="cpu")
                ended = _succeeded(made, submission)
                seconds.append(ended - _queued(store, submission))
                time.sleep(PAUSE)
    return Latency(tuple(seconds))


def _queued(store: Store, submission: str) -> float:
    return store.history(submission)[0].at


def _succeeded(made: Deployment, submission: str) -> float:
    """When the row says so; asked over a bare connection, which costs next to nothing."""
    give_up = time.monotonic() + PATIENCE
    with closing(sqlite3.connect(made.folder / "benchmark.db")) as connection:
        while time.monotonic() < give_up:
            (state,) = connection.execute("SELECT state FROM submissions WHERE id = ?", [submission]).fetchone()
            if state == "succeeded":
                return time.time()
            time.sleep(LOOK)
    raise RuntimeError(f"{submission} is still {state}")


def run() -> tuple[Figure, ...]:
    """The row's figures."""
    seconds = measure(SUBMISSIONS).seconds
    return (
        Figure(
            what="a zero-length job on a warm machine, queued to succeeded: p50",
            measured=statistics.median(seconds), bound=0.3, unit=" s", digits=3, quoted="34 s",
        ),
    )  # fmt: skip
