"""What each kind of fault means for what was tried: one policy a fault, as data."""

from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen

from reconciler.decide.deadlines import backoff
from reconciler.model.offer import Fault


@frozen(kw_only=True)
class Policy:
    """How to go on after a fault. Seconds."""

    refuses: bool = False  # a launch or start that meets it is over: another offer, or later
    hold: float = 0.0  # the offer is left alone for so long …
    hold_most: float = 0.0  # … doubling to this with each refusal in a row
    first: float = 2.0  # else the same effect is tried again after this …
    most: float = 60.0  # … doubling to this
    of_request: bool = False  # it says something of the pool's own request: other pools, and an edited one, ask anew
    stops_clock: bool = False  # the time until then does not count against the state's deadline


POLICIES: Mapping[Fault, Policy] = MappingProxyType(
    {
        # None of this offer now. Comes and goes by the minute, so it is forgotten soon and never doubled.
        Fault.CAPACITY: Policy(refuses=True, hold=180.0, hold_most=180.0),
        # We ask too often. Says nothing about the offer: wait, and ask for the same again.
        Fault.THROTTLED: Policy(first=1.0, most=60.0),
        # The account may not have more; somebody must end something or ask for more.
        Fault.QUOTA: Policy(refuses=True, hold=600.0, hold_most=3600.0),
        # The request is wrong, and will be until somebody edits the pool.
        Fault.REFUSED: Policy(refuses=True, hold=600.0, hold_most=3600.0, of_request=True),
        # We may not; as for a wrong request.
        Fault.DENIED: Policy(refuses=True, hold=600.0, hold_most=3600.0, of_request=True),
        # Just born, or just gone: the next listing tells.
        Fault.NOT_FOUND: Policy(first=2.0, most=60.0),
        # No answer: it may have been done, and asking again is harmless.
        Fault.UNREACHABLE: Policy(first=1.0, most=60.0),
        # A full disk here is nobody else's fault: their clock stands still until it is mended.
        Fault.OURS: Policy(first=5.0, most=60.0, stops_clock=True),
    }
)


def retry_at(fault: Fault, strikes: int, now: float) -> float:
    """When an effect that failed for the `strikes`th time in a row is tried again."""
    policy = POLICIES[fault]
    return now + backoff(strikes, policy.first, policy.most)


def held_until(fault: Fault, strikes: int, now: float) -> float:
    """Until when an offer is left alone after its `strikes`th refusal in a row."""
    policy = POLICIES[fault]
    return now + backoff(strikes, policy.hold, policy.hold_most)
