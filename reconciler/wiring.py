"""Puts the parts together: config.yml to a loop over real databases, clouds, hosts, queues and sinks."""

import asyncio
import contextlib
import functools
import os
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import Factory, define, frozen

from reconciler.act import EFFECTS
from reconciler.act.base import Tools
from reconciler.act.runner import Runner
from reconciler.clouds.base import Cloud, Here, Owner
from reconciler.clouds.registry import CLOUDS
from reconciler.hosts.base import Host
from reconciler.lifecycle.submission import SUBMISSION
from reconciler.lifecycle.table import Kind
from reconciler.loop import Loop, Passed
from reconciler.model.offer import Machine, MachineState, Place
from reconciler.model.rows import Identity, Instance, Submission
from reconciler.process import is_dead, this_process
from reconciler.queues.folder import FolderQueue
from reconciler.sinks import build as build_sinks
from reconciler.sinks.hooks import nothing_more
from reconciler.sinks.scores import Row, Rows
from reconciler.source import Feed, FileSource, SpecFiles, Specs
from reconciler.spec.errors import SpecError
from reconciler.spec.loader import load_config, load_pools, queue_problems
from reconciler.spec.values import Config, RampEvent
from reconciler.store.bell import rings
from reconciler.store.store import Store
from reconciler.wakes import on_bell, on_change
from reconciler.workloads import workload

if TYPE_CHECKING:
    from reconciler.queues.ramp_database import RampQueue
    from reconciler.sinks.ramp_database import RampSink

HANDSHAKES = 50  # machines that are connected to at a time: each costs some ten milliseconds of CPU
ID_BYTES = 5  # of chance in an id: with the database's unique constraints, plenty


def new_id() -> str:
    """A short id, lower case, different from all others."""
    return secrets.token_hex(ID_BYTES)


@frozen
class Threaded:
    """Runs store calls in one thread of their own: a slow database never blocks the loop, and calls never overlap."""

    executor: ThreadPoolExecutor = Factory(lambda: ThreadPoolExecutor(1, thread_name_prefix="store"))

    async def __call__(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The call's value, or its exception."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, functools.partial(call, *args, **kwargs))


@define
class Machines:
    """Clouds by place and hosts by instance, made when first asked for and kept."""

    here: Here
    clouds: dict[Place, Cloud] = Factory(dict)
    hosts: dict[str, tuple[str, Host]] = Factory(dict)
    left: list[Host] = Factory(list)

    def cloud(self, place: Place, settings: str) -> Cloud:
        """The cloud of a place."""
        if place not in self.clouds:
            self.clouds[place] = CLOUDS[place.cloud](place, settings, self.here)
        return self.clouds[place]

    def host(self, row: Instance) -> Host:
        """The way into an instance's machine; another address is another way."""
        known = self.hosts.get(row.id)
        if known is None or known[0] != row.address:
            machine = Machine(
                cloud_id=row.cloud_id, token=row.token, index=row.index, state=MachineState.RUNNING, type=row.type,
                address=row.address, host_key=row.host_key, adopted=row.adopted,
            )  # fmt: skip
            cloud = self.cloud(Place(cloud=row.cloud, settings=row.place), row.settings)
            if known is not None:
                self.left.append(known[1])
            known = self.hosts[row.id] = (row.address, cloud.host(machine, row.settings))
        return known[1]

    async def keep(self, ids: Collection[str]) -> None:
        """Let go of the ways into all instances but these, and of those that lead to an address of before."""
        gone = [*self.left, *(self.hosts.pop(known)[1] for known in self.hosts.keys() - set(ids))]
        self.left = []
        for host in gone:
            await host.close()

    async def close(self) -> None:
        """Let go of every connection."""
        await self.keep(())
        for cloud in self.clouds.values():
            await cloud.close()


def read_config(path: Path) -> tuple[Config, SpecFiles]:
    """config.yml and the pools' folder, all of it good. Raises SpecError with everything that is wrong in either."""
    config = load_config(path)
    pools = load_pools(config.pools)
    problems = (*pools.problems, *queue_problems(config, pools))
    if problems:
        raise SpecError(problems)
    return config, SpecFiles(config=config)


def open_store(config: Config, *, look: bool = False) -> Store:
    """The deployment's database, made or brought up to date. Raises StoreError.

    `look`: also for somebody who may only read it.
    """
    return Store.open(config.database, controller=config.controller, look=look)


def here(config: Config, identity: Identity) -> Here:
    """Our own process, as clouds need to know it."""
    return Here(
        owner=Owner(controller=identity.controller, database_id=identity.database_id),
        environ=os.environ,
        folder=config.state,
        handshakes=asyncio.Semaphore(HANDSHAKES),
    )


def _scored(store: Store, db: Threaded) -> Rows:
    """A pool's submissions that have ended, each with its last attempt."""

    def read(pool: str) -> list[Row]:
        ended = store.submissions(pool=pool, states=SUBMISSION.of_kind(Kind.FINAL))
        attempts = store.attempts([row.attempt_id for row in ended])
        return [(row, attempts.get(row.attempt_id)) for row in ended]

    async def rows(pool: str) -> Sequence[Row]:
        return cast("Sequence[Row]", await db(read, pool))

    return rows


def _ramp(config: Config, store: Store, db: Threaded, content: Path) -> "list[tuple[RampEvent, RampQueue, RampSink]]":
    """Each event of a RAMP database, as a queue and as a sink. Raises StoreError for a URL that is none."""
    if not config.ramp:
        return []
    from reconciler.queues.ramp_database import RampQueue
    from reconciler.rampdb.access import names_of
    from reconciler.sinks.ramp_database import RampSink

    async def known(name: str) -> Mapping[str, Submission]:
        return cast("Mapping[str, Submission]", await db(store.latest_by_key, name))

    return [
        (event, RampQueue.open(event, content, name=name, known=known), RampSink.open(event, environ=os.environ))
        for event, name in zip(config.ramp, names_of(config.ramp), strict=True)
    ]


def _hooks_hear(ramp: "Sequence[tuple[RampEvent, RampQueue, RampSink]]") -> Callable[[Submission], Mapping[str, str]]:
    """What hooks are told of RAMP's submissions beside the usual."""
    if not ramp:
        return nothing_more
    from reconciler.rampdb.hook_values import hook_values

    return functools.partial(hook_values, {queue.name: queue.ramp for _, queue, _ in ramp})


@asynccontextmanager
async def assembled(
    config: Config, specs: Specs, store: Store, tell: Callable[[Passed], None], *, machines: Machines | None = None
) -> AsyncIterator[Loop]:
    """A loop that is ready to run; afterwards its connections are closed. Jobs and machines go on.

    `machines`: the clouds and hosts, where they are to be others than those of the registry.

    Within `watched_by_pidfd`, else commands on this computer take a thread each.
    """
    db, me = Threaded(), this_process()
    machines = machines or Machines(here(config, store.identity))
    content = config.state / "content"
    for folder in (config.results, config.state, content):
        folder.mkdir(parents=True, exist_ok=True)
    feeds = []
    if config.queue.folder:
        feeds.append(Feed(queue=FolderQueue(config.queue.folder, content), pool=config.queue.pool))
    ramp = _ramp(config, store, db, content)
    feeds += [Feed(queue=queue, pool=event.pool) for event, queue, _ in ramp]
    tools = Tools(
        reader=store,
        db=db,
        cloud=machines.cloud,
        host=machines.host,
        keep_hosts=machines.keep,
        workload=workload,
        sinks={
            **build_sinks(config, rows=_scored(store, db), environ=os.environ, more=_hooks_hear(ramp)),
            **{queue.name: sink for _, queue, sink in ramp},
        },
        environ=os.environ,
        results=config.results,
        content=content,
    )
    woken = asyncio.Event()
    runner = Runner(
        effects=EFFECTS, me=me, is_dead=is_dead, claim=functools.partial(db, store.claim), wake=woken.set,
        clock=lambda: loop.clock(),
    )  # fmt: skip
    source = FileSource(specs=specs, feeds=feeds, known=store, db=db)
    loop = Loop(
        store=store, db=db, source=source, tools=tools, runner=runner, me=me, new_id=new_id, tell=tell, woken=woken
    )
    try:
        yield loop
    finally:
        await machines.close()
        for _, queue, sink in ramp:
            queue.close()
            sink.close()
        await asyncio.to_thread(db.executor.shutdown)  # may wait for a lock; what was cancelled ends meanwhile


@asynccontextmanager
async def awake(loop: Loop, config: Config, store: Store) -> AsyncIterator[None]:
    """While it lasts, edited files and commands wake the loop at once."""

    def knock() -> None:
        loop.knocked = True
        loop.woken.set()

    folders = [config.pools, *([config.queue.folder] if config.queue.folder else [])]
    tasks = [
        asyncio.create_task(on_change(folders, knock), name="files"),
        asyncio.create_task(on_bell(rings(store), knock), name="bell"),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
