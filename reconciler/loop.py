"""One pass, and the loop around it.

A pass observes, loads, decides, commits, then starts effects. Their answers are events of a later pass. Nothing that
matters is kept in this process: kill it between any two lines and the next one carries on from the database.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from attrs import Factory, define, evolve, field, frozen

from reconciler.act.base import Database, Tools, World
from reconciler.act.runner import Runner
from reconciler.clouds.base import Cloud, Owner
from reconciler.decide.case import Case, Decision, Desired
from reconciler.decide.decide import decide
from reconciler.decide.placement import room
from reconciler.decide.settled import Standing, standing
from reconciler.model.change import Step, Update
from reconciler.model.offer import Listing, Place
from reconciler.model.rows import Identity
from reconciler.model.snapshot import Heard, Observed, Recorded, Silence
from reconciler.observe import Watch, ask_all, hosted, listings, lookups
from reconciler.spec.places import place

log = logging.getLogger(__name__)

GATHER = 0.005  # seconds for which news that follow each other are taken as one
MOST_PASSES = 10_000  # of one --once: more than any real work takes, so that a fault of ours cannot spin for ever


class Store(Protocol):
    """What a pass needs of the database."""

    identity: Identity

    def load(
        self, room: Callable[[Recorded], Mapping[tuple[str, str], int]], *, tokens: Collection[str] = ()
    ) -> Recorded:
        """All that is recorded and not final, in one consistent read."""
        ...

    def places(self) -> Sequence[Place]:
        """Where live rows have machines, whatever the spec says now."""
        ...

    def apply(self, steps: Sequence[Step], *, now: float, by: str) -> Sequence[bool]:
        """Write steps, each whole or not at all; says which applied."""
        ...


class Source(Protocol):
    """What should be, as it is read from files and queues; asked at every pass, so it looks only at what changed."""

    def desired(self) -> Desired:
        """The pools' last good specs."""
        ...

    async def intake(self, recorded: Recorded) -> tuple[Sequence[Step], bool]:
        """Steps for what queues hold now, and whether something there is not settled yet."""
        ...


@frozen(kw_only=True)
class Passed:
    """What one pass came to."""

    recorded: Recorded
    decision: Decision
    applied: int  # steps that were written
    steps: tuple[Step, ...] = ()  # those, the queue's and the decision's
    standing: Standing


@define(kw_only=True)
class Loop:
    """One process's loop. `wake` may be set by anybody; a pass then follows at once."""

    store: Store
    db: Database
    source: Source
    tools: Tools
    runner: Runner
    me: str
    new_id: Callable[[], str]
    tell: Callable[[Passed], None]  # progress, for people
    woken: asyncio.Event = Factory(asyncio.Event)
    watch: Watch = field(init=False)
    settle: bool = False
    knocked: bool = True  # a queue may hold something new
    _skew: float = 0.0  # the database's time less the event loop's
    _listed: float = float("-inf")
    _unsettled_queue: bool = False
    _interval: float = 0.0  # seconds, as the latest pass read it

    @watch.default
    def _make_watch(self) -> Watch:
        return Watch(hosts=self.tools.host, clock=self.clock, wake=self.woken.set)

    def clock(self) -> float:
        """The database's time, as well as it is known between passes."""
        return asyncio.get_running_loop().time() + self._skew

    async def forever(self) -> None:
        """Pass after pass, until cancelled. Jobs and machines go on without us."""
        try:
            while True:
                passed = await self.once_around()
                await self._sleep(passed)
        finally:
            await self._leave()

    async def until_settled(self) -> Passed:
        """Pass after pass, until nothing is left that moves by itself."""
        self.settle = True
        try:
            while True:
                passed = await self.once_around()
                if self._is_settled(passed):
                    return passed
                await self._sleep(passed)
        finally:
            await self._leave()

    async def as_far_as_possible(self) -> Passed:
        """Pass after pass without waiting for machines or jobs; effects that were started are finished."""
        try:
            for _ in range(MOST_PASSES):
                passed = await self.one_pass(await self._ask(), full=True)
                await self.runner.drain()
                if not passed.applied and not self.runner.take():
                    break
            return passed
        finally:
            await self._leave()

    async def plan(self) -> Passed:
        """What the next pass would do. Nothing is written and nothing outside is changed."""
        desired = self.source.desired()
        recorded, observed = await self._read(desired, await self._ask(), full=True)
        intake, _ = await self.source.intake(recorded)
        decision = decide(self._case(desired, recorded, observed))
        decision = evolve(decision, steps=(*intake, *decision.steps))
        return Passed(recorded=recorded, decision=decision, applied=0, standing=self._standing(desired, recorded))

    async def once_around(self) -> Passed:
        """One pass of a process that stays: hosts are watched, clouds are listed once an interval."""
        self.woken.clear()
        now = asyncio.get_running_loop().time()
        full = now - self._listed >= self._interval
        passed = await self.one_pass(self.watch.take(), full=full)
        if full:
            self._listed = now
        self.watch.follow(hosted(passed.recorded))
        await self.tools.keep_hosts(passed.recorded.instances.keys())
        return passed

    async def one_pass(self, hosts: Mapping[str, Heard | Silence], *, full: bool) -> Passed:
        """Observe, load, decide, commit, act."""
        taken = self.runner.take()
        desired = self.source.desired()
        self._interval = desired.config.interval
        recorded, observed = await self._read(desired, hosts, full=full)
        observed = evolve(observed, answers=taken)
        steps: Sequence[Step] = ()
        if full or self.knocked or self._unsettled_queue:
            self.knocked = False
            steps, self._unsettled_queue = await self.source.intake(recorded)
        case = self._case(desired, recorded, observed)
        decision = decide(case)
        wanted = (*steps, *decision.steps)
        for fault in decision.broken:
            log.error("%s could not be decided: %s", *fault.split(": ", 1))
        applied = await self._record(wanted, recorded.now) if wanted else ()
        self.runner.forget(taken)
        for step, done in zip(wanted, applied, strict=True):
            log.info("%s%s", step.why, "" if done else " (stale: left to a later pass)")
        world = World(recorded=recorded, desired=case.desired, tools=self.tools)
        moved = {(write.table, write.id) for step in wanted for write in step.writes if isinstance(write, Update)}
        await self.runner.start(world, moved, decision.halted)
        self.runner.end_orphans(decision.orphans, world)
        written = tuple(step for step, done in zip(wanted, applied, strict=True) if done)
        passed = Passed(
            recorded=recorded, decision=decision, applied=len(written), steps=written,
            standing=self._standing(desired, recorded),
        )  # fmt: skip
        self.tell(passed)
        return passed

    async def _record(self, steps: Sequence[Step], now: float) -> Sequence[bool]:
        """Write all steps. One that no lifecycle allows is a fault of ours; it is named, and stops no other."""
        try:
            written: Sequence[bool] = await self.db(self.store.apply, steps, now=now, by=self.me)
        except ValueError as error:
            if len(steps) == 1:
                log.error("%s cannot be written: %s", steps[0].why, error)
                return (False,)
            written = [done for step in steps for done in await self._record((step,), now)]
        return written

    async def _read(
        self, desired: Desired, hosts: Mapping[str, Heard | Silence], *, full: bool
    ) -> tuple[Recorded, Observed]:
        """Clouds are listed before the database is read, so that a machine without a row has none."""
        seen = await self._listings(desired) if full else ()
        tokens = {machine.token for listing in seen for machine in listing.machines if machine.token}
        recorded = await self.db(self.store.load, lambda found: room(desired, found, hosts), tokens=tokens)
        self._skew = recorded.now - asyncio.get_running_loop().time()
        missing = await lookups(recorded, seen, self._cloud) if full else {}
        return recorded, Observed(listings=tuple(seen), lookups=missing, hosts=hosts)

    async def _listings(self, desired: Desired) -> Sequence[Listing]:
        places = dict.fromkeys(await self.db(self.store.places))
        places |= dict.fromkeys(place(wish.pool, desired.config) for wish in desired.pools.values())
        identity = self.store.identity
        owner = Owner(controller=identity.controller, database_id=identity.database_id)
        return await listings(places, self._cloud, owner)

    def _cloud(self, where: Place) -> Cloud:
        return self.tools.cloud(where, "")

    def _case(self, desired: Desired, recorded: Recorded, observed: Observed) -> Case:
        wanted = evolve(desired, settle=self.settle and not self._unsettled_queue)
        return Case(desired=wanted, recorded=recorded, observed=observed, me=self.me, new_id=self.new_id)

    async def _ask(self) -> Mapping[str, Heard | Silence]:
        recorded = await self.db(self.store.load, lambda _: {})  # nothing is placed here: no heads
        self._skew = recorded.now - asyncio.get_running_loop().time()
        return await ask_all(hosted(recorded), self.tools.host, self.clock)

    def _standing(self, desired: Desired, recorded: Recorded) -> Standing:
        found = standing(evolve(desired, settle=self.settle), recorded)
        writing = ("submissions in the queue's folder are still being written",) if self._unsettled_queue else ()
        return evolve(found, in_flight=(*found.in_flight, *writing))

    def _is_settled(self, passed: Passed) -> bool:
        quiet = not passed.applied and not self.runner.take() and not self.runner.flights
        return quiet and passed.standing.settled

    async def _sleep(self, passed: Passed) -> None:
        """Until something wakes us, something is due, or the interval is over."""
        if passed.applied or self.runner.take():
            await asyncio.sleep(0)
            return
        due = max(0.01, passed.decision.wake_at - self.clock())
        wait = min(self._interval, due, 1.0 if self._unsettled_queue else 1e9)
        try:
            async with asyncio.timeout(wait):  # wait_for of Python 3.11 may swallow a cancellation
                await self.woken.wait()
                await asyncio.sleep(GATHER)
        except TimeoutError:
            return  # it is time for a pass anyway

    async def _leave(self) -> None:
        """Let go of what is in flight; everything that it did is found again by the next process."""
        await self.watch.stop()
        await self.runner.cancel()
