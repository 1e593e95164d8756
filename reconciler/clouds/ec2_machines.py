"""From EC2's description of an instance to a machine. Pure."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from reconciler.clouds.base import CloudError
from reconciler.model.offer import Fault, Machine, MachineState
from reconciler.model.tags import ADDRESS, REQUEST, TOKEN

PRIVATE = "private"

# StateReason codes that mean: AWS took the machine back ("StateReason", API reference). ScheduledStop: old hardware.
EVICTIONS = frozenset({"Server.SpotInstanceTermination", "Server.SpotInstanceShutdown", "Server.ScheduledStop"})
# Kept to ourselves: how a machine is reached, and by which request it came.
_INNER = frozenset({ADDRESS, REQUEST})
# States in which no reason is worth telling: it would be `pending`.
_NO_REASON = frozenset({MachineState.PENDING, MachineState.RUNNING})
NOTHING: Mapping[str, str] = MappingProxyType({})


def instances_of(answer: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The instances of a DescribeInstances answer."""
    for reservation in answer.get("Reservations", ()):
        yield from reservation.get("Instances", ())


def machine_of(instance: Mapping[str, Any], impaired: Mapping[str, str] = NOTHING) -> Machine:
    """One machine; `impaired` says which checks failed, by id. Raises CloudError for a state that nobody knows."""
    tags = tags_of(instance)
    cloud_id, reason = str(instance["InstanceId"]), instance.get("StateReason") or {}
    state = _state(cloud_id, str(instance["State"]["Name"]))
    moved = str(instance.get("StateTransitionReason") or "")
    evicted = reason.get("Code") in EVICTIONS or any(moved.startswith(code) for code in EVICTIONS)
    return Machine(
        cloud_id=cloud_id,
        token=str(instance.get("ClientToken") or tags.get(TOKEN, "")),
        index=int(instance.get("AmiLaunchIndex", 0)),
        state=state,
        type=str(instance["InstanceType"]),
        address=_address(instance, tags),
        evicted=evicted,
        impaired=impaired.get(cloud_id, ""),
        reason="" if state in _NO_REASON else str(reason.get("Message") or moved),
        born=instance.get("LaunchTime"),
        tags={name: value for name, value in tags.items() if name not in _INNER},
    )


def tags_of(instance: Mapping[str, Any]) -> dict[str, str]:
    """All tags of an instance, AWS's own left out."""
    pairs = ((str(tag["Key"]), str(tag["Value"])) for tag in instance.get("Tags", ()))
    return {name: value for name, value in pairs if not name.startswith("aws:")}


def _address(instance: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    private = str(instance.get("PrivateIpAddress") or "")
    return private if tags.get(ADDRESS) == PRIVATE else str(instance.get("PublicIpAddress") or private)


def _state(cloud_id: str, name: str) -> MachineState:
    try:
        return MachineState(name)
    except ValueError as error:
        raise CloudError(Fault.UNREACHABLE, f"{cloud_id} is in a state that is not known: {name}") from error
