"""Clouds and sinks as the reconciler holds them (hosts: sim_host.py): each call may come late, or to nothing.

A call that has left goes on by itself: it arrives although whoever sent it has died or waits no longer.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from attrs import frozen

from reconciler.clouds.base import CloudError, Owner
from reconciler.hosts.base import Host, HostRefusedError, UnreachableError, UnstorableError
from reconciler.model.offer import Fault, LaunchRequest, Listing, Machine, Place
from reconciler.model.snapshot import Done, Failed
from reconciler.model.tags import CONTROLLER as OWNER
from reconciler.sinks.base import News
from tests.simulation.faults import NONE, USUAL, Trouble
from tests.simulation.world import World

NOT_EVEN_READ = (Fault.THROTTLED, Fault.UNREACHABLE)  # a cloud refuses so whatever it is asked

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

    async def send(self, call: str, act: Callable[[], T], lost: Exception, token: tuple[str, str] | None = None) -> T:
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

    async def _arrive(
        self, call: str, act: Callable[[], T], trouble: Trouble, way: float, token: tuple[str, str] | None
    ) -> T:
        async with self.world.locks.setdefault(token, asyncio.Lock()) if token else asyncio.Lock():
            await asyncio.sleep(way + trouble.delay)
            answered = token is not None and self.world.shop.knows(*token) and trouble.refuse not in NOT_EVEN_READ
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
                and machine.request.tags.get(OWNER) == owner.controller
                and world.find(machine.cloud_id, self.place.settings)
            ]
            if world.faults.chance(world.faults.rate / 2):
                return Listing(place=self.place, machines=tuple(found[::2]), complete=False, error="cut short")
            return Listing(place=self.place, machines=tuple(found))

        return await self._send("listing", act)

    async def lookup(self, cloud_ids: Sequence[str]) -> Mapping[str, Machine | None]:
        """The machines of these ids; None for what the cloud does not know."""
        world = self.wire.world

        def act() -> Mapping[str, Machine | None]:
            found = {cloud_id: world.find(cloud_id, self.place.settings) for cloud_id in cloud_ids}
            return {cloud_id: machine and world.describe(machine) for cloud_id, machine in found.items()}

        return await self._send("lookup", act)

    async def launch(self, request: LaunchRequest) -> Sequence[Machine]:
        """Buy."""
        world = self.wire.world

        def act() -> Sequence[Machine]:
            partial, slept = world.faults.chance(world.faults.rate), self.wire.caller.has_slept
            machines = world.shop.buy(request, self.place.settings, partial=partial, slept=slept)
            return [world.describe(machine) for machine in machines]

        return await self._send("launch", act, (self.place.settings, request.token))

    async def terminate(self, cloud_ids: Sequence[str]) -> None:
        """End machines."""
        await self._send("terminate", lambda: self.wire.world.end(cloud_ids, self.place.settings, self._who))

    async def stop(self, cloud_ids: Sequence[str]) -> None:
        """Stop machines."""
        await self._send("stop", lambda: self.wire.world.halt(cloud_ids, self.place.settings, self._who))

    async def start(self, cloud_ids: Sequence[str]) -> None:
        """Start stopped machines."""
        await self._send("start machine", lambda: self.wire.world.wake(cloud_ids, self.place.settings))

    def host(self, machine: Machine, settings: str) -> Host:
        """Processes make their hosts themselves: see process.py."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is held."""

    @property
    def _who(self) -> str:
        return self.wire.caller.name

    async def _send(self, call: str, act: Callable[[], T], token: tuple[str, str] | None = None) -> T:
        lost = CloudError(Fault.UNREACHABLE, f"{call}: no answer")

        def act_unless_dark() -> T:
            if self.place.settings in self.wire.world.dark:
                raise lost
            return act()

        return await self.wire.send(call, act_unless_dark, lost, token)


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
