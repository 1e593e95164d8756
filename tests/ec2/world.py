"""What EC2 does and moto does not, as changes to moto inside the server's process: tokens, time, lag, capacity.

Everything here runs under the one lock of the server. Times are seconds of a monotonic clock.
"""

import copy
import ipaddress
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from attrs import Factory, define, frozen
from moto.ec2.exceptions import EC2ClientError, InvalidInstanceIdError
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.instances import StateReason
from moto.ec2.responses._base_response import EC2BaseResponse

ACCOUNT = "123456789012"
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
LIVE = ("pending", "running", "stopping", "stopped")
USER_TERMINATES = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
EVICTED = ("Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination")


@define
class Knobs:
    """How this EC2 behaves. Seconds; `limits` is how many live machines of a type there may be, `*` for any type."""

    boot: float = 0.0  # pending → running
    stopping: float = 0.0  # stopping → stopped
    ending: float = 0.0  # shutting-down → terminated
    lag: float = 0.0  # a listing does not show younger machines
    unknown: float = 0.0  # asked for by id, younger machines are NotFound
    page: int = 1000  # reservations that one answer holds
    limits: dict[str, int] = Factory(dict)
    spot_unavailable: bool = False
    skew: float = 0.0  # our clock is so much later than theirs
    vcpus: float = 256.0  # the account's quota
    prices: dict[str, float] = Factory(dict)  # instance type: on-demand, US dollars an hour
    events: str = ""  # a file that gets a line of JSON for each change of a machine


@frozen
class Bought:
    """What a token bought."""

    fingerprint: str
    reservation: str


@define
class World:
    """All that the server knows beside moto."""

    network: str  # the first two numbers of the machines' addresses: 127.10
    knobs: Knobs = Factory(Knobs)
    tokens: dict[tuple[str, str], Bought] = Factory(dict)
    born: dict[str, float] = Factory(dict)
    due: list[tuple[float, Any, str]] = Factory(list)
    impaired: dict[str, str] = Factory(dict)  # instance id → system or instance
    consoles: dict[str, str] = Factory(dict)
    calls: Counter[str] = Factory(Counter)
    requests: list[dict[str, str]] = Factory(list)
    subnets: dict[tuple[str, str], str] = Factory(dict)  # region, zone → subnet
    granted: int = 0  # how many machines the RunInstances that is being answered gets

    def advance(self) -> None:
        """Let every change happen whose time has come."""
        now = time.monotonic()
        while ready := [entry for entry in self.due if entry[0] <= now]:
            for entry in ready:
                self.due.remove(entry)
                self.become(entry[1], entry[2])

    def become(self, instance: Any, state: str) -> None:
        """Put a machine into a state, unless it has gone further meanwhile."""
        current = instance._state.name
        if current == "terminated" or (current == "shutting-down" and state != "terminated"):
            return
        reason, transition = instance.state_reason, instance._reason
        if state == "terminated":
            instance.terminate()
        instance._state.name, instance._state.code = state, CODES[state]
        instance.state_reason, instance._reason = reason, transition
        self.tell(instance)

    def later(self, instance: Any, state: str, wait: float) -> None:
        self.due = [entry for entry in self.due if entry[1] is not instance]
        self.due.append((time.monotonic() + wait, instance, state))

    def end(self, instance: Any, code: str, message: str, *, stop: bool = False) -> None:
        """Begin to terminate or to stop a machine, for a reason."""
        if instance._state.name in ("terminated", "shutting-down"):
            return
        instance.state_reason = StateReason(message, code)
        instance._reason = message
        self.become(instance, "stopping" if stop else "shutting-down")
        wait = self.knobs.stopping if stop else self.knobs.ending
        self.later(instance, "stopped" if stop else "terminated", wait)

    def tell(self, instance: Any) -> None:
        if self.knobs.events:
            with Path(self.knobs.events).open("a") as stream:
                stream.write(json.dumps(described(instance)) + "\n")

    def young(self, instance: Any, seconds: float) -> bool:
        return time.monotonic() - self.born.get(instance.id, 0.0) < seconds

    def room(self, backend: Any, kind: str) -> int:
        """How many more machines of a type there may be."""
        live = Counter(each.instance_type for each in backend.all_instances() if each._state.name in LIVE)
        limits = self.knobs.limits
        rooms = [limits["*"] - live.total()] if "*" in limits else []
        rooms += [limits[kind] - live[kind]] if kind in limits else []
        return max(0, min(rooms, default=10_000))

    def subnet(self, backend: Any, zone: str | None) -> str:
        """A subnet of ours in a zone, so that machines get addresses on this computer."""
        zone = zone or f"{backend.region_name}a"
        key = (backend.region_name, zone)
        if key not in self.subnets:
            number = len([each for each in self.subnets if each[0] == key[0]])
            if number == 0:
                self.vpc = backend.create_vpc(f"{self.network}.0.0/16").id
            cidr = ipaddress.ip_network(f"{self.network}.{number * 16}.0/20")
            made = backend.create_subnet(self.vpc, str(cidr), availability_zone=zone)
            made.map_public_ip_on_launch = "false"
            self.subnets[key] = made.id
        return self.subnets[key]

    vpc: str = ""


def described(instance: Any) -> dict[str, Any]:
    """A machine, as the control API tells of it."""
    return {
        "id": instance.id,
        "state": instance._state.name,
        "address": getattr(instance, "private_ip", None) or "",
        "type": instance.instance_type,
        "spot": instance.lifecycle == "spot",
        "token": instance.client_token,
        "index": int(instance.ami_launch_index),
        "tags": {tag["key"]: tag["value"] for tag in instance.get_tags()},
    }


def find(cloud_id: str) -> Any:
    """A machine of any region."""
    for backend in ec2_backends[ACCOUNT].values():
        for instance in backend.all_instances():
            if instance.id == cloud_id:
                return instance
    raise KeyError(cloud_id)


def everyone() -> list[Any]:
    return [each for backend in list(ec2_backends[ACCOUNT].values()) for each in backend.all_instances()]


def _refuse(instance: Any, what: str) -> None:
    message = f"The instance '{instance.id}' is not in a state from which it can be {what}."
    raise EC2ClientError("IncorrectInstanceState", message)


PLAIN = {name: getattr(EC2Backend, name) for name in ("run_instances", "get_multi_instances_by_id")}


def run_instances(
    world: World, self: Any, image_id: str, count: int, user_data: Any, groups: list[str], **kwargs: Any
) -> Any:
    """As many as the server granted; for a token that bought, what it bought."""
    token = kwargs.get("client_token") or ""
    known = world.tokens.get((self.region_name, token))
    if known and known.reservation:
        return copy.copy(self.reservations[known.reservation])
    if not kwargs.get("nics") and not kwargs.get("subnet_id"):
        kwargs["subnet_id"] = world.subnet(self, kwargs.get("placement"))
        kwargs["placement"] = None
    made = PLAIN["run_instances"](self, image_id, world.granted, user_data, groups, **kwargs)
    if known:
        world.tokens[self.region_name, token] = Bought(known.fingerprint, made.id)
    for instance in made.instances:
        world.born[instance.id] = time.monotonic()
        instance._state.name, instance._state.code = "pending", CODES["pending"]
        instance.state_reason = StateReason("pending", "pending")
        world.tell(instance)
        world.later(instance, "running", world.knobs.boot)
    return made


def seen_by_id(world: World, self: Any, ids: list[str], filters: Any = None) -> list[Any]:
    """Machines by id; one that is too young is not found."""
    found = {each.id for each in self.all_instances() if not world.young(each, world.knobs.unknown)}
    missing = [each for each in ids if each not in found]
    if missing:
        raise InvalidInstanceIdError(missing)
    return PLAIN["get_multi_instances_by_id"](self, ids, filters)  # type: ignore[no-any-return]


def by_ids(world: World, self: Any, ids: list[str], filters: Any = None) -> list[Any]:
    """The same, as DescribeInstances answers."""
    wanted = {each.id for each in seen_by_id(world, self, ids)}
    return _only(self.all_reservations(), lambda each: each.id in wanted)


def describe(world: World, self: Any, filters: Any = None) -> list[Any]:
    """A listing, which may lag; it knows the filter by token."""
    filters = dict(filters or {})
    tokens = filters.pop("client-token", None)
    return _only(
        self.all_reservations(filters),
        lambda each: not world.young(each, world.knobs.lag) and (tokens is None or each.client_token in tokens),
    )


def terminate(world: World, self: Any, ids: list[str]) -> list[tuple[Any, Any]]:
    found = [(each, copy.copy(each._state)) for each in seen_by_id(world, self, ids)]
    for each, _ in found:
        world.end(each, *USER_TERMINATES)
    return found


def stop(world: World, self: Any, ids: list[str]) -> list[tuple[Any, Any]]:
    found = [(each, copy.copy(each._state)) for each in seen_by_id(world, self, ids)]
    for each, state in found:
        if state.name in ("terminated", "shutting-down"):
            _refuse(each, "stopped")
        if each.lifecycle == "spot":
            raise EC2ClientError("UnsupportedOperation", f"You can't stop the Spot Instance '{each.id}'")
    for each, state in found:
        if state.name in ("pending", "running"):
            world.end(each, *USER_TERMINATES, stop=True)
    return found


def start(world: World, self: Any, ids: list[str]) -> list[tuple[Any, Any]]:
    found = [(each, copy.copy(each._state)) for each in seen_by_id(world, self, ids)]
    for each, state in found:
        if state.name in ("terminated", "shutting-down", "stopping"):
            _refuse(each, "started")
    for each, state in found:
        if state.name == "stopped":
            each.state_reason, each._reason = StateReason("pending", "pending"), ""
            world.become(each, "pending")
            world.later(each, "running", world.knobs.boot)
    return found


# moto's method → ours.
CHANGED = {
    "run_instances": run_instances,
    "get_multi_instances_by_id": seen_by_id,
    "get_reservations_by_instance_ids": by_ids,
    "describe_instances": describe,
    "terminate_instances": terminate,
    "stop_instances": stop,
    "start_instances": start,
}


def install(world: World) -> None:
    """Change moto's EC2 for good: this process serves nothing else."""
    # A replay tells the machines' present state, which moto's answer to RunInstances never does.
    EC2BaseResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER.pop("RunInstances.Reservation.Instances.Instance.State")
    for name, ours in CHANGED.items():
        setattr(EC2Backend, name, _method(world, ours))


def _method(world: World, ours: Any) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return ours(world, self, *args, **kwargs)

    return method


def _only(reservations: list[Any], wanted: Any) -> list[Any]:
    """Reservations with the machines that are wanted; those without one are left out."""
    kept = []
    for reservation in reservations:
        instances = [each for each in reservation.instances if wanted(each)]
        if instances:
            reservation.instances = instances
            kept.append(reservation)
    return kept
