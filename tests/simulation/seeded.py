"""Long stories by seed: two pools, a score of submissions, every fault, processes that die and sleep, people who edit.

The seed decides everything. After some minutes of virtual time nothing goes wrong any more, and all must come to rest.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from attrs import Factory, define, evolve, field

from reconciler.model.offer import Market
from reconciler.spec.options import LocalCloud
from reconciler.spec.values import Choice, Deadlines, Idle, Pool, Retries, Size
from tests.simulation.clock import run
from tests.simulation.faults import FOREVER
from tests.simulation.process import Process
from tests.simulation.stage import Stage, pool, stage
from tests.simulation.stories import LONGEST, finish
from tests.simulation.truth import Behaviour, RealMachine
from tests.simulation.world import Nature

TROUBLED = 900.0  # seconds in which things go wrong
SUBMISSIONS = 20
RETRIES = Retries(exit_code=1, lost=None, never_started=None, evicted=None)


def told(seed: int) -> Stage:
    """The whole story of a seed; returns the scene, closed."""
    return run(_told(seed))


async def _told(seed: int) -> Stage:
    draw = Random(seed)
    scene = stage(asyncio.get_running_loop(), seed=seed, rate=draw.choice((0.0, 0.02, 0.1, 0.25)))
    try:
        chaos = Chaos(scene=scene, draw=draw)
        broken = asyncio.ensure_future(scene.world.broken.wait())
        ending = asyncio.ensure_future(chaos.to_the_end())
        await asyncio.wait({broken, ending}, timeout=LONGEST, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            ending.result()
            scene.checks.settled(scene.pools)
        elif not scene.world.wrongs:
            scene.world.wrong("it never settled")
        return scene
    finally:
        scene.close()


@define(kw_only=True)
class Chaos:
    """Everybody who acts in a long story."""

    scene: Stage
    draw: Random
    versions: dict[str, int] = Factory(lambda: {"cpu": 1, "gpu": 1})
    specs: dict[str, Pool] = Factory(dict)
    names: list[str] = Factory(list)
    deadly: float = field(init=False)
    sleepy: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        draw = self.draw
        self.deadly, self.sleepy = draw.choice((0.0, 0.004, 0.02)), draw.choice((0.0, 0.002, 0.01))
        self.scene.world.nature = Nature(
            boot=draw.choice((1.0, 15.0)), setup=draw.choice((1.0, 20.0)), lag=draw.choice((0.0, 5.0, 60.0)),
            address=draw.choice((0.0, 20.0)), capacity=draw.choice(({}, {}, {"small": 1})),
            no_boot=draw.choice((0.0, 0.1)), bad_setup=draw.choice((0.0, 0.1)),
        )  # fmt: skip
        self.write("cpu", self._spec("cpu", "a", {"small": Size(low=0, high=2), "large": Size(low=0, high=1)}))
        self.write("gpu", self._spec("gpu", "b", {"huge": Size(low=1, high=2)}))

    def _spec(self, name: str, folder: str, size: dict[str, Size]) -> Pool:
        draw = self.draw
        return pool(
            name, cloud=Choice(kind="local", settings=LocalCloud(folder=Path("/clouds") / folder)), size=size,
            slots=draw.choice((1, 2)), retries=RETRIES,
            market=draw.choice(((Market.SPOT, Market.ON_DEMAND), (Market.ON_DEMAND,))),
            idle=draw.choice((Idle(terminate=20.0), Idle(stop=10.0, terminate=120.0), Idle())),
            deadlines=Deadlines(run=200.0, boot=90.0, setup=60.0, stage=120.0, collect=600.0, cancel=60.0, launch=200.0,
                                silence=60.0, stop=60.0, start=90.0, terminate=60.0, deliver=600.0),
        )  # fmt: skip

    def write(self, name: str, spec: Pool) -> None:
        """Write a pool's file."""
        self.specs[name] = spec
        self.scene.write_pool(spec, f"v{self.versions[name]}")

    async def to_the_end(self) -> None:
        """Trouble first; then none, and everything must come right."""
        loop, world = asyncio.get_running_loop(), self.scene.world
        jobs = [self._people(), self._weather(), self._shifts(0.0)]
        if self.draw.random() < 0.5:
            jobs.append(self._shifts(50.0))
        await asyncio.gather(*(loop.create_task(job) for job in jobs))
        world.faults.rate, world.is_disk_full = 0.0, False
        world.nature.no_boot = world.nature.bad_setup = 0.0
        for name in ("cpu", "gpu"):
            self.versions[name] += 1
            self.write(name, self.specs[name])  # somebody mends what failed: holds of the old spec hold no more
        world.say("user", "everything is well from now on")
        await self.scene.process().until_settled()
        await finish(self.scene, 0.0)

    async def _until_well(self, seconds: Callable[[], float], act: Callable[[], Any]) -> None:
        end = self.scene.world.born + TROUBLED
        while True:
            wait = seconds()
            if asyncio.get_running_loop().time() + wait >= end:
                return
            await asyncio.sleep(wait)
            act()

    # --- people

    async def _people(self) -> None:
        for _ in range(self.draw.randint(1, 5)):
            self._submit()
        submit, others = self._submit, (self._drift, self._delete, self.scene.drain)
        acts = (*[submit] * 12, *[self._cancel] * 3, *[self._resize] * 2, *others)
        await self._until_well(lambda: self.draw.expovariate(1 / 25), lambda: self.draw.choice(acts)())
        for name, spec in self.specs.items():
            if name not in self.scene.pools:
                self.write(name, spec)

    def _submit(self) -> None:
        draw = self.draw
        if len(self.names) >= SUBMISSIONS:
            return
        name = f"job{len(self.names) + 1}"
        behaviour = Behaviour(
            seconds=(draw.choice((0.0, 1.0, 10.0, 60.0, 150.0)),),
            codes=draw.choice(((0,), (0,), (0,), (1, 0), (1, 1), (3,))),
        )
        kinds = draw.choice(((), (), ("large",), ("huge", "small")))
        where = draw.choice(("cpu", "cpu", "gpu"))
        kinds = tuple(kind for kind in kinds if kind in self.specs[where].size)
        limit = draw.choice((None, None, 30.0))
        if limit is not None and behaviour.seconds[0] > limit:
            behaviour.codes = (1,)  # it will be ended at its limit: it does not always work
        self.names.append(name)
        self.scene.submit(
            name, behaviour, where, priority=draw.choice((0, 0, 5)), instance_types=kinds, limit=limit,
            retry_of=self.names[0] if draw.random() < 0.1 else "",
        )  # fmt: skip

    def _cancel(self) -> None:
        if self.names:
            self.scene.cancel(self.draw.choice(self.names))

    def _resize(self) -> None:
        name = self.draw.choice(("cpu", "gpu"))
        spec, high = self.specs[name], self.draw.randint(1, 3)
        size = {kind: Size(low=min(one.low, high), high=high) for kind, one in spec.size.items()}
        self._edit(name, size=size)

    def _drift(self) -> None:
        name = self.draw.choice(("cpu", "gpu"))
        self.versions[name] += 1
        self._edit(name)

    def _edit(self, name: str, **changes: Any) -> None:
        self.scene.world.say("user", f"edits {name}")
        self.write(name, evolve(self.specs[name], **changes))

    def _delete(self) -> None:
        name = self.draw.choice(("cpu", "gpu"))
        self.scene.world.say("user", f"deletes {name}")
        self.scene.pools.pop(name, None)
        back = self.draw.choice((5.0, 120.0))
        asyncio.get_running_loop().call_later(back, lambda: self.write(name, self.specs[name]))

    # --- the weather

    async def _weather(self) -> None:
        calm = self.draw.choice((20.0, 60.0, 400.0))
        await self._until_well(lambda: self.draw.expovariate(1 / calm), self._strike)

    def _strike(self) -> None:
        world, draw = self.scene.world, self.draw
        alive = [machine for machine in world.machines.values() if machine.lives]
        if draw.random() < 0.1:
            world.say("world", "the disk is full")
            world.is_disk_full = True
            asyncio.get_running_loop().call_later(draw.choice((10.0, 200.0)), self._disk_free)
        elif alive:
            machine = draw.choice(alive)
            strikes = (
                world.evict,
                world.vanish,
                world.reboot,
                self._silence,
                self._silence,
                self._mute,
                self._stubborn,
            )
            draw.choice(strikes)(machine)

    def _disk_free(self) -> None:
        self.scene.world.is_disk_full = False

    def _silence(self, machine: RealMachine) -> None:
        self.scene.world.silence(machine, self.draw.choice((5.0, 40.0, 150.0, FOREVER)))

    def _mute(self, machine: RealMachine) -> None:
        self.scene.world.mute(machine, self.draw.choice((5.0, 40.0)))

    def _stubborn(self, machine: RealMachine) -> None:
        machine.stubborn_until = self.scene.world.now() + self.draw.choice((5.0, 200.0))

    # --- processes

    async def _shifts(self, first: float) -> None:
        """One process after the other: each is stopped, dies, or sleeps for a while."""
        loop, end = asyncio.get_running_loop(), self.scene.world.born + TROUBLED
        await asyncio.sleep(first)
        while loop.time() < end:
            process = self.scene.process(self._fate)
            await process.stay(min(end - loop.time(), self.draw.expovariate(1 / 400)))
            await asyncio.sleep(self.draw.choice((0.0, 0.5, 40.0)))

    def _fate(self, process: Process, what: str) -> None:
        luck = self.draw.random()
        if process.sleeping:
            return
        if luck < self.deadly:
            process.die()
        elif luck < self.deadly + self.sleepy:
            process.pause()
            asyncio.get_running_loop().call_later(self.draw.choice((0.5, 20.0, 90.0, 700.0)), process.wake)
