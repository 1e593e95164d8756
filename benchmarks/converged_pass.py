"""What a pass costs when there is nothing to do: a thousand busy machines, and a hundred thousand submissions waiting.

Cloud and hosts are fakes; database, loop and decisions are the real ones. CPU time is of the whole process, threads and
long polls included.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

from attrs import frozen

from benchmarks.deployment import deployment
from benchmarks.fakes import FakeCloud, FakeHost
from benchmarks.figures import Figure
from benchmarks.filling import Busy, fill, tags
from benchmarks.statements import counted
from reconciler.act import EFFECTS
from reconciler.act.base import Tools
from reconciler.act.runner import Runner
from reconciler.loop import Loop
from reconciler.source import FileSource
from reconciler.spec.places import place
from reconciler.store.store import Store
from reconciler.wiring import Threaded, open_store, read_config
from reconciler.workloads import workload

MACHINES, QUEUED, PASSES = 1_000, 100_000, 15
WARM = 3  # passes before the first that counts: it opens long polls, and statements are compiled


@frozen(kw_only=True)
class Costs:
    """What converged passes cost, each."""

    statements: int  # of the pass that made most
    writes: int
    seconds: tuple[float, ...]  # CPU


def measure(machines: int, queued: int, passes: int) -> Costs:
    """Run so many passes over a converged world."""
    with deployment(machines=machines, interval="0.001s") as made:
        config, specs = read_config(made.config)
        with closing(open_store(config)) as store:
            wish = specs.desired().pools["cpu"]
            busy = fill(store, config, wish, machines=machines, queued=queued)
            cloud = FakeCloud(place(wish.pool, config), tuple(one.machine(tags(store, wish.pool.pool)) for one in busy))
            source = partial(FileSource, specs=specs, feeds=(), known=store)
            return asyncio.run(_passes(store, cloud, busy, source, passes))


async def _passes(store: Store, cloud: FakeCloud, busy: list[Busy], source: partial[FileSource], passes: int) -> Costs:
    seconds: list[float] = []
    statements = writes = 0
    async with _loop(store, cloud, busy, source) as loop:
        for _ in range(WARM):
            await loop.once_around()
            await asyncio.sleep(0.05)
        with counted(store) as seen:
            for _ in range(passes):
                seen.clear()
                begun = time.process_time()
                passed = await loop.once_around()
                seconds.append(time.process_time() - begun)
                assert not passed.decision.steps, passed.decision.steps[:3]
                statements, writes = max(statements, seen.all), max(writes, seen.writes)
                await asyncio.sleep(0.002)
    return Costs(statements=statements, writes=writes, seconds=tuple(seconds))


async def _keep_all(_: object) -> None:
    """Nothing is held of a fake host."""


@asynccontextmanager
async def _loop(store: Store, cloud: FakeCloud, busy: list[Busy], source: partial[FileSource]) -> AsyncIterator[Loop]:
    """The loop as reconciler/wiring.py makes it, over this cloud and its hosts."""
    hosts = {one.instance.id: FakeHost(one.report()) for one in busy}
    db = Threaded(ThreadPoolExecutor(1))
    tools = Tools(
        reader=store, db=db, cloud=lambda _place, _settings: cloud, host=lambda row: hosts[row.id], workload=workload,
        keep_hosts=_keep_all, sinks={}, environ={}, results=Path(), content=Path(),
    )  # fmt: skip
    woken = asyncio.Event()
    runner = Runner(
        effects=EFFECTS, me="benchmark", is_dead=lambda _: False, claim=partial(db, store.claim), wake=woken.set,
        clock=lambda: loop.clock(),
    )  # fmt: skip
    loop = Loop(
        store=store, db=db, source=source(db=db), tools=tools, runner=runner, me="benchmark", new_id=str,
        tell=lambda _: None, woken=woken,
    )  # fmt: skip
    try:
        yield loop
    finally:
        await loop.watch.stop()
        db.executor.shutdown()


def run() -> tuple[Figure, ...]:
    """The row's figures."""
    costs = measure(MACHINES, QUEUED, PASSES)
    world = f"{MACHINES:,} busy machines, {QUEUED:,} queued"
    return (
        Figure(
            what=f"a converged pass, {world}: SQL statements", measured=costs.statements, bound=10, unit="",
            quoted="17,253",
        ),
        Figure(what="the same: writes", measured=costs.writes, bound=0, unit=""),
        Figure(
            what=f"the same: CPU, median of {PASSES}",
            measured=statistics.median(costs.seconds), bound=0.1, unit=" s", digits=3, quoted="28 s",
        ),
    )  # fmt: skip
