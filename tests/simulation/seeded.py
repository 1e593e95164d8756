"""Long stories by seed: two pools, a score of submissions, every fault, processes that die and sleep, people who edit.

The seed decides everything. After some minutes of virtual time nothing goes wrong any more, and all must come to rest.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from attrs import Factory, define, evolve, field

from reconciler import api
from reconciler.clouds.local import local_place
from reconciler.lifecycle.instance import USER_STOP
from reconciler.model.offer import Market
from reconciler.spec.options import LocalCloud, Script
from reconciler.spec.values import Choice, Deadlines, Idle, Pool, Retries, Size
from tests.simulation.checks_ec2 import CHECKPOINT
from tests.simulation.clock import run
from tests.simulation.faults import FOREVER
from tests.simulation.process import Process
from tests.simulation.stage import Stage, pool, stage
from tests.simulation.stories import LONGEST, finish
from tests.simulation.truth import Behaviour, RealMachine
from tests.simulation.world import Nature, Told

TROUBLED = 900.0  # seconds in which things go wrong
SUBMISSIONS = 20
PLACES = ("a", "b")  # folders of two accounts
MARKETS = ((Market.SPOT, Market.ON_DEMAND), (Market.ON_DEMAND,))
KEEPS = Choice(
    kind="script", settings=Script(command="sh run.sh", outputs=("out.txt",), checkpoint=CHECKPOINT)
)  # fmt: skip
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
            no_boot=draw.choice((0.0, 0.1)), bad_setup=draw.choice((0.0, 0.1)), stale=draw.choice((0.0, 0.0, 8.0)),
            lease=draw.choice((FOREVER, 150.0)), keep_results=draw.choice((100.0, 86400.0)),
            powerless=draw.choice((0.0, 0.2)),
        )  # fmt: skip
        self.scene.foreign("x1", "a", draw.choice(("", "", "theirs")))
        self.write("cpu", self._spec("cpu", "a", {"small": Size(low=0, high=2), "large": Size(low=0, high=1)}))
        self.write("gpu", self._spec("gpu", "b", {"huge": Size(low=1, high=2)}))

    def _spec(self, name: str, folder: str, size: dict[str, Size]) -> Pool:
        draw = self.draw
        return pool(
            name, cloud=Choice(kind="local", settings=LocalCloud(folder=Path("/clouds") / folder)), size=size,
            slots=draw.choice((1, 2)), retries=RETRIES, market=draw.choice(MARKETS), env={"TOKEN": "${ACCESS}"},
            adopt=draw.choice(((), ("x1",))) if name == "cpu" else (),
            **({"workload": KEEPS} if name == "gpu" else {}),
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
        self._mend()
        loop.create_task(self._start_again())
        for name in ("cpu", "gpu"):
            self.versions[name] += 1
            self.write(name, self.specs[name])  # somebody mends what failed: holds of the old spec hold no more
        world.say("user", "everything is well from now on")
        await self.scene.process().until_settled()
        await finish(self.scene, 0.0)

    def _mend(self) -> None:
        """Nothing goes wrong any more, and what others bought can be reached by whoever adopts it."""
        world = self.scene.world
        world.faults.rate, world.is_disk_full = 0.0, False
        world.nature.no_boot = world.nature.bad_setup = world.nature.stale = 0.0
        world.dark.clear()
        world.shop.sold_out.clear()
        for machine in world.machines.values():
            if machine.is_foreign:
                machine.silent_until = machine.mute_until = 0.0
                machine.owner = "" if machine.owner == "theirs" else machine.owner

    async def _start_again(self) -> None:
        """The user starts what the user stopped."""
        while True:
            for row in self.scene.store.instances():
                if row.state == "stopped" and row.reason == USER_STOP:
                    self.scene.by_hand(api.start, "stopped")
            await asyncio.sleep(100.0)

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
        submit, others = (
            self._submit,
            (self._drift, self._delete, self.scene.drain, self._move, self._adopt, self._by_hand, self._by_hand),
        )
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

    def _move(self) -> None:
        """The pool's machines are bought in the other account from now on."""
        name = self.draw.choice(("cpu", "gpu"))
        self.versions[name] += 1
        where = LocalCloud(folder=Path("/clouds") / self.draw.choice(PLACES))
        self._edit(name, cloud=Choice(kind="local", settings=where))

    def _adopt(self) -> None:
        self._edit("cpu", adopt=() if self.specs["cpu"].adopt else ("x1",))

    def _by_hand(self) -> None:
        act, state = self.draw.choice(
            ((api.stop, "ready"), (api.start, "stopped"), (api.start, "stopped"), (api.terminate, "ready"))
        )  # fmt: skip
        self.scene.world.say("user", f"{act.__name__}s all that is {state}")
        self.scene.by_hand(act, state)

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
        elif draw.random() < 0.15:
            self._sell_out()
        elif draw.random() < 0.1:
            self._darken()
        elif alive:
            machine = draw.choice(alive)
            strikes = (
                self._evict,
                self._evict,
                self._rebalance,
                self._impair,
                world.vanish,
                world.reboot,
                self._silence,
                self._silence,
                self._mute,
                self._stubborn,
            )
            draw.choice(strikes)(machine)

    def _evict(self, machine: RealMachine) -> None:
        if not machine.is_foreign:
            self.scene.world.evict(machine, self.draw.choice(tuple(Told)), self.draw.choice((12.0, 120.0)))

    def _rebalance(self, machine: RealMachine) -> None:
        if not machine.is_foreign:
            self.scene.world.rebalance(machine)

    def _impair(self, machine: RealMachine) -> None:
        machine.impaired_until = self.scene.world.now() + self.draw.choice((15.0, 200.0))

    def _sell_out(self) -> None:
        """There is none of one type in one market, for a while."""
        kind = (self.draw.choice(("small", "large", "huge")), str(self.draw.choice(tuple(Market))))
        sold_out = self.scene.world.shop.sold_out
        self.scene.world.say("cloud", f"has no {' '.join(kind)} for a while")
        sold_out.add(kind)
        asyncio.get_running_loop().call_later(self.draw.choice((30.0, 300.0)), sold_out.discard, kind)

    def _darken(self) -> None:
        """Nothing gets through to one account, for a while; its machines go on."""
        dark = self.scene.world.dark
        place = local_place(Path("/clouds") / self.draw.choice(PLACES)).settings
        self.scene.world.say("cloud", f"{place} is dark for a while")
        dark.add(place)
        asyncio.get_running_loop().call_later(self.draw.choice((10.0, 100.0)), dark.discard, place)

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
            await asyncio.sleep(self.draw.choice((0.0, 0.5, 40.0, 0.0, 0.5, 40.0, 300.0)))

    def _fate(self, process: Process, what: str) -> None:
        luck = self.draw.random()
        if process.sleeping:
            return
        if luck < self.deadly:
            process.die()
        elif luck < self.deadly + self.sleepy:
            process.pause()
            asyncio.get_running_loop().call_later(self.draw.choice((0.5, 20.0, 90.0, 700.0)), process.wake)
