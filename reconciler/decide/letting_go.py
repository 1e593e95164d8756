"""Which machines of a pool should go: too many, of an older spec, idle for too long, or of a pool that is gone."""

import math
from collections import Counter

from reconciler.decide.case import Case, Draft, types_of
from reconciler.decide.demand import SERVES
from reconciler.decide.moves import move_instance
from reconciler.lifecycle.instance import USER_STOP
from reconciler.model.change import Step
from reconciler.model.offer import Market
from reconciler.model.rows import Instance
from reconciler.spec.values import Idle, Pool, Size

NONE = Size(low=0, high=0)
AT_ONCE = 0.1  # the share of a pool's serving machines that drift may take out of service at a time, at least one


def let_go(case: Case, draft: Draft, name: str, rows: list[Instance]) -> None:
    """Drain, end and keep machines of one pool. One that something else moves in this pass is left for the next."""
    wish = case.desired.pools.get(name)
    if wish is None:
        row = case.recorded.pools.get(name)
        if row is not None and not row.present:
            _drain(case, draft, rows, "no such pool")
        _finish_draining(case, draft, None, rows)
        return
    bought = [row for row in rows if not row.adopted]
    _keep(case, draft, wish.pool, wish.spec_hash, rows)
    _shrink(case, draft, wish.pool, bought)
    _replace_drifted(case, draft, wish.spec_hash, bought)
    _end_idle(case, draft, wish.pool, bought)
    given_back = [row for row in rows if row.adopted and row.cloud_id not in wish.pool.adopt]
    _drain(case, draft, given_back, "not adopted")
    _finish_draining(case, draft, wish.pool, rows)


def _drain(case: Case, draft: Draft, rows: list[Instance], reason: str) -> None:
    for row in rows:
        if row.state in SERVES | {"stopped"} and draft.is_free("instances", row.id):
            step = Step((move_instance(case, row, "drain", reason=reason),), f"{row.id}: drained: {reason}")
            draft.add(step, ("instances", row.id))


def _keep(case: Case, draft: Draft, pool: Pool, spec_hash: str, rows: list[Instance]) -> None:
    """A machine whose reason for draining lapsed takes work again, if the size has room for it."""
    serving = Counter(row.type for row in rows if row.state in SERVES)
    for row in rows:
        if row.state != "draining" or not draft.is_free("instances", row.id):
            continue
        fits = serving[row.type] < pool.size.get(row.type, NONE).high
        lapsed = row.reason in ("no such pool", "size") or (row.reason == "drift" and row.spec_hash == spec_hash)
        if row.adopted:
            fits, lapsed = row.cloud_id in pool.adopt, row.reason in ("no such pool", "not adopted")
        if fits and lapsed and row.id in case.occupied:
            step = Step((move_instance(case, row, "keep", reason=""),), f"{row.id}: kept after all")
            draft.add(step, ("instances", row.id))
            serving[row.type] += 1


def _shrink(case: Case, draft: Draft, pool: Pool, rows: list[Instance]) -> None:
    """Above a type's maximum: idle machines go first, then the newest."""
    for kind in sorted({row.type for row in rows}):
        serving = [row for row in rows if row.type == kind and row.state in SERVES]
        excess = len(serving) - pool.size.get(kind, NONE).high
        serving.sort(key=lambda row: (row.id in case.occupied, -row.born, row.id))
        _drain(case, draft, serving[: max(0, excess)], "size")
        if kind not in pool.size:
            _drain(case, draft, [row for row in rows if row.type == kind and row.state == "stopped"], "size")


def _replace_drifted(case: Case, draft: Draft, spec_hash: str, rows: list[Instance]) -> None:
    """Busy machines of an older spec take no new work; idle ones are replaced a few at a time."""
    serving = [row for row in rows if row.state in SERVES]
    drifted = [row for row in serving if row.spec_hash != spec_hash]
    _drain(case, draft, [row for row in drifted if row.id in case.occupied], "drift")
    on_their_way = sum(row.state in ("draining", "terminating") and row.reason == "drift" for row in rows)
    idle = [row for row in drifted if row.id not in case.occupied]
    stopped = [row for row in rows if row.state == "stopped" and row.spec_hash != spec_hash]
    few = max(1, math.ceil(AT_ONCE * len(serving))) - on_their_way
    _drain(case, draft, [*stopped, *idle[: max(0, few)]], "drift")


def _end_idle(case: Case, draft: Draft, pool: Pool, rows: list[Instance]) -> None:
    """Above a type's minimum: machines without work for the pool's idle time, the newest first."""
    waiting = case.recorded.waiting.get(pool.pool)
    if waiting and waiting.ready and not _starved(case, pool, rows):
        return
    at_once = case.desired.settle and not (waiting and (waiting.ready or waiting.held))
    for kind in sorted({row.type for row in rows}):
        spare = sum(row.type == kind and row.state in SERVES for row in rows) - pool.size.get(kind, NONE).low
        for row in sorted(rows, key=lambda row: (-row.born, row.id)):
            if row.type != kind or row.id in case.occupied or not draft.is_free("instances", row.id):
                continue
            stopped = row.state == "stopped" and row.reason != USER_STOP
            if stopped or (row.state == "ready" and spare > 0):
                spare -= _end_if_idle(case, draft, pool.idle, row, at_once=at_once)


def _starved(case: Case, pool: Pool, rows: list[Instance]) -> bool:
    """Whether what waits names types that none of the ready machines is of."""
    waiting = case.recorded.waiting.get(pool.pool)
    ready = {row.type for row in rows if row.state == "ready"}
    groups = waiting.by_types if waiting else {}
    named = [types for text in groups if (types := types_of(text)) is not None]
    return bool(groups) and not any(kind in types or not types for types in named for kind in ready)


def _end_if_idle(case: Case, draft: Draft, idle: Idle, row: Instance, *, at_once: bool) -> bool:
    stop_first = idle.stop is not None and row.market != Market.SPOT and row.state == "ready" and not at_once
    limit = idle.stop if stop_first and idle.stop is not None else idle.terminate
    due = max(row.since, case.recorded.idle_since.get(row.id, 0.0)) + (0.0 if at_once else limit)
    if due > case.now:
        draft.due(due)
        return False
    move = move_instance(case, row, "idle", stop_first=stop_first, reason="idle")
    draft.add(Step((move,), f"{row.id}: idle"), ("instances", row.id))
    return True


def _finish_draining(case: Case, draft: Draft, pool: Pool | None, rows: list[Instance]) -> None:
    """A draining machine with nothing on it goes."""
    for row in rows:
        if row.state == "draining" and row.id not in case.occupied and draft.is_free("instances", row.id):
            kept = row.reason == USER_STOP or (pool is not None and pool.idle.stop is not None and row.reason == "idle")
            move = move_instance(case, row, "drained", stop_first=kept, reason=row.reason)
            draft.add(Step((move,), f"{row.id}: nothing is on it"), ("instances", row.id))
