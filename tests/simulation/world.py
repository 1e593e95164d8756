"""The simulated world as a whole: what a cloud and its machines really do, and what befalls them.

Calls of the reconciler come in through reach.py, which delays, refuses and loses; here each acts at one instant.
"""

import asyncio
from collections.abc import Callable, Sequence

from attrs import Factory, define, field

from reconciler.clouds.base import CloudError
from reconciler.hosts.base import HostRefusedError
from reconciler.model.job import Cause, Job, JobReport, JobState
from reconciler.model.offer import Fault, LaunchRequest, Machine, MachineState
from reconciler.model.tags import POOL
from tests.simulation.faults import FOREVER, Faults
from tests.simulation.truth import SETUP, Ledger, RealJob, RealMachine

REMEMBERED = 120.0  # seconds for which the cloud still shows a machine that has ended
ENDING = 3.0  # seconds from asked to end, or to stop, to ended; its jobs run on until then
NOTICE = 12.0  # seconds from an eviction's notice to the end


@define(kw_only=True)
class Nature:
    """How this world is, while nothing goes wrong. Seconds."""

    boot: float = 4.0
    setup: float = 2.0
    lag: float = 0.0  # listings know a new machine only after this
    address: float = 0.0  # a new machine has an address only after this
    capacity: dict[str, int] = Factory(dict)  # type → machines at most; without an entry, no limit
    no_boot: float = 0.0  # share of machines that never boot
    bad_setup: float = 0.0  # share of setups that fail


@define(kw_only=True)
class World:
    """Machines and jobs, by their real names."""

    loop: asyncio.AbstractEventLoop
    faults: Faults
    nature: Nature = Factory(Nature)
    most: dict[tuple[str, str], int] = Factory(dict)  # (pool, type) → the largest maximum that ever was in force
    machines: dict[str, RealMachine] = Factory(dict)
    bought: dict[str, tuple[LaunchRequest, list[RealMachine]]] = Factory(dict)  # by token
    locks: dict[str, asyncio.Lock] = Factory(dict)  # by token
    is_disk_full: bool = False
    wrongs: list[str] = Factory(list)
    broken: asyncio.Event = Factory(asyncio.Event)
    trace: list[str] = Factory(list)
    before_end: Callable[[RealMachine, str], None] = lambda machine, who: None  # checks.py looks on
    is_final: Callable[[str], bool] = lambda token: False  # whether the rows of a token are final
    born: float = field(init=False)
    ledger: Ledger = field(init=False)

    @born.default
    def _begin(self) -> float:
        return self.loop.time()

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

    def buy(self, request: LaunchRequest, place: str, *, partial: bool, late: bool) -> list[RealMachine]:
        """Between one and as many machines as were asked for; the same token gives the same ones."""
        if request.token in self.bought:
            known, machines = self.bought[request.token]
            if known != request:
                self.wrong(f"token {request.token} was sent with another request")
            return machines
        count = request.count
        if request.offer.type in self.nature.capacity:
            alive = sum(one.lives and one.request.offer.type == request.offer.type for one in self.machines.values())
            count = min(count, self.nature.capacity[request.offer.type] - alive)
        if count <= 0:
            raise CloudError(Fault.CAPACITY, f"no {request.offer.type} just now")
        if partial and count > 1:
            count -= 1
        machines = [self._born(request, index, place, late=late) for index in range(count)]
        self.bought[request.token] = (request, machines)
        self._count(request)
        return machines

    def _born(self, request: LaunchRequest, index: int, place: str, *, late: bool) -> RealMachine:
        now, nature = self.now(), self.nature
        boots = FOREVER if self.faults.chance(nature.no_boot) else nature.boot
        machine = RealMachine(
            f"m{len(self.machines) + 1}", request, index, place, now, now + nature.lag, now + 2.0 + boots, late=late
        )
        self.machines[machine.cloud_id] = machine
        self.loop.call_later(2.0, self._become, machine, MachineState.PENDING, MachineState.RUNNING)
        self.say("cloud", f"{machine.cloud_id} bought for {request.token}.{index}")
        return machine

    def _count(self, request: LaunchRequest) -> None:
        pool, kind = request.tags[POOL], request.offer.type
        alive = [
            one
            for one in self.machines.values()
            if one.lives and not one.late and (one.request.tags[POOL], one.request.offer.type) == (pool, kind)
        ]
        if len(alive) > self.most.get((pool, kind), 0):
            self.wrong(f"pool {pool} has {len(alive)} {kind}: {', '.join(one.cloud_id for one in alive)}")

    def find(self, cloud_id: str) -> RealMachine | None:
        """A machine, if the cloud knows it just now."""
        machine = self.machines.get(cloud_id)
        if machine is None or machine.seen_at > self.now():
            return None
        expired = machine.ended_at is not None and machine.ended_at + REMEMBERED < self.now()
        return None if expired else machine

    def address(self, machine: RealMachine) -> str:
        """Where its host answers; another one after each start."""
        ready = self.now() >= machine.born + self.nature.address
        return f"{machine.cloud_id}:{machine.starts}" if ready and machine.state is MachineState.RUNNING else ""

    def describe(self, machine: RealMachine) -> Machine:
        """The machine in the cloud's words."""
        return Machine(
            cloud_id=machine.cloud_id,
            token=machine.request.token,
            index=machine.index,
            state=machine.state,
            type=machine.request.offer.type,
            address=self.address(machine),
            evicted=machine.evicted,
            tags=machine.request.tags,
        )

    def end(self, ids: Sequence[str], who: str) -> None:
        """The reconciler ends machines."""
        for machine in self._known(ids):
            if machine.state not in (MachineState.SHUTTING_DOWN, MachineState.TERMINATED):
                self.before_end(machine, who)
                machine.state = MachineState.SHUTTING_DOWN
                self.say("cloud", f"{machine.cloud_id} is ended by {who}")
                self.loop.call_later(ENDING, self.vanish, machine)

    def halt(self, ids: Sequence[str]) -> None:
        """The reconciler stops machines."""
        for machine in self._known(ids):
            if machine.state is MachineState.RUNNING:
                machine.state = MachineState.STOPPING
                self.loop.call_later(ENDING, self._stopped, machine)
            elif machine.state not in (MachineState.STOPPING, MachineState.STOPPED):
                raise CloudError(Fault.NOT_FOUND, f"{machine.cloud_id} is {machine.state}")

    def wake(self, ids: Sequence[str]) -> None:
        """The reconciler starts stopped machines."""
        for machine in self._known(ids):
            if machine.state is MachineState.STOPPED:
                machine.boot += 1
                machine.starts += 1
                machine.state = MachineState.PENDING
                machine.answers_at = self.now() + 1.0 + self.nature.boot
                self.loop.call_later(1.0, self._become, machine, MachineState.PENDING, MachineState.RUNNING)
            elif machine.state not in (MachineState.PENDING, MachineState.RUNNING):
                raise CloudError(Fault.NOT_FOUND, f"{machine.cloud_id} is {machine.state}")

    def _known(self, ids: Sequence[str]) -> list[RealMachine]:
        if not ids:
            self.wrong("an empty list of ids was sent")
        found = [self.find(cloud_id) for cloud_id in ids]
        if None in found:
            raise CloudError(Fault.NOT_FOUND, f"the cloud does not know {ids[found.index(None)]}")
        return [machine for machine in found if machine]

    def _become(self, machine: RealMachine, source: MachineState, target: MachineState) -> None:
        if machine.state is source:
            machine.state = target
            machine.changed()

    # --- what befalls machines

    def evict(self, machine: RealMachine) -> None:
        """The cloud announces that it takes a machine back, and does so."""
        machine.evicted = True
        self.say("cloud", f"{machine.cloud_id} will be taken back")
        self.loop.call_later(NOTICE, self.vanish, machine)

    def vanish(self, machine: RealMachine) -> None:
        """A machine ends, with everything on it."""
        if machine.lives:
            self._cut_jobs(machine)
            machine.state = MachineState.TERMINATED
            machine.ended_at = self.now()
            self.say("cloud", f"{machine.cloud_id} has ended")
            machine.changed()

    def reboot(self, machine: RealMachine) -> None:
        """A machine starts anew by itself."""
        if machine.state is MachineState.RUNNING:
            self._cut_jobs(machine)
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
            self._cut_jobs(machine)
            machine.state = MachineState.STOPPED
            machine.changed()

    def _cut_jobs(self, machine: RealMachine) -> None:
        for job in machine.jobs.values():
            if job.lives:
                self._over(machine, job, JobState.GONE)

    # --- what a host does

    def answers(self, machine: RealMachine, address: str) -> bool:
        """Whether something that is sent there arrives now."""
        now = self.now()
        there = machine.runs and now >= machine.answers_at and now >= machine.silent_until
        return there and address == f"{machine.cloud_id}:{machine.starts}"

    def start(self, machine: RealMachine, job: Job, boot_id: str) -> JobReport:
        """A job starts, once; never on another boot, never after it was killed."""
        if boot_id != machine.boot_id:
            raise HostRefusedError(f"this is the boot {machine.boot_id}, not {boot_id}")
        known = machine.jobs.get(job.id)
        if known is None:
            known = machine.jobs[job.id] = RealJob(job.id, JobState.RUNNING, started=self.now())
            self._run(machine, job, known)
            machine.changed()
        return known.report()

    def _run(self, machine: RealMachine, job: Job, real: RealJob) -> None:
        if job.id.startswith(SETUP):
            seconds, code = self.nature.setup, int(self.faults.chance(self.nature.bad_setup))
        else:
            real.run, seconds, code = self.ledger.begin(machine, job)
            self.say("host", f"{job.id} runs on {machine.cloud_id}")
        if job.limit is not None and job.limit < seconds:
            ended = (JobState.KILLED, None, Cause.TIMEOUT)
            real.timer = self.loop.call_later(job.limit, self._over, machine, real, *ended)
        else:
            real.timer = self.loop.call_later(seconds, self._over, machine, real, JobState.EXITED, code)

    def _over(
        self, machine: RealMachine, job: RealJob, state: JobState, code: int | None = None, cause: Cause | None = None
    ) -> None:
        if job.timer:
            job.timer.cancel()
        job.state, job.code, job.cause, job.ended = state, code, cause, self.now()
        if job.run:
            self.ledger.end(job.run, code)
            self.say("host", f"{job.id} {state} {'' if code is None else code}")
        machine.changed()

    def kill(self, machine: RealMachine, job_id: str) -> JobReport:
        """A job ends with all its processes; one that has not come yet never will."""
        job = machine.jobs.get(job_id)
        if job is None:
            job = machine.jobs[job_id] = RealJob(job_id, JobState.KILLED, cause=Cause.REQUEST, ended=self.now())
            machine.changed()
        elif job.lives and self.now() >= machine.stubborn_until:
            self._over(machine, job, JobState.KILLED, None, Cause.REQUEST)
        return job.report()

    def forget(self, machine: RealMachine, job_id: str) -> None:
        """What a job that is over holds is freed."""
        job = machine.jobs.get(job_id)
        if job and job.lives:
            raise HostRefusedError(f"{job_id} is not over")
        if job:
            job.forgotten = True
