"""One pass's read: a handful of statements whatever lies in the tables, and values built by position.

A row that this version cannot read is left out and named. So is a machine with such a row on it: nothing is placed on
it and nothing ends it, and it counts as live.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from attrs import Factory, define, evolve
from sqlalchemy import Connection

from reconciler.model.offer import Market
from reconciler.model.rows import (
    Attempt,
    Delivery,
    Hold,
    Identity,
    Instance,
    Outcome,
    PoolRow,
    Stranger,
    Submission,
)
from reconciler.model.snapshot import Recorded, Waiting
from reconciler.spec.sinks import TOLD
from reconciler.store import selects
from reconciler.store.tables import BY_NAME, LIFECYCLES

T = TypeVar("T", Instance, Submission, Attempt, Delivery)
Room = Callable[[Recorded], Mapping[tuple[str, str], int]]


def _words(enum: type[StrEnum], *also: str) -> frozenset[str]:
    return frozenset((*enum, *also))


# What a column may say, for columns whose words mean something to us.
_KNOWN: Mapping[str, Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "instances": {"state": frozenset(LIFECYCLES["instances"].by_name), "market": _words(Market)},
        "submissions": {"state": frozenset(LIFECYCLES["submissions"].by_name)},
        "deliveries": {"state": frozenset(LIFECYCLES["deliveries"].by_name), "event": TOLD},
        "attempts": {"outcome": _words(Outcome, "")},
    }
)


@define
class _Readable:
    """Builds values from rows, and keeps account of those that cannot be read."""

    unreadable: list[str] = Factory(list)
    machines: Counter[tuple[str, str]] = Factory(Counter)

    def build(self, table: str, value: type[T], rows: Iterable[Any]) -> tuple[dict[str, T], list[Any]]:
        """Values by id, and the rows that this version cannot read."""
        width = len(BY_NAME[table].c)
        known = [(name, list(BY_NAME[table].c.keys()).index(name), words) for name, words in _KNOWN[table].items()]
        built: dict[str, T] = {}
        strange: list[Any] = []
        for row in rows:
            why = [f"{name} {row[at]!r}" for name, at, words in known if row[at] not in words]
            if why:
                strange.append(row)
                self.unreadable.append(f"{table}/{row.id}: unknown {', '.join(why)}; a newer version wrote it")
            else:
                built[row[0]] = value(*row[:width])
        return built, strange

    def leave_out(self, pool: str, kind: str, state: str) -> None:
        """Count a machine that nothing may touch; it lives unless its row says otherwise."""
        if state not in LIFECYCLES["instances"].by_name or not LIFECYCLES["instances"].is_final(state):
            self.machines[pool, kind] += 1


def _all(connection: Connection, statement: selects.AnySelect, **values: float | str) -> list[Any]:
    return list(connection.execute(statement, values).all())


def load(
    connection: Connection, identity: Identity, now: float | None, room: Room, tokens: Collection[str]
) -> Recorded:
    """What a pass needs of the database, from the one snapshot that the connection reads. No `now`: the server's."""
    now, pools = _pools(connection, now)
    readable = _Readable()
    rows = _rows(connection, readable)
    holds, strangers = _facts(connection)
    recorded = Recorded(
        now=now,
        identity=identity,
        pools=pools,
        waiting=_waiting(connection, now),
        holds=holds,
        strangers=strangers,
        ended=_ended(connection, tokens),
        unreadable=tuple(readable.unreadable),
        unreadable_machines=dict(readable.machines),
        **rows,
    )
    return evolve(recorded, heads=_heads(connection, room(recorded), now))


def _rows(connection: Connection, readable: _Readable) -> dict[str, Any]:
    """Rows that live by a lifecycle, as fields of Recorded."""
    instance_rows = _all(connection, selects.instances())
    instances, strange_instances = readable.build("instances", Instance, instance_rows)
    placed, strange_submissions = readable.build("submissions", Submission, _all(connection, selects.submissions()))
    attempts, strange_attempts = readable.build("attempts", Attempt, _all(connection, selects.attempts()))
    deliveries, _ = readable.build("deliveries", Delivery, _all(connection, selects.deliveries()))
    for row in strange_instances:
        readable.leave_out(row.pool, row.type, row.state)
    unread = {row.id for row in strange_submissions}
    touched = {row.instance_id for row in strange_attempts}
    touched |= {attempt.instance_id for attempt in attempts.values() if attempt.submission_id in unread}
    for instance_id in sorted(touched & instances.keys()):
        machine = instances.pop(instance_id)
        readable.leave_out(machine.pool, machine.type, machine.state)
        readable.unreadable.append(f"instances/{instance_id}: what lies on it cannot be read; it is left alone")
    occupied = {attempt.instance_id for attempt in attempts.values()}
    return {
        "instances": instances,
        "idle_since": {
            row[0]: row[-1]
            for row in instance_rows
            if row[-1] is not None and row[0] in instances and row[0] not in occupied
        },
        "submissions": {row.id: row for row in placed.values() if row.state != "queued"},
        "wishes": tuple(row for row in placed.values() if row.state == "queued"),
        "attempts": attempts,
        "deliveries": deliveries,
    }


def _pools(connection: Connection, now: float | None) -> tuple[float, dict[str, PoolRow]]:
    given = {} if now is None else {"now": now}
    rows = _all(connection, selects.pools(server_time=now is None), **given)
    return rows[0][0], {row[1]: PoolRow(*row[1:]) for row in rows if row[1] is not None}


def _waiting(connection: Connection, now: float) -> dict[str, Waiting]:
    counts: dict[str, Counter[str]] = {}
    held: Counter[str] = Counter()
    due: dict[str, float] = {}
    for what, pool, types, count, first in _all(connection, selects.waiting(), now=now):
        of_pool = counts.setdefault(pool, Counter())
        if what == "all":
            of_pool[types] += count
        else:
            of_pool[types] -= count
            held[pool] += count
            due[pool] = min(first, due.get(pool, first))
    return {
        pool: Waiting(ready=by_types.total(), by_types=dict(+by_types), held=held[pool], next_due=due.get(pool))
        for pool, by_types in counts.items()
    }


def _facts(connection: Connection) -> tuple[tuple[Hold, ...], tuple[Stranger, ...]]:
    holds: list[Hold] = []
    strangers: list[Stranger] = []
    for what, *columns in _all(connection, selects.facts()):
        if what == "hold":
            holds.append(Hold(*columns))
        else:
            cloud, place, cloud_id, pool, seen, _, kind = columns
            strangers.append(Stranger(cloud, place, cloud_id, pool, kind, seen))
    return tuple(holds), tuple(strangers)


def _ended(connection: Connection, tokens: Collection[str]) -> dict[tuple[str, int], tuple[str, float]]:
    if not tokens:
        return {}
    rows = _all(connection, selects.ended(sorted(tokens)))
    return {(token, index): (state, since) for token, index, state, since in rows}


def _heads(connection: Connection, room: Mapping[tuple[str, str], int], now: float) -> tuple[Submission, ...]:
    """Each once, though it may go to several types, in the order of their queues."""
    found: dict[str, Submission] = {}
    for portion in selects.rooms(room):
        rows = _all(connection, selects.heads(len(portion)), now=now, **selects.of_heads(portion))
        found |= {row.id: Submission(*row) for row in rows}
    return tuple(sorted(found.values(), key=lambda row: (-row.priority, row.created, row.id)))
