"""One reconciler process in the simulation: the real Loop and Runner behind a gate of numbered points.

At each point the process may die, and then nothing of it ever has an effect again, or sleep while the world and other
processes go on, and then do what it was about to do, knowing nothing of it.
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import Any

from attrs import Factory, define, field

from reconciler.act import EFFECTS
from reconciler.act.base import Tools
from reconciler.act.runner import Runner
from reconciler.clouds.base import Cloud
from reconciler.decide.case import Desired
from reconciler.hosts.base import Host
from reconciler.loop import Loop, Passed
from reconciler.model.change import Step
from reconciler.model.offer import Place
from reconciler.model.rows import Instance
from reconciler.model.snapshot import Recorded
from reconciler.store.store import Store
from reconciler.workloads import workload
from tests.simulation.checks_ec2 import SECRET
from tests.simulation.clock import in_a_thread
from tests.simulation.reach import SimCloud, SimSink, Wire
from tests.simulation.sim_host import SimHost
from tests.simulation.world import World

WRITES = frozenset({"apply", "claim"})  # the store's calls that have an effect


class DiedError(BaseException):
    """Raised in a process that is dead; nothing that catches errors catches it."""


Watcher = Callable[["Process", str], None]


@define(kw_only=True)
class Shared:
    """What processes have in common."""

    world: World
    store: Store
    results: Path
    desired: Callable[[], Desired]
    new_id: Callable[[], str]
    checked: Callable[[str, Any, tuple[Any, ...]], None]  # looks at every write, right after it
    slept: Callable[[], None]  # hears of every sleep
    hurry: Callable[[], None]  # somebody submits something urgent
    sinks: tuple[str, ...] = ()
    told: list[str] = Factory(list)
    dead: set[str] = Factory(set)


async def _keep_all(_: object) -> None:
    """Nothing is held of a simulated host."""


@define(kw_only=True, eq=False)
class Process:
    """A process. `watcher` is asked at each point, and may call `die` or `pause`."""

    name: str
    shared: Shared
    watcher: Watcher = lambda process, what: None
    points: int = 0
    is_dead: bool = False
    died: asyncio.Event = Factory(asyncio.Event)
    stirred: asyncio.Event = Factory(asyncio.Event)  # it died, or fell asleep
    sleeping: asyncio.Event | None = None
    has_slept: bool = False
    loop: Loop = field(init=False)

    @loop.default
    def _make_loop(self) -> Loop:
        shared, wire = self.shared, Wire(self.shared.world, self)
        woken = asyncio.Event()

        def cloud(place: Place, settings: str) -> Cloud:
            return SimCloud(place, wire)

        def host(row: Instance) -> Host:
            return SimHost(row.cloud_id, row.address, row.host_key, wire)

        tools = Tools(
            reader=shared.store, db=self.db, cloud=cloud, host=host, keep_hosts=_keep_all, workload=workload,
            sinks={name: SimSink(name, wire, shared.told) for name in shared.sinks},
            environ={"ACCESS": SECRET}, results=shared.results, content=shared.results.parent / "content",
        )  # fmt: skip
        runner = Runner(
            effects=EFFECTS, me=self.name, is_dead=shared.dead.__contains__,
            claim=functools.partial(self.db, shared.store.claim), wake=woken.set, clock=lambda: self.loop.clock(),
        )  # fmt: skip
        return Loop(
            store=shared.store, db=self.db, source=_Source(shared), tools=tools, runner=runner, me=self.name,
            new_id=shared.new_id, tell=lambda passed: None, woken=woken,
        )  # fmt: skip

    async def run(self, work: Callable[[Loop], Any]) -> Any:
        """Do some work of the loop as this process; None if it dies of it."""
        context = copy_context()
        context.run(in_a_thread.set, self.in_thread)
        task = asyncio.get_running_loop().create_task(work(self.loop), context=context)
        death = asyncio.ensure_future(self.died.wait())
        await asyncio.wait({task, death}, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if self.is_dead:
            task.cancel()  # what it waits for is nobody's business any more
            return None
        return await task

    async def until_settled(self) -> Passed | None:
        """As `reconcile --until-settled`."""
        return await self.run(lambda loop: loop.until_settled())

    async def stay(self, seconds: float) -> None:
        """As `reconcile`, stopped after a while."""
        with contextlib.suppress(TimeoutError):
            await self.run(lambda loop: asyncio.wait_for(loop.forever(), seconds))

    # --- the gate

    async def db(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A call of the store, made in place. Death may come before it, and after it is committed."""
        name = call.__name__
        await self.point(f"before store.{name}")
        answer = call(*args, **kwargs)
        if name in WRITES:
            self.shared.checked(self.name, answer, args)
            await self.point(f"after store.{name}")
        return answer

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        """File work: death may come before it and after it."""
        await self.point("before files")
        answer = work()
        await self.point("after files")
        return answer

    async def point(self, what: str) -> None:
        """Somewhere the process may die, or sleep."""
        if self.is_dead:
            raise DiedError(self.name)
        self.points += 1
        self.shared.world.say(self.name, f"{self.points}: {what}")
        self.watcher(self, what)
        while self.sleeping and not self.is_dead:
            await self.sleeping.wait()
        if self.is_dead:
            raise DiedError(self.name)

    def die(self) -> None:
        """Now, as by SIGKILL."""
        self.shared.world.say(self.name, "dies")
        self.is_dead = True
        self.shared.dead.add(self.name)
        self.died.set()
        self.stirred.set()
        if self.sleeping:
            self.sleeping.set()

    def pause(self) -> None:
        """Sleep at every point from now on, until `wake`."""
        self.shared.world.say(self.name, "sleeps")
        self.sleeping = asyncio.Event()
        self.has_slept = True
        self.shared.slept()
        self.stirred.set()

    def wake(self) -> None:
        """Go on, with all that it knew."""
        self.shared.world.say(self.name, "wakes")
        if self.sleeping:
            self.sleeping.set()
            self.sleeping = None


@define
class _Source:
    """Spec files as they are now; submissions come by themselves."""

    shared: Shared

    def desired(self) -> Desired:
        return self.shared.desired()

    async def intake(self, recorded: Recorded) -> tuple[Sequence[Step], bool]:
        return (), False
