"""Which queued submission goes on which ready instance: first by priority, then first in, first out."""

import json
from collections.abc import Mapping
from functools import partial

from reconciler.decide.case import Case, Desired, Draft, slots_taken, types_of
from reconciler.decide.moves import move_submission
from reconciler.model.assignment import Assignment
from reconciler.model.change import Insert, Step, Update
from reconciler.model.rows import Attempt, Instance, Submission
from reconciler.model.snapshot import Recorded
from reconciler.spec.canonical import settings_to_json
from reconciler.spec.values import Pool


def free_slots(desired: Desired, recorded: Recorded) -> dict[str, int]:
    """Instance → submissions that it could take now. A host that is silent takes none."""
    taken = slots_taken(recorded)
    free: dict[str, int] = {}
    for instance in recorded.instances.values():
        wish = desired.pools.get(instance.pool)
        if wish and instance.state == "ready" and not instance.strikes:
            free[instance.id] = max(0, wish.pool.slots - taken.get(instance.id, 0))
    return free


def room(desired: Desired, recorded: Recorded) -> Mapping[str, int]:
    """Pool → queued submissions that could be placed now: as many heads of its queue are worth reading."""
    found: dict[str, int] = {}
    for instance_id, free in free_slots(desired, recorded).items():
        pool = recorded.instances[instance_id].pool
        if free:
            found[pool] = found.get(pool, 0) + free
    return found


def placement(case: Case, draft: Draft) -> None:
    """Place the heads of the queues, each on the first instance in the pool's order of types that may take it."""
    free = {
        instance_id: slots
        for instance_id, slots in free_slots(case.desired, case.recorded).items()
        if slots and draft.is_free("instances", instance_id)
    }
    open_by_pool = _in_order(case, free)
    bumped: dict[str, int] = {}
    for row in case.recorded.heads:
        wish = case.desired.pools.get(row.pool)
        if wish is None or not draft.is_free("submissions", row.id):
            continue
        types = types_of(row.types)
        if types is None:
            draft.broken.append(f"submissions/{row.id}: its instance types cannot be read")
            continue
        candidates = open_by_pool.get(row.pool, [])
        chosen = next((one for one in candidates if free[one.id] and (not types or one.type in types)), None)
        if chosen is None:
            continue
        version = bumped.get(chosen.id, chosen.version)
        before = len(draft.steps)
        draft.decide("submissions", row.id, partial(_place, case, row, chosen, version, wish.pool))
        if len(draft.steps) == before:
            continue
        draft.touched.add(("instances", chosen.id))
        bumped[chosen.id] = version + 1
        free[chosen.id] -= 1
        if not free[chosen.id]:
            candidates.remove(chosen)


def _in_order(case: Case, free: Mapping[str, int]) -> dict[str, list[Instance]]:
    """Pool → its instances with room: the preferred type first, then the oldest, so that the newest fall idle."""
    order = {name: {kind: at for at, kind in enumerate(wish.pool.size)} for name, wish in case.desired.pools.items()}
    found: dict[str, list[Instance]] = {}
    for instance_id in free:
        instance = case.recorded.instances[instance_id]
        found.setdefault(instance.pool, []).append(instance)
    for pool, rows in found.items():
        rows.sort(key=lambda row: (order[pool].get(row.type, len(order[pool])), row.born, row.id))
    return found


def _place(case: Case, row: Submission, instance: Instance, version: int, pool: Pool) -> Step:
    """Open an attempt. The instance's version is bumped, so that nobody else fills the slot or ends the machine."""
    number = row.attempts + 1
    attempt_id = f"{row.id}.{number}"
    attempt = Attempt(
        id=attempt_id, submission_id=row.id, number=number, instance_id=instance.id, boot_id=instance.boot_id,
        frozen=_assignment(row, attempt_id, pool).to_json(), opened=case.now, started=None, ended=None,
        closed=None, outcome="", exit_code=None, peak_memory=None, message="", scores="{}", results="",
    )  # fmt: skip
    return Step(
        (
            move_submission(case, row, "place", attempt_id=attempt_id, attempts=number, reason="", message=""),
            Update(table="instances", id=instance.id, version=version),
            Insert(table="attempts", row=attempt),
        ),
        f"{row.label}: placed on {instance.id}",
    )


def _assignment(row: Submission, attempt_id: str, pool: Pool) -> Assignment:
    return Assignment(
        attempt=attempt_id,
        submission=row.name,
        pool=row.pool,
        content=row.content,
        workload=pool.workload.kind,
        settings=settings_to_json(pool.workload),
        limit=pool.deadlines.run if row.limit is None else row.limit,
        env={**pool.env, **json.loads(row.env)},
        max_bytes=pool.outputs.bytes,
        max_files=pool.outputs.files,
    )
