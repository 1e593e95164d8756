"""Short stories, each told again and again with a death or a sleep at every point of its first process."""

import asyncio
from collections.abc import Callable

from attrs import Factory, define, field, frozen

from reconciler.model.offer import Fault
from reconciler.spec.values import Deadlines, Idle, Retries, Size
from tests.simulation.clock import run
from tests.simulation.faults import Trouble
from tests.simulation.process import Process
from tests.simulation.stage import Stage, pool, stage
from tests.simulation.truth import Behaviour

LONGEST = 30 * 86400.0  # seconds of virtual time in which every story must settle
AT_REST = ("ready", "stopped")
ORPHANS = 700.0  # seconds in which every machine without a live row is found and ended

Act = Callable[[Stage], None]


@frozen
class Story:
    """What people ask for, and what befalls them at which second."""

    name: str
    prepare: Act
    acts: tuple[tuple[float, Act], ...] = ()
    script: dict[str, list[Trouble]] = field(factory=dict)
    stays: float = 0.0  # seconds for which the first process stays, instead of until everything has settled
    since: float = 0.0  # the second before which nothing happens that other stories do not tell
    away: float = 0.0  # seconds for which nobody comes after it
    shows: tuple[str, ...] = ()  # what is told, in this order, where nothing disturbs it
    runs: int | None = None  # real runs that it takes, where nothing disturbs it


def _one(behaviour: Behaviour | None = None, **spec: object) -> Act:
    def prepare(scene: Stage) -> None:
        scene.write_pool(pool(**spec))
        scene.submit("one", behaviour)

    return prepare


def _two(scene: Stage) -> None:
    scene.write_pool(pool(size={"small": Size(low=0, high=2)}))
    scene.submit("one")
    scene.submit("two", Behaviour(seconds=(9.0,)))


def _kept(scene: Stage) -> None:
    """A pool of one machine that stays, and is stopped when it is idle."""
    scene.write_pool(pool(idle=Idle(stop=2.0, terminate=30.0)))
    scene.submit("one")


def _late(scene: Stage) -> None:
    """A cloud that knows its new machines only after a while, and that loses the answer to the purchase."""
    scene.world.nature.lag = 30.0
    scene.write_pool(pool())
    scene.submit("one")


def _with_machine(act: Callable[[Stage, object], None]) -> Act:
    def on_all(scene: Stage) -> None:
        for machine in list(scene.world.machines.values()):
            if machine.lives:
                act(scene, machine)

    return on_all


def _evict_stubborn(scene: Stage) -> None:
    """The machine that works is taken back, and its job does not end when it is killed."""
    for machine in scene.world.machines.values():
        if any(job.run and job.lives for job in machine.jobs.values()):
            machine.stubborn_until = scene.world.now() + 60.0
            scene.world.evict(machine)


def _shrunk(scene: Stage) -> None:
    scene.write_pool(pool(size={"small": Size(low=0, high=1)}), "v2")


LONG = Behaviour(seconds=(20.0,))
QUICK = Deadlines(run=30.0)
HASTY = Deadlines(run=600.0, stage=10.0, collect=15.0, silence=60.0)

STORIES: tuple[Story, ...] = (
    Story("success", _one()),
    Story("two at once", _two),
    Story("exit code, then a retry", _one(Behaviour(codes=(3, 0)))),
    Story("time limit", _one(Behaviour(seconds=(900.0,)), retries=Retries(), deadlines=QUICK)),
    Story("eviction", _one(LONG), ((20.0, _with_machine(lambda scene, m: scene.world.evict(m))),)),
    Story("eviction of one that does not end", _one(LONG, size={"small": Size(low=2, high=2)}),
          ((20.0, _evict_stubborn),)),
    Story("machine lost", _one(LONG), ((20.0, _with_machine(lambda scene, m: scene.world.vanish(m))),)),
    Story("reboot", _one(LONG), ((20.0, _with_machine(lambda scene, m: scene.world.reboot(m))),)),
    Story("cut off", _one(LONG), ((20.0, _with_machine(lambda scene, m: scene.world.silence(m, 90.0))),)),
    Story("cut off while it is started", _one(Behaviour(seconds=(60.0,)), deadlines=HASTY),
          ((13.3, _with_machine(lambda scene, m: scene.world.mute(m, 1.0))),
           (13.4, _with_machine(lambda scene, m: scene.world.silence(m, 45.0))))),
    Story("cancelled early", _one(LONG), ((5.0, lambda scene: scene.cancel("one")),)),
    Story("cancelled while it runs", _one(LONG), ((20.0, lambda scene: scene.cancel("one")),)),
    Story("drained", _one(LONG), ((20.0, lambda scene: scene.drain()),)),
    Story("smaller and drifted", _two, ((16.0, _shrunk),)),
    Story("pool deleted", _one(LONG), ((20.0, lambda scene: scene.pools.clear()),)),
    Story("unwanted before it is bound", _one(),
          ((0.6, lambda scene: scene.cancel("one")), (0.7, lambda scene: scene.pools.clear())),
          {"launch": [Trouble(lose=True)] * 3}),
    Story("listed late", _late),
    Story("unwanted, wanted again, and listed late", _late,
          ((0.7, lambda scene: scene.pools.clear()), (15.0, lambda scene: scene.write_pool(pool()))),
          {"launch": [Trouble(lose=True)] * 3}),
    Story("no capacity at first", _one(), (), {"launch": [Trouble(refuse=Fault.CAPACITY)]}),
    Story("answers lost", _one(), (), {
        call: [Trouble(lose=True)] for call in ("launch", "start", "kill", "collect", "terminate", "forget", "deliver")
    }),
    Story("disk full here", _one(), ((5.0, lambda s: setattr(s.world, "is_disk_full", True)),
                                     (40.0, lambda s: setattr(s.world, "is_disk_full", False)))),
    Story("stopped when idle", _kept, ((32.0, lambda scene: scene.submit("two")),), stays=70.0),
)  # fmt: skip

# The store's reads, and questions: what comes of a death or a sleep there comes of one at the next point too.
READS = ("store.load", "store.places", "store.launch", "store.submission", "store.submissions", "store.attempt",
         "store.attempts", "report", "listing", "lookup")  # fmt: skip


# Calls that are the same in every story: they are disturbed in the stories that are told thoroughly.
ELSEWHERE = ("files", "writing", "forget", "deliver", "install", "store.claim")
THOROUGH = STORIES[:3]


def die_with_machines(process: Process) -> None:
    """Die, and while nobody looks the cloud takes every machine away."""
    process.die()
    world = process.shared.world
    for machine in list(world.machines.values()):
        world.vanish(machine)


def sleep_while_work_comes(process: Process) -> None:
    """Sleep, and while it knows nothing of it something urgent is submitted."""
    process.pause()
    process.shared.hurry()


@define
class At:
    """Disturbs a process at its `number`th point, or nowhere, and remembers what all its points were."""

    number: int
    act: Callable[[Process], None]
    points: list[tuple[float, str]] = Factory(list)  # when, and what

    def __call__(self, process: Process, what: str) -> None:
        world = process.shared.world
        self.points.append((world.now() - world.born, what))
        if len(self.points) == self.number:
            self.act(process)


def points(story: Story, kind: str) -> list[int]:
    """The points of a story's first process, after or before (`kind`) each call that has an effect.

    To die before a call is to die after the one before it, for nothing has happened in between. To sleep after a call
    is to sleep before the next one, for what was read in between is read anew, or known to be old.
    """
    nowhere = At(0, Process.die)
    tell(story, nowhere)
    told = enumerate(nowhere.points, 1)
    numbered = [(number, *what.split(" ", 1)) for number, (at, what) in told if at >= story.since]
    dull = READS if story in THOROUGH else (*READS, *ELSEWHERE)
    return [number for number, when, call in numbered if when == kind and call not in dull]


def tell(story: Story, disturb: Callable[[Process, str], None] | None = None, takeover: float | None = None) -> Stage:
    """Tell a story to its end, disturbed by a watcher of its first process; returns the scene, closed.

    When the first process dies another takes its place. When it sleeps, another runs until everything has settled,
    or for `takeover` seconds; then the first goes on.
    """
    return run(_tell(story, disturb, takeover))


async def _tell(story: Story, disturb: Callable[[Process, str], None] | None, takeover: float | None) -> Stage:
    loop = asyncio.get_running_loop()
    scene = stage(loop, story.script)
    try:
        story.prepare(scene)
        for at, act in story.acts:
            loop.call_later(at, act, scene)
        broken = asyncio.ensure_future(scene.world.broken.wait())
        ending = asyncio.ensure_future(_to_the_end(scene, story, disturb, takeover))
        await asyncio.wait({broken, ending}, timeout=LONGEST, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            ending.result()
            scene.checks.settled(scene.pools)
        elif not scene.world.wrongs:
            scene.world.wrong("it never settled")
        return scene
    finally:
        scene.close()


async def _to_the_end(
    scene: Stage, story: Story, disturb: Callable[[Process, str], None] | None, takeover: float | None
) -> None:
    first = scene.process(disturb or (lambda process, what: None))
    running = asyncio.ensure_future(first.stay(story.stays) if story.stays else first.until_settled())
    while not running.done() and not first.sleeping and not first.is_dead:
        await asyncio.wait({running, asyncio.ensure_future(first.stirred.wait())}, return_when=asyncio.FIRST_COMPLETED)
    last = first
    if first.is_dead:
        await asyncio.sleep(story.away)
    if first.is_dead or first.sleeping:
        last = scene.process()
        if takeover is None or first.is_dead:
            await last.until_settled()
        else:
            await last.stay(takeover)
    if first.sleeping:
        first.wake()
    await running
    if not first.is_dead:
        await asyncio.sleep(story.away)
    await finish(scene, story.acts[-1][0] if story.acts else 0.0)


async def finish(scene: Stage, until: float) -> None:
    """Let what is left happen, with one more process that finds everything at rest."""
    loop = asyncio.get_running_loop()
    began = scene.world.born
    if loop.time() < began + until + 1.0:
        await scene.process().stay(began + until + 1.0 - loop.time())
    await scene.process().until_settled()
    most = loop.time() + ORPHANS
    while not _is_at_rest(scene) and loop.time() < most:
        await scene.process().stay(50.0)


def _is_at_rest(scene: Stage) -> bool:
    rows = scene.store.instances()
    alive = {machine.cloud_id for machine in scene.world.machines.values() if machine.lives and not machine.is_foreign}
    return alive == {row.cloud_id for row in rows if not row.adopted} and all(row.state in AT_REST for row in rows)
