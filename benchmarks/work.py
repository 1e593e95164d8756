"""Submissions for the benchmarks: the same content under many names."""

from reconciler.decide.births import Arrival, birth
from reconciler.model.change import Step
from reconciler.queues.content import keep
from reconciler.spec.values import Config, SubmissionOptions
from reconciler.store.bell import ring
from reconciler.store.store import Store
from reconciler.wiring import new_id

from benchmarks.deployment import Deployment


def queue(made: Deployment, config: Config, store: Store, count: int, script: str, *, at_once: bool) -> None:
    """Queue so many: all in one transaction, as a full queue is found, or each in its own, as `submit` does it."""
    content = keep(made.work("work", script), config.state / "content")
    steps = [_birth(config, store, f"work-{number}", content) for number in range(count)]
    for together in [steps] if at_once else [[step] for step in steps]:
        store.apply(together, now=store.now(), by="benchmark")
    ring(store)


def _birth(config: Config, store: Store, name: str, content: str) -> Step:
    arrival = Arrival(
        id=new_id(), name=name, label=name, content=content, options=SubmissionOptions(), pool="cpu",
        source="command",
    )  # fmt: skip
    return birth(config, arrival, store.now())
