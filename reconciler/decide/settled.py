"""Whether there is anything left to do, and what: `--until-settled` ends on it, and people are shown it."""

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from reconciler.decide.case import Desired, types_of
from reconciler.decide.demand import SERVES
from reconciler.decide.holds import setup_scope
from reconciler.lifecycle.instance import INSTANCE, USER_STOP
from reconciler.lifecycle.table import Kind
from reconciler.model.rows import Hold, Instance, Submission
from reconciler.model.snapshot import Recorded
from reconciler.spec.values import Pool

NO_POOL = "no such pool"
STRIKES = 3  # refusals or failures in a row after which a thing counts as set aside: somebody has to look at it


@frozen(kw_only=True)
class Standing:
    """What is left: work that will move by itself, and work that waits for somebody."""

    in_flight: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    queued_aside: Mapping[str, int] = field(factory=dict)  # pool → how many of its queue are set aside

    @property
    def settled(self) -> bool:
        """Whether nothing will move any more by itself."""
        return not self.in_flight


def standing(desired: Desired, recorded: Recorded) -> Standing:
    """Everything that is not final and not at rest, in words for people."""
    in_flight = [f"{row.label} is {row.state}" for row in recorded.submissions.values()]
    set_aside: list[str] = []
    queued_aside: dict[str, int] = {}
    for pool in recorded.waiting:
        for why, count in _queued(desired, recorded, pool).items():
            (set_aside if why else in_flight).append(
                f"{count} queued for pool {pool or '(none)'}" + (f": {why}" if why else "")
            )
            queued_aside[pool] = queued_aside.get(pool, 0) + (count if why else 0)
    for delivery in recorded.deliveries.values():
        (set_aside if delivery.strikes >= STRIKES else in_flight).append(
            f"{delivery.id}: {delivery.last_error or 'due'}"
        )
    for instance in recorded.instances.values():
        kind = INSTANCE.by_name[instance.state].kind
        if kind in (Kind.INTENT, Kind.WAITING):
            aside = instance.state == "terminating" and instance.strikes >= STRIKES
            (set_aside if aside else in_flight).append(f"{instance.id} is {instance.state}")
    in_flight += _sizes(desired, recorded)
    set_aside += recorded.unreadable
    return Standing(in_flight=tuple(in_flight), set_aside=tuple(set_aside), queued_aside=queued_aside)


def _queued(desired: Desired, recorded: Recorded, pool: str) -> Mapping[str, int]:
    """Why they cannot move until somebody acts, empty where they can → how many of a pool's queue."""
    waiting = recorded.waiting[pool]
    left = waiting.ready + waiting.held
    if why := stuck(desired, recorded, pool):
        return {why: left}
    found: dict[str, int] = {}
    for types, count in waiting.by_types.items():
        if why := no_such_type(desired.pools[pool].pool, types_of(types) or ()):
            found[why] = found.get(why, 0) + count
            left -= count
    return found | ({"": left} if left else {})


def impossible(desired: Desired, row: Submission) -> str:
    """Why a queued submission can never run as things are; empty where it can."""
    wish = desired.pools.get(row.pool)
    return no_such_type(wish.pool, types_of(row.types) or ()) if wish else NO_POOL


def no_such_type(pool: Pool, types: Sequence[str]) -> str:
    """Why what names these types can never run in a pool; empty where it can."""
    if not types or any(kind in pool.size for kind in types):
        return ""
    return f"it names {', '.join(types)}, and pool {pool.pool} has {', '.join(pool.size)} only"


def _sizes(desired: Desired, recorded: Recorded) -> list[str]:
    """Pools below a minimum that can still be reached, or above one although nothing waits."""
    found = []
    for name, wish in desired.pools.items():
        for kind, size in wish.pool.size.items():
            serving = sum(
                row.pool == name and row.type == kind and row.state in SERVES for row in recorded.instances.values()
            )
            low_missing = serving < size.low and not stuck(desired, recorded, name)
            if low_missing or (serving > size.low and desired.settle and name not in recorded.waiting):
                found.append(f"pool {name} has {serving} {kind} of {size.low}..{size.high}")
    return found


def stuck(desired: Desired, recorded: Recorded, pool: str) -> str:
    """Why nothing of a pool's queue can move until somebody acts; empty where it can."""
    wish = desired.pools.get(pool)
    if wish is None:
        return NO_POOL
    hold = next((hold for hold in recorded.holds if _blocks(hold, pool, wish.spec_hash)), None)
    rows = [row for row in recorded.instances.values() if row.pool == pool and not INSTANCE.is_final(row.state)]
    if any(row.state in SERVES for row in rows):
        return ""
    return f"{hold.reason} ({hold.strikes} times)" if hold else _kept_stopped(wish.pool, rows)


def _kept_stopped(pool: Pool, rows: list[Instance]) -> str:
    """Why the pool can have no machine that serves, where the user stopped those that it may have."""
    kept = [row.id for row in rows if row.state == "stopped" and row.reason == USER_STOP]
    full = all(sum(row.type == kind for row in rows) >= size.high for kind, size in pool.size.items())
    return f"{', '.join(kept)}: {USER_STOP}" if kept and full else ""


def _blocks(hold: Hold, pool: str, spec_hash: str) -> bool:
    return hold.strikes >= STRIKES and hold.scope == setup_scope(pool, spec_hash)
