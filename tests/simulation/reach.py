"""What the reconciler holds in its hands: a cloud, hosts and sinks, each call of which may come late, or to nothing.

A call that has left goes on by itself: it arrives although whoever sent it has died or waits no longer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from attrs import frozen

from reconciler.clouds.base import CloudError, Owner
from reconciler.hosts.base import Host, HostRefusedError, UnreachableError, UnstorableError
from reconciler.model.job import Collected, Job, JobReport, Report
from reconciler.model.offer import Fault, LaunchRequest, Listing, Machine, Place
from reconciler.model.snapshot import Done, Failed
from reconciler.model.tags import CONTROLLER
from reconciler.sinks.base import News
from tests.simulation.faults import NONE, USUAL, Trouble
from tests.simulation.truth import RealMachine
from tests.simulation.world import World

NOT_EVEN_READ = (Fault.THROTTLED, Fault.UNREACHABLE)  # a cloud refuses so whatever it is asked
NO_ANSWER = 3.0  # seconds after which a host that does not answer is known not to

T = TypeVar("T")


class Caller(Protocol):
    """The process that makes a call; it may die or pause at a point."""

    name: str
    has_slept: bool

    async def point(self, what: str) -> None:
        """Somewhere the process may die or pause."""
        ...


@frozen
class Wire:
    """The way of every call from one process into the world."""

    world: World
    caller: Caller

    async def send(self, call: str, act: Callable[[], T], lost: Exception, token: str = "") -> T:
        """Act once in the world, if the call arrives; the answer comes back unless it is lost.

        Calls with one token arrive in the order in which they were sent, and what was answered once under a token is
        answered so again. Raises what `act` raises, and `lost` where there is no answer.
        """
        await self.caller.point(f"before {call}")
        trouble = self.world.faults.draw(call)
        if trouble != NONE:
            self.world.say(self.caller.name, f"{call} is unlucky: {trouble}")
        way = USUAL[call] / 2
        arriving = asyncio.get_running_loop().create_task(self._arrive(call, act, trouble, way, token))
        result = await asyncio.shield(arriving)
        await asyncio.sleep(way + trouble.late)
        await self.caller.point(f"after {call}")
        if trouble.lose:
            raise lost
        return result

    async def _arrive(self, call: str, act: Callable[[], T], trouble: Trouble, way: float, token: str) -> T:
        async with self.world.locks.setdefault(token, asyncio.Lock()) if token else asyncio.Lock():
            await asyncio.sleep(way + trouble.delay)
            answered = token in self.world.bought and trouble.refuse not in NOT_EVEN_READ
            if trouble.refuse and not answered:
                raise refusal(call, trouble.refuse)
            return act()


def refusal(call: str, fault: Fault) -> Exception:
    """The error of a call that is refused."""
    if call in ("launch", "listing", "lookup", "terminate", "stop", "start machine"):
        return CloudError(fault, f"{call}: {fault}")
    kinds: Mapping[Fault, type[Exception]] = {Fault.REFUSED: HostRefusedError, Fault.OURS: UnstorableError}
    return kinds.get(fault, UnreachableError)(f"{call}: {fault}")


@frozen
class SimCloud:
    """One place, as one process reaches it."""

    place: Place
    wire: Wire

    async def listing(self, owner: Owner) -> Listing:
        """Every machine of this controller that the cloud knows; some of them, and incomplete, when it is unlucky."""
        world = self.wire.world

        def act() -> Listing:
            found = [
                world.describe(machine)
                for machine in world.machines.values()
                if machine.place == self.place.settings
                and machine.request.tags[CONTROLLER] == owner.controller
                and world.find(machine.cloud_id)
            ]
            if world.faults.chance(world.faults.rate / 2):
                return Listing(place=self.place, machines=tuple(found[::2]), complete=False, error="cut short")
            return Listing(place=self.place, machines=tuple(found))

        return await self._send("listing", act)

    async def lookup(self, cloud_ids: Sequence[str]) -> Mapping[str, Machine | None]:
        """The machines of these ids; None for what the cloud does not know."""
        world = self.wire.world

        def act() -> Mapping[str, Machine | None]:
            found = {cloud_id: world.find(cloud_id) for cloud_id in cloud_ids}
            return {cloud_id: machine and world.describe(machine) for cloud_id, machine in found.items()}

        return await self._send("lookup", act)

    async def launch(self, request: LaunchRequest) -> Sequence[Machine]:
        """Buy."""
        world = self.wire.world

        def act() -> Sequence[Machine]:
            late = self.wire.caller.has_slept and world.is_final(request.token)
            partial = world.faults.chance(world.faults.rate)
            machines = world.buy(request, self.place.settings, partial=partial, late=late)
            return [world.describe(machine) for machine in machines]

        return await self._send("launch", act, request.token)

    async def terminate(self, cloud_ids: Sequence[str]) -> None:
        """End machines."""
        await self._send("terminate", lambda: self.wire.world.end(cloud_ids, self.wire.caller.name))

    async def stop(self, cloud_ids: Sequence[str]) -> None:
        """Stop machines."""
        await self._send("stop", lambda: self.wire.world.halt(cloud_ids))

    async def start(self, cloud_ids: Sequence[str]) -> None:
        """Start stopped machines."""
        await self._send("start machine", lambda: self.wire.world.wake(cloud_ids))

    def host(self, machine: Machine, settings: str) -> Host:
        """A way into the machine."""
        return SimHost(machine.cloud_id, machine.address, self.wire)

    async def close(self) -> None:
        """Nothing is held."""

    async def _send(self, call: str, act: Callable[[], T], token: str = "") -> T:
        return await self.wire.send(call, act, CloudError(Fault.UNREACHABLE, f"{call}: no answer"), token)


@frozen
class SimHost:
    """One machine's host, as one process reaches it at an address."""

    cloud_id: str
    address: str
    wire: Wire

    async def report(self, *, wait: float = 0.0, mark: str = "") -> Report:
        """All its jobs, at once or when they are another."""
        await self.wire.caller.point("before report")
        loop = asyncio.get_running_loop()
        trouble = self.wire.world.faults.draw("report")
        await asyncio.sleep(trouble.delay)
        machine = await self._reached()
        if wait and machine.mark == mark:
            waiter = loop.create_future()
            machine.waiting.append(waiter)
            await asyncio.wait({waiter}, timeout=wait)
            machine = await self._reached()
        report = Report(
            boot_id=machine.boot_id,
            uptime=loop.time() - machine.born,
            agent="1" if machine.has_agent else "",
            jobs={job.id: job.report() for job in machine.jobs.values() if not job.forgotten},
            mark=machine.mark,
        )
        await asyncio.sleep(USUAL["report"] + trouble.late)
        await self.wire.caller.point("after report")
        if trouble.lose or trouble.refuse or machine.mute_until > loop.time():
            raise UnreachableError("report: no answer")
        return report

    async def install(self) -> None:
        """Bring the agent."""

        def act(machine: RealMachine) -> None:
            machine.has_agent = True

        await self._send("install", act)

    async def put(self, files: Mapping[Path, str]) -> None:
        """Bring files."""
        await self._send("put", lambda machine: None)

    async def start(self, job: Job, *, boot_id: str) -> JobReport:
        """Upload and start."""
        return await self._send("start", lambda machine: self.wire.world.start(machine, job, boot_id))

    async def kill(self, job: str) -> JobReport:
        """End a job."""
        return await self._send("kill", lambda machine: self.wire.world.kill(machine, job))

    async def collect(self, job: Job, into: Path) -> Collected:
        """Bring what a job left into a folder."""

        def act(machine: RealMachine) -> tuple[str, bool]:
            real = machine.jobs.get(job.id)
            if real is None or real.forgotten:
                raise HostRefusedError(f"this machine has no job {job.id}, or it was forgotten")
            whole = real.run is not None and real.run.code is not None
            return f"{job.id} ran on {machine.cloud_id}\n", whole

        log, whole = await self._send("collect", act)
        (into / "log").parent.mkdir(parents=True)
        (into / "log").write_text(log)
        if self.wire.world.is_disk_full:
            raise UnstorableError("no space left on this computer")
        if whole:
            (into / "out.txt").write_text(log)
        await self.wire.caller.point("after writing")
        return Collected(log=into / "log", outputs=("out.txt",) if whole else ())

    async def forget(self, job: str) -> None:
        """Free what a job holds."""
        await self._send("forget", lambda machine: self.wire.world.forget(machine, job))

    async def log(self, job: str, *, follow: bool = False) -> AsyncIterator[bytes]:
        """Nobody reads it here."""
        yield b""

    async def close(self) -> None:
        """Nothing is held."""

    async def _reached(self) -> RealMachine:
        machine = self.wire.world.machines.get(self.cloud_id)
        if machine is None or not self.wire.world.answers(machine, self.address):
            await asyncio.sleep(NO_ANSWER)
            raise UnreachableError(f"{self.cloud_id or 'a machine without an id'} does not answer")
        return machine

    async def _send(self, call: str, act: Callable[[RealMachine], T]) -> T:
        def arrived() -> T | None:
            machine = self.wire.world.machines.get(self.cloud_id)
            if machine is None or not self.wire.world.answers(machine, self.address):
                return None
            if call not in ("install", "put") and not machine.has_agent:
                raise HostRefusedError("the agent is not installed")
            return _Arrived(act(machine))

        answer: Any = await self.wire.send(call, arrived, UnreachableError(f"{call}: no answer"))
        machine = self.wire.world.machines.get(self.cloud_id)
        if answer is None or (machine and machine.mute_until > self.wire.world.now()):
            await asyncio.sleep(NO_ANSWER)
            raise UnreachableError(f"{self.cloud_id or 'a machine without an id'} does not answer")
        value: T = answer.value
        return value


@frozen
class _Arrived:
    value: Any


@frozen
class SimSink:
    """A receiver of news, which keeps what it was told."""

    name: str
    wire: Wire
    told: list[str]

    async def deliver(self, news: Sequence[News]) -> Sequence[Done | Failed]:
        """Take news; where that fails, it fails for all of it."""
        ids = [one.delivery.id for one in news]
        try:
            await self.wire.send("deliver", lambda: self.told.extend(ids), UnreachableError("the sink did not answer"))
        except UnreachableError as error:
            return [Failed(fault=Fault.UNREACHABLE, message=str(error)) for _ in news]
        return [Done(event="delivered") for _ in news]
