"""What a cloud may sell, how it may refuse, and what it says exists."""

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from attrs import asdict, field, frozen


class Market(StrEnum):
    """How a machine is paid for."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"


@frozen(kw_only=True)
class Offer:
    """One thing that can be asked of a cloud. Capacity is remembered for each offer."""

    type: str  # an instance type, or the one type of a local pool
    market: Market = Market.ON_DEMAND
    zone: str = ""  # empty: wherever the cloud likes


@frozen(kw_only=True)
class Place:
    """Where a cloud keeps machines that one listing can cover: a kind of cloud, an account, a region.

    It is kept with every machine as it was born, so that a listing covers what lives there, whatever the spec says now.
    """

    cloud: str  # the registry's name: local, ec2, ssh
    settings: str  # the cloud's own settings that tell one place from another, as canonical JSON without secrets


@frozen(kw_only=True)
class LaunchRequest:
    """One purchase, frozen and committed before it is made. The same token never buys twice."""

    token: str  # at most 64 ASCII characters
    offer: Offer
    count: int  # machines wanted; the cloud gives between one and this many
    settings: str  # the pool's cloud settings, frozen as canonical JSON
    tags: Mapping[str, str] = field(factory=dict)

    def to_json(self) -> str:
        """Canonical text, for the launch's row."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "LaunchRequest":
        """The value that `to_json` wrote."""
        fields = json.loads(text)
        offer = fields.pop("offer")
        return cls(offer=Offer(**{**offer, "market": Market(offer["market"])}), **fields)


class MachineState(StrEnum):
    """What the cloud says of a machine, in EC2's words."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"


@frozen(kw_only=True)
class Machine:
    """One machine as its cloud describes it. (token, index) names it among ours."""

    cloud_id: str
    token: str  # empty for a machine that nobody bought by token
    index: int  # which of the launch's machines it is, from 0
    state: MachineState
    type: str
    address: str = ""  # where its host answers: an IP address, or a folder
    evicted: bool = False  # the cloud took it back, or says that it will
    impaired: str = ""  # what the cloud's own checks of it say is wrong
    host_key: str = ""  # pinned before: no other may answer. Set by us, never by a cloud
    adopted: bool = False  # somebody else bought it. Set by us, never by a cloud
    reason: str = ""  # the cloud's own words on why it is in this state
    born: datetime | None = None  # UTC
    tags: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class Listing:
    """What one place says exists. Only a complete listing says anything about what is missing from it."""

    place: Place
    machines: tuple[Machine, ...] = ()
    complete: bool = True
    error: str = ""  # why it is not complete
    grace: float | None = None  # seconds since a birth in which "not found" may mean "not yet"; None: nobody knows


class Fault(StrEnum):
    """How outside systems refuse; each has one policy in `decide/faults.py`."""

    CAPACITY = "capacity"  # none of this offer just now
    THROTTLED = "throttled"  # we ask too often
    QUOTA = "quota"  # the account may not have more
    REFUSED = "refused"  # the request itself is wrong, and will be tomorrow
    NOT_FOUND = "not found"  # it does not know this machine
    DENIED = "denied"  # we may not do this
    UNREACHABLE = "unreachable"  # no answer, or one that makes no sense
    OURS = "ours"  # this computer could not: a full disk, no permission
