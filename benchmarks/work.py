"""Submissions for the benchmarks: the same content under many names."""

from collections.abc import Iterator
from pathlib import Path

from attrs import evolve

from benchmarks.deployment import Deployment
from reconciler import api
from reconciler.decide.births import Arrival, birth
from reconciler.queues.content import keep
from reconciler.source import SpecFiles
from reconciler.spec.values import Config
from reconciler.store.bell import ring
from reconciler.store.store import Store


def submit_each(made: Deployment, config: Config, specs: SpecFiles, store: Store, count: int, script: str) -> None:
    """Submit so many, one after the other, as `reconcile submit` does it."""
    folder = made.work("work", script)
    for arrival in _arrivals(config, specs, folder, count):
        api.enqueue(config, store, folder, arrival)


def queue_at_once(made: Deployment, config: Config, specs: SpecFiles, store: Store, count: int, script: str) -> None:
    """Queue so many in one transaction, as a queue is found that filled while nobody looked."""
    folder = made.work("work", script)
    content = keep(folder, config.state / "content")
    now = store.now()
    arrivals = _arrivals(config, specs, folder, count)
    store.apply([birth(config, evolve(arrival, content=content), now) for arrival in arrivals], now=now, by="benchmark")
    ring(store)


def _arrivals(config: Config, specs: SpecFiles, folder: Path, count: int) -> Iterator[Arrival]:
    pools = specs.desired().pools
    return (api.checked(config, pools, folder, name=f"work-{number}", asked={}) for number in range(count))
