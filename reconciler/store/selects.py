"""The statements of a load, each built and compiled once. Their conditions are those of the indexes in tables.py."""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Double,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    extract,
    func,
    literal,
    null,
    or_,
    select,
    text,
    true,
    union,
    union_all,
)

from reconciler.store.tables import (
    ATTEMPTS,
    CLOSED,
    DELIVERIES,
    ENDED_INSTANCES,
    HELD,
    HOLDS,
    INSTANCES,
    LIVE_INSTANCES,
    OPEN,
    PENDING,
    PLACED,
    POOLS,
    STRANGERS,
    SUBMISSIONS,
    WAITING,
    WISHES,
)

AnySelect = Select[Any] | CompoundSelect[Any]

SPARE = 20  # queued rows read beyond those that could be placed: some may not be placed after all
QUEUES_AT_ONCE = 400  # SQLite joins at most 500 selects into one

_MAY_IDLE = ("ready", "draining", "stopped")


def _now() -> BindParameter[float]:
    return bindparam("now", type_=Double)


def server_clock() -> ColumnElement[float]:
    """PostgreSQL's own time, in seconds since the epoch: one clock for every process that uses it."""
    return cast(extract("epoch", func.clock_timestamp()), Double)


@cache
def pools(*, server_time: bool) -> AnySelect:
    """The time and every pool; the time alone, and a row of nothing, where there is no pool.

    The time is the server's, or else the parameter `now`.
    """
    now = select((server_clock() if server_time else _now()).label("now")).subquery()
    return select(now.c.now, POOLS).select_from(now.outerjoin(POOLS, true()))


@cache
def instances() -> AnySelect:
    """Rows that are not final, and final ones whose attempts are still open; last when an attempt on it closed."""
    on_it = ATTEMPTS.c.instance_id == INSTANCES.c.id
    closed = select(func.max(ATTEMPTS.c.closed)).where(on_it, text(CLOSED)).scalar_subquery()
    occupied = select(ATTEMPTS.c.instance_id).where(text(OPEN))
    return union_all(
        select(INSTANCES, case((INSTANCES.c.state.in_(_MAY_IDLE), closed))).where(text(LIVE_INSTANCES)),
        select(INSTANCES, null()).where(INSTANCES.c.id.in_(occupied), text(f"NOT ({LIVE_INSTANCES})")),
    )


@cache
def submissions() -> AnySelect:
    """Those on a machine, and those that wait and are to be cancelled."""
    return union_all(select(SUBMISSIONS).where(text(PLACED)), select(SUBMISSIONS).where(text(WISHES)))


@cache
def attempts() -> AnySelect:
    """The open ones."""
    return select(ATTEMPTS).where(text(OPEN))


@cache
def waiting() -> AnySelect:
    """What, pool, types, how many, when the first may be placed; first of all that wait, then of those held back.

    As of the parameter `now`. Twice as fast as telling them apart while a hundred thousand are counted.
    """
    pool, types, due = SUBMISSIONS.c.pool, SUBMISSIONS.c.types, SUBMISSIONS.c.not_before
    return union_all(
        select(literal("all"), pool, types, func.count(), cast(null(), Double))
        .where(text(WAITING))
        .group_by(pool, types),
        select(literal("held"), pool, types, func.count(), func.min(due))
        .where(text(HELD), due > _now())
        .group_by(pool, types),
    )


@cache
def deliveries() -> AnySelect:
    """Those that are to be made."""
    return select(DELIVERIES).where(text(PENDING))


@cache
def facts() -> AnySelect:
    """Holds and strangers in one; the first column tells them apart, and a stranger's columns stand as a hold's do."""
    s = STRANGERS.c
    return union_all(
        select(literal("hold"), HOLDS),
        select(literal("stranger"), s.cloud, s.place, s.cloud_id, s.pool, s.seen, literal(0), s.type),
    )


def places(ended: ColumnElement[float]) -> AnySelect:
    """cloud, place of rows that live, and of those that ended after a time."""
    c = INSTANCES.c
    return union(
        select(c.cloud, c.place).where(text(LIVE_INSTANCES)),
        select(c.cloud, c.place).where(text(ENDED_INSTANCES), c.since > ended),
    )


@lru_cache(maxsize=100)
def heads(queues: int) -> AnySelect:
    """The first of so many queues, each in its order, as of the parameter `now`; the others are `of_heads`'s."""
    return union_all(*(select(_head(number).subquery()) for number in range(queues)))


def of_heads(rooms: Sequence[tuple[str, str, int]]) -> dict[str, str | int]:
    """The parameters of `heads` for pools and types: as many rows as have room, and some to spare."""
    named: dict[str, str | int] = {}
    for number, (pool, kind, room) in enumerate(rooms):
        named |= {f"pool{number}": pool, f"type{number}": f"%{json.dumps(kind)}%", f"room{number}": room + SPARE}
    return named


def _head(number: int) -> Select[Any]:
    c = SUBMISSIONS.c
    # Those that name no type, or this one; and what is no list, for that has to be told.
    named = c.types.like(bindparam(f"type{number}", type_=Text))
    fits = or_(c.types == "[]", named, c.types.not_like("[%]"))
    return (
        select(SUBMISSIONS)
        .where(and_(text(WAITING), c.pool == bindparam(f"pool{number}", type_=Text), c.not_before <= _now(), fits))
        .order_by(c.priority.desc(), c.created, c.id)
        .limit(bindparam(f"room{number}", type_=Integer))
    )


def ended(tokens: Collection[str]) -> AnySelect:
    """token, index, state, since of final rows of these launches."""
    c = INSTANCES.c
    return select(c.token, c.index, c.state, c.since).where(c.token.in_(tokens), text(f"NOT ({LIVE_INSTANCES})"))


def rooms(room: Mapping[tuple[str, str], int]) -> list[list[tuple[str, str, int]]]:
    """Pools and types that have room, in portions of which each fits into one statement."""
    some = [(pool, kind, count) for (pool, kind), count in sorted(room.items()) if count > 0]
    return [some[start : start + QUEUES_AT_ONCE] for start in range(0, len(some), QUEUES_AT_ONCE)]
