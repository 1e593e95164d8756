"""What a cloud sells: by type and market, a batch at a time, each token once at each place.

Amazon's documentation ("Ensuring idempotency in Amazon EC2 API requests"): a token holds at one place alone, and for a
day after its machines ended. So a token at another place buys again, and so does one that comes back after that day.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import Factory, define

from reconciler.clouds.base import CloudError
from reconciler.model.offer import Fault, LaunchRequest, Offer
from reconciler.model.tags import POOL
from tests.simulation.faults import FOREVER
from tests.simulation.truth import RealMachine

if TYPE_CHECKING:
    from tests.simulation.world import World

TOKEN_HOLDS = 86400.0  # seconds after the end of its last machine in which a token still buys nothing new
SWITCHED_ON = 2.0  # seconds from bought to running; it boots then
NOBODY = LaunchRequest(token="", offer=Offer(type="theirs"), count=1, settings="")


@define(kw_only=True)
class Shop:
    """The purchases of all places."""

    world: "World"
    sold_out: set[tuple[str, str]] = Factory(set)  # (type, market) of which there is none just now
    bought: dict[tuple[str, str], tuple[LaunchRequest, list[RealMachine]]] = Factory(dict)  # by place and token
    before_buy: Callable[[LaunchRequest, bool], None] = lambda request, slept: None  # checks.py looks on
    is_final: Callable[[str], bool] = lambda token: False  # whether the rows of a token are final

    def knows(self, place: str, token: str) -> bool:
        """Whether a token was answered here, and still holds."""
        _, machines = self.bought.get((place, token), (None, []))
        now = self.world.now()
        return any(one.ended_at is None or now < one.ended_at + TOKEN_HOLDS for one in machines)

    def buy(self, request: LaunchRequest, place: str, *, partial: bool, slept: bool) -> list[RealMachine]:
        """Between one and as many machines as were asked for; the same token gives the same ones.

        `slept`: whoever asks has slept. Raises CloudError where nothing of it is left.
        """
        self.before_buy(request, slept)
        if self.knows(place, request.token):
            known, machines = self.bought[place, request.token]
            if known != request:
                self.world.wrong(f"token {request.token} was sent with another request")
            return machines
        if any(token == request.token and where != place for where, token in self.bought):
            self.world.wrong(f"token {request.token} was sent to {place} too, where it buys again")
        count = self._left(request)
        if partial and count > 1:
            count -= 1
        late = slept and self.is_final(request.token)
        machines = [self._born(request, index, place, late=late) for index in range(count)]
        self.bought[place, request.token] = (request, machines)
        self._count(request)
        return machines

    def refuses(self, offer: Offer) -> bool:
        """Whether there is none of this type in this market just now."""
        return (offer.type, str(offer.market)) in self.sold_out

    def _left(self, request: LaunchRequest) -> int:
        offer, capacity = request.offer, self.world.nature.capacity
        count = 0 if self.refuses(offer) else request.count
        if offer.type in capacity:
            alive = sum(one.lives and one.request.offer.type == offer.type for one in self.world.machines.values())
            count = min(count, capacity[offer.type] - alive)
        if count <= 0:
            self.world.say("cloud", f"has no {offer.type} ({offer.market})")
            raise CloudError(Fault.CAPACITY, f"no {offer.type} just now")
        return count

    def _born(self, request: LaunchRequest, index: int, place: str, *, late: bool) -> RealMachine:
        world, nature = self.world, self.world.nature
        now = world.now()
        boots = FOREVER if world.faults.chance(nature.no_boot) else nature.boot
        machine = RealMachine(
            f"m{len(world.machines) + 1}", request, index, place, now, now + nature.lag, now + SWITCHED_ON + boots,
            late=late, is_powerless=world.faults.chance(nature.powerless), cared_at=now,
        )  # fmt: skip
        world.machines[machine.cloud_id] = machine
        world.run_up(machine, SWITCHED_ON)
        world.guard(machine)
        world.say("cloud", f"{machine.cloud_id} bought for {request.token}.{index}")
        return machine

    def foreign(self, cloud_id: str, place: str, owner: str = "") -> RealMachine:
        """Somebody else bought a machine, and it runs."""
        now = self.world.now()
        machine = RealMachine(cloud_id, NOBODY, 0, place, now, now, now, is_foreign=True, owner=owner)
        self.world.machines[cloud_id] = machine
        self.world.run_up(machine, 0.0)
        return machine

    def _count(self, request: LaunchRequest) -> None:
        pool, kind = request.tags[POOL], request.offer.type
        alive = [
            one
            for one in self.world.machines.values()
            if one.lives and not one.late and (one.request.tags.get(POOL), one.request.offer.type) == (pool, kind)
        ]
        if len(alive) > self.world.most.get((pool, kind), 0):
            self.world.wrong(f"pool {pool} has {len(alive)} {kind}: {', '.join(one.cloud_id for one in alive)}")
