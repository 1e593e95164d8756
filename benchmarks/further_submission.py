"""What one more submission costs the database, from its birth to its delivered news, beside what every pass reads.

The whole of it runs in this process on real machines, so that every statement of the store is seen. The cost of
one more is the slope between two batches: what is paid once, for machines and files, falls out.
"""

import asyncio
from contextlib import closing

from attrs import frozen

from benchmarks.deployment import Deployment, deployment, end_machines
from benchmarks.figures import Figure
from benchmarks.statements import counted, without_reads_of_passes
from benchmarks.work import submit_each
from reconciler.source import SpecFiles
from reconciler.spec.values import Config
from reconciler.store.store import Store
from reconciler.wiring import assembled, open_store, read_config

FEW, MANY = 100, 200
MACHINES, SLOTS = 4, 8


@frozen(kw_only=True)
class Slope:
    """Statements that batches of two sizes needed, beside the passes' own reads."""

    few: int
    many: int
    statements_few: int
    statements_many: int

    @property
    def each(self) -> float:
        """Statements for each further submission."""
        return (self.statements_many - self.statements_few) / (self.many - self.few)


def measure(few: int, many: int, *, machines: int = MACHINES, slots: int = SLOTS) -> Slope:
    """Run a batch of each size, each in a fresh deployment."""
    return Slope(
        few=few,
        many=many,
        statements_few=_batch(few, machines, slots),
        statements_many=_batch(many, machines, slots),
    )


def _batch(submissions: int, machines: int, slots: int) -> int:
    with deployment(machines=machines, slots=slots) as made:
        config, specs = read_config(made.config)
        with closing(open_store(config)) as store:
            try:
                return asyncio.run(_settle(made, config, specs, store, submissions))
            finally:
                end_machines(config, specs, store)


async def _settle(made: Deployment, config: Config, specs: SpecFiles, store: Store, submissions: int) -> int:
    """Statements from the first submission's birth until all have succeeded and everybody has been told."""
    async with assembled(config, specs, store, lambda _: None) as loop:
        await loop.until_settled()
        with counted(store) as seen, without_reads_of_passes(store, seen):
            submit_each(made, config, specs, store, submissions, ":\n")
            await loop.until_settled()
        ended = store.counts("submissions")["cpu"]
        assert ended == {"succeeded": submissions}, ended
        return seen.all


def run() -> tuple[Figure, ...]:
    """The row's figures."""
    slope = measure(FEW, MANY)
    return (
        Figure(
            what=f"SQL statements for each further submission, from {FEW} to {MANY}", measured=slope.each, bound=20,
            unit="", digits=1, quoted="113 to 196",
        ),
    )  # fmt: skip
