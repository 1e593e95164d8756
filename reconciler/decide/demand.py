"""How many machines of each type a pool lacks."""

from collections.abc import Callable, Iterator, Mapping

from attrs import frozen

from reconciler.decide.case import Case, types_of
from reconciler.decide.holds import adoption_scope
from reconciler.model.rows import Instance
from reconciler.spec.values import Pool

# States in which a machine serves its pool's size, or will without our doing more.
SERVES = frozenset({"launching", "booting", "preparing", "ready", "starting"})
ADOPTED = "adopted"  # the type of machines that somebody else bought: they serve who names no type


@frozen
class Need:
    """So many machines of one type are missing; its maximum allows them."""

    type: str
    count: int
    buyable: int  # of these at most so many may be bought; the others are stopped machines to start again


def wanted(
    case: Case, pool: Pool, rows: list[Instance], startable: list[Instance], has_offer: Callable[[str], bool]
) -> Iterator[Need]:
    """The minimum of each type first, then what the queue needs, in the pool's order of types.

    Every live row counts against a maximum, also one on its way out: at a fixed size ending comes before buying.
    Machines with our tag and no row count too. A type without an offer now leaves its share to the next. `startable`
    are the stopped machines that may be started again.
    """
    live = _without_rows(case, pool)
    serving: dict[str, int] = {}
    stopped: dict[str, int] = {}
    for row in rows:
        live[row.type] = live.get(row.type, 0) + 1
        serving[row.type] = serving.get(row.type, 0) + (row.state in SERVES and _promises(case, row))
    for row in startable:
        stopped[row.type] = stopped.get(row.type, 0) + 1
    buyable = {
        kind: max(0, size.high - live.get(kind, 0)) if has_offer(kind) else 0 for kind, size in pool.size.items()
    }
    room = {kind: count + stopped.get(kind, 0) for kind, count in buyable.items()}
    plan = {kind: min(room[kind], max(0, size.low - serving.get(kind, 0))) for kind, size in pool.size.items()}
    free = {kind: (serving.get(kind, 0) + plan.get(kind, 0)) * pool.slots for kind in (*pool.size, ADOPTED)}
    for row in rows:
        if row.type in free and row.state in SERVES:
            free[row.type] -= case.slots_taken.get(row.id, 0)
    _add_demand(case, pool, free, plan, room)
    return (Need(kind, count, buyable[kind]) for kind, count in plan.items() if count)


def _promises(case: Case, row: Instance) -> bool:
    """Whether one that is not ready will be: a foreign machine that failed us before may never be, and delays none."""
    if not row.adopted or row.state == "ready":
        return True
    scope = adoption_scope(row.pool, row.cloud_id)
    return all(hold.strikes <= 1 for hold in case.recorded.holds if hold.scope == scope)


def _without_rows(case: Case, pool: Pool) -> dict[str, int]:
    """Type → machines of this pool that have no row, or one that we cannot read."""
    live: dict[str, int] = {}
    for stranger in case.recorded.strangers:
        if stranger.pool == pool.pool:
            live[stranger.type] = live.get(stranger.type, 0) + 1
    for (name, kind), count in case.recorded.unreadable_machines.items():
        if name == pool.pool:
            live[kind] = live.get(kind, 0) + count
    return live


def _add_demand(case: Case, pool: Pool, free: dict[str, int], plan: dict[str, int], room: Mapping[str, int]) -> None:
    """Fill free slots first, then plan machines; submissions that name their types come before those that do not."""
    waiting = case.recorded.waiting.get(pool.pool)
    groups = dict(waiting.by_types) if waiting else {}
    for types, count in sorted(groups.items(), key=lambda group: group[0] == "[]"):
        named = types_of(types)
        if named is None:  # placement tells of it
            continue
        allowed = [kind for kind in pool.size if kind in (named or pool.size)]
        missing = count
        for kind in (*allowed, *([] if named else [ADOPTED])):
            used = min(missing, max(0, free[kind]))
            free[kind] -= used
            missing -= used
        for kind in allowed:
            machines = max(0, min(-(-missing // pool.slots), room[kind] - plan[kind]))
            used = min(missing, machines * pool.slots)
            plan[kind] += machines
            free[kind] += machines * pool.slots - used
            missing -= used
