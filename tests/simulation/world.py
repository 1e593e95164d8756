"""The simulated world as a whole: what a cloud and its machines really do, and what befalls them.

Calls of the reconciler come in through reach.py, which delays, refuses and loses; here each acts at one instant.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import Enum

from attrs import Factory, define, field

from reconciler.clouds.base import CloudError
from reconciler.model.job import Notice
from reconciler.model.offer import Fault, Machine, MachineState, Market
from tests.simulation.faults import FOREVER, Faults
from tests.simulation.jobs import Jobs
from tests.simulation.shop import Shop
from tests.simulation.truth import Ledger, RealMachine

REMEMBERED = 120.0  # seconds for which the cloud still shows a machine that has ended
ENDING = 3.0  # seconds from asked to end, or to stop, to ended; its jobs run on until then
NOTICE = 12.0  # seconds from an eviction's notice to the end, where a story does not say


class Told(Enum):
    """Where one can learn that the cloud takes a machine back."""

    LISTING = "only in a listing"
    REPORT = "only on the machine"
    AFTERWARDS = "only when it is gone"


@define(kw_only=True)
class Nature:
    """How this world is, while nothing goes wrong. Seconds."""

    boot: float = 4.0
    setup: float = 2.0
    lag: float = 0.0  # listings, and questions by id, know a new machine only after this
    stale: float = 0.0  # they show the state in which a machine was so long ago
    address: float = 0.0  # a new machine has an address only after this
    capacity: dict[str, int] = Factory(dict)  # type → machines at most; without an entry, no limit
    no_boot: float = 0.0  # share of machines that never boot
    bad_setup: float = 0.0  # share of setups that fail
    tries: float = FOREVER  # a minute: more refused starts of one machine are wrong
    powerless: float = 0.0  # share of machines whose watch may not shut them down
    lease: float = FOREVER  # for which a report keeps a machine from ending itself
    keep_results: float = 86400.0  # for which results that nobody fetched keep it


@define(kw_only=True)
class World:
    """Machines and jobs, by their real names."""

    loop: asyncio.AbstractEventLoop
    faults: Faults
    nature: Nature = Factory(Nature)
    most: dict[tuple[str, str], int] = Factory(dict)  # (pool, type) → the largest maximum that ever was in force
    machines: dict[str, RealMachine] = Factory(dict)
    locks: dict[tuple[str, str], asyncio.Lock] = Factory(dict)  # by place and token
    dark: set[str] = Factory(set)  # places that nothing gets through to
    is_disk_full: bool = False
    wrongs: list[str] = Factory(list)
    broken: asyncio.Event = Factory(asyncio.Event)
    trace: list[str] = Factory(list)
    before_end: Callable[[RealMachine, str], None] = lambda machine, who: None  # checks.py looks on
    before_halt: Callable[[RealMachine, str], None] = lambda machine, who: None
    shop: Shop = field(init=False)
    jobs: Jobs = field(init=False)
    born: float = field(init=False)
    ledger: Ledger = field(init=False)

    @born.default
    def _begin(self) -> float:
        return self.loop.time()

    @shop.default
    def _open_shop(self) -> Shop:
        return Shop(world=self)

    @jobs.default
    def _make_jobs(self) -> Jobs:
        return Jobs(world=self)

    @ledger.default
    def _make_ledger(self) -> Ledger:
        return Ledger(self.now, self.wrong)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.loop.time()

    def say(self, who: str, what: str) -> None:
        """One line of the trace."""
        self.trace.append(f"{self.now():14.3f} {who:6} {what}")

    def wrong(self, what: str) -> None:
        """The promise is broken."""
        self.say("WRONG", what)
        self.wrongs.append(what)
        self.broken.set()

    # --- what a cloud does

    def find(self, cloud_id: str, place: str) -> RealMachine | None:
        """A machine, if the cloud knows it at this place just now."""
        machine = self.machines.get(cloud_id)
        if machine is None or machine.place != place or machine.seen_at > self.now():
            return None
        expired = machine.ended_at is not None and machine.ended_at + REMEMBERED < self.now()
        return None if expired else machine

    def describe(self, machine: RealMachine) -> Machine:
        """The machine in the cloud's words; where it answers is another address after each start."""
        now = self.now()
        state = machine.state_at(now - self.nature.stale)
        has_address = now >= machine.born + self.nature.address and state is MachineState.RUNNING
        return Machine(
            cloud_id=machine.cloud_id,
            token=machine.request.token,
            index=machine.index,
            state=state,
            type=machine.request.offer.type,
            address=f"{machine.cloud_id}:{machine.starts}" if has_address else "",
            evicted=machine.evicted,
            impaired="instance-status check failed" if now < machine.impaired_until else "",
            born=datetime.fromtimestamp(machine.born, UTC),
            tags=machine.request.tags,
        )

    def end(self, ids: Sequence[str], place: str, who: str) -> None:
        """The reconciler ends machines."""
        for machine in self._known(ids, place):
            if machine.state not in (MachineState.SHUTTING_DOWN, MachineState.TERMINATED):
                self.before_end(machine, who)
                machine.turn(MachineState.SHUTTING_DOWN, self.now())
                self.say("cloud", f"{machine.cloud_id} is ended by {who}")
                self.loop.call_later(ENDING, self.vanish, machine)

    def halt(self, ids: Sequence[str], place: str, who: str) -> None:
        """The reconciler stops machines."""
        for machine in self._known(ids, place):
            if machine.request.offer.market is Market.SPOT:
                raise CloudError(Fault.REFUSED, f"{machine.cloud_id} is a spot machine")
            if machine.state is MachineState.RUNNING:
                self.before_halt(machine, who)
                machine.turn(MachineState.STOPPING, self.now())
                self.say("cloud", f"{machine.cloud_id} is stopped by {who}")
                self.loop.call_later(ENDING, self._stopped, machine)
            elif machine.state not in (MachineState.STOPPING, MachineState.STOPPED):
                raise CloudError(Fault.NOT_FOUND, f"{machine.cloud_id} is {machine.state}")

    def wake(self, ids: Sequence[str], place: str) -> None:
        """The reconciler starts stopped machines."""
        for machine in self._known(ids, place):
            if machine.state is MachineState.STOPPED:
                if self.shop.refuses(machine.request.offer):
                    self._count_tries(machine)
                    raise CloudError(Fault.CAPACITY, f"no {machine.request.offer.type} to start")
                self._switch_on(machine)
            elif machine.state not in (MachineState.PENDING, MachineState.RUNNING):
                raise CloudError(Fault.NOT_FOUND, f"{machine.cloud_id} is {machine.state}")

    def _count_tries(self, machine: RealMachine) -> None:
        """Who is refused for lack of capacity waits before asking for the same again."""
        machine.tries.append(self.now())
        lately = [at for at in machine.tries if at > self.now() - 60.0]
        if len(lately) > self.nature.tries:
            self.wrong(f"{machine.cloud_id} was asked to start {len(lately)} times within a minute")

    def _switch_on(self, machine: RealMachine) -> None:
        machine.boot += 1
        machine.starts += 1
        machine.notice = Notice.NONE
        machine.turn(MachineState.PENDING, self.now())
        machine.cared_at = self.now()
        machine.answers_at = self.now() + 1.0 + self.nature.boot
        self.run_up(machine, 1.0)
        self.guard(machine)
        self.say("cloud", f"{machine.cloud_id} is started again")

    def _known(self, ids: Sequence[str], place: str) -> list[RealMachine]:
        """Those that the cloud knows here: what it does not know keeps nobody from ending the others."""
        if not ids:
            self.wrong("an empty list of ids was sent")
        found = [self.find(cloud_id, place) for cloud_id in ids]
        if not any(found):
            raise CloudError(Fault.NOT_FOUND, f"the cloud does not know {', '.join(ids)}")
        return [machine for machine in found if machine]

    def run_up(self, machine: RealMachine, seconds: float) -> None:
        """A machine that is pending runs after a while."""

        def arrive() -> None:
            if machine.state is MachineState.PENDING:
                machine.turn(MachineState.RUNNING, self.now())
                machine.changed()

        self.loop.call_later(seconds, arrive)

    # --- what befalls machines

    def evict(self, machine: RealMachine, told: Told = Told.LISTING, seconds: float = NOTICE) -> None:
        """The cloud announces that it takes a machine back, and does so; not at all announced, it does so now."""
        self.say("cloud", f"{machine.cloud_id} will be taken back, and one learns of it {told.value}")
        if told is Told.AFTERWARDS:
            seconds = 0.0
        elif told is Told.LISTING:
            machine.evicted = True
        else:
            machine.notice = Notice.EVICTION
            machine.changed()
        self.loop.call_later(seconds, self._take_back, machine)

    def _take_back(self, machine: RealMachine) -> None:
        machine.evicted = machine.evicted or machine.lives
        self.vanish(machine)

    def rebalance(self, machine: RealMachine) -> None:
        """The cloud tells a machine that it may be taken back some time."""
        if machine.notice is Notice.NONE:
            machine.notice = Notice.REBALANCE
            self.say("cloud", f"{machine.cloud_id} is recommended to rebalance")
            machine.changed()

    def guard(self, machine: RealMachine) -> None:
        """The machine's own watch looks whether its lease is over, and what holds the machine then."""
        lease = self.nature.lease
        if lease >= FOREVER or not machine.runs_or_will:
            return
        if self.now() < machine.cared_at + lease:
            machine.unattended = None
        elif not self.jobs.holds(machine) and not machine.is_powerless:
            self.say("host", f"{machine.cloud_id} shuts itself down")
            self.vanish(machine)
            return
        due = max(machine.cared_at + lease, self.now() + lease / 4)
        self.loop.call_at(due, self._guard_again, machine, machine.starts)

    def _guard_again(self, machine: RealMachine, starts: int) -> None:
        if machine.starts == starts:
            self.guard(machine)

    def vanish(self, machine: RealMachine) -> None:
        """A machine ends, with everything on it."""
        if machine.lives:
            self.jobs.cut(machine)
            machine.turn(MachineState.TERMINATED, self.now())
            machine.ended_at = self.now()
            self.say("cloud", f"{machine.cloud_id} has ended")
            machine.changed()

    def reboot(self, machine: RealMachine) -> None:
        """A machine starts anew by itself."""
        if machine.state is MachineState.RUNNING:
            self.jobs.cut(machine)
            machine.boot += 1
            machine.answers_at = max(machine.answers_at, self.now() + 8.0)
            self.say("cloud", f"{machine.cloud_id} boots anew")
            machine.changed()

    def silence(self, machine: RealMachine, seconds: float) -> None:
        """Nothing gets through to a machine any more; its jobs run on."""
        machine.silent_until = self.now() + seconds
        self.say("cloud", f"{machine.cloud_id} is cut off for {seconds:g} s")

    def mute(self, machine: RealMachine, seconds: float) -> None:
        """A machine hears and does what it is asked, and nothing of it comes back."""
        machine.mute_until = self.now() + seconds
        self.say("cloud", f"{machine.cloud_id} is mute for {seconds:g} s")

    def _stopped(self, machine: RealMachine) -> None:
        if machine.state is MachineState.STOPPING:
            self.jobs.cut(machine)
            machine.turn(MachineState.STOPPED, self.now())
            machine.changed()

    # --- what a host does

    def answers(self, machine: RealMachine, address: str) -> bool:
        """Whether something that is sent there arrives now."""
        now = self.now()
        there = machine.runs and now >= machine.answers_at and now >= machine.silent_until
        return there and address == f"{machine.cloud_id}:{machine.starts}"
