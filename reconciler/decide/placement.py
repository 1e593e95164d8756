"""Which queued submission goes on which ready instance: first by priority, then first in, first out."""

import json
from collections.abc import Iterable, Mapping
from functools import partial

from attrs import define

from reconciler.decide.case import Case, Desired, Draft, slots_taken, types_of
from reconciler.decide.moves import move_submission
from reconciler.decide.telling import tell
from reconciler.model.assignment import Assignment
from reconciler.model.change import Insert, Step, Update
from reconciler.model.rows import Attempt, Instance, Submission
from reconciler.model.snapshot import Heard, Recorded, Silence
from reconciler.spec.canonical import settings_to_json
from reconciler.spec.sinks import PLACED
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


def room(desired: Desired, recorded: Recorded, hosts: Mapping[str, Heard | Silence]) -> Mapping[tuple[str, str], int]:
    """Pool and type → queued submissions that could be placed there now: as many heads for it are worth reading.

    By type, so that those who wait for a type without room hide nobody behind them. A slot whose job is over by its
    host's report is among them: this very pass may fill it again.
    """
    found: dict[tuple[str, str], int] = {}
    for attempt in recorded.attempts.values():
        heard = hosts.get(attempt.instance_id)
        job = heard.report.jobs.get(attempt.id) if isinstance(heard, Heard) else None
        if job and job.over and attempt.instance_id in recorded.instances:
            where = recorded.instances[attempt.instance_id]
            found[where.pool, where.type] = found.get((where.pool, where.type), 0) + 1
    for instance_id, free in free_slots(desired, recorded).items():
        where = recorded.instances[instance_id]
        if free:
            found[where.pool, where.type] = found.get((where.pool, where.type), 0) + free
    return found


@define
class Slots:
    """What one ready instance takes in this pass: its free slots, then those that a submission leaves meanwhile."""

    instance: Instance
    version: int
    free: int
    leaving: list[Submission]

    @property
    def has_room(self) -> bool:
        """Whether one more can be placed."""
        return self.free > 0 or bool(self.leaving)

    def guards(self) -> tuple[Update, ...]:
        """What must hold for the next one: nobody else fills the slot or ends the machine, and whoever leaves did."""
        guard = Update(table="instances", id=self.instance.id, version=self.version)
        if self.free:
            return (guard,)
        leaver = self.leaving[0]
        return Update(table="submissions", id=leaver.id, version=leaver.version + 1), guard

    def take(self) -> None:
        """One more has been placed."""
        self.version += 1
        if self.free:
            self.free -= 1
        else:
            del self.leaving[0]


def placement(case: Case, draft: Draft) -> None:
    """Place the heads of the queues, each on the first instance in the pool's order of types that may take it."""
    open_by_pool = _in_order(case, _open(case, draft))
    for row in case.recorded.heads:
        wish = case.desired.pools.get(row.pool)
        if wish is None or not draft.is_free("submissions", row.id):
            continue
        types = types_of(row.types)
        if types is None:
            draft.broken.append(f"submissions/{row.id}: its instance types cannot be read")
            continue
        candidates = open_by_pool.get(row.pool, [])
        chosen = next((one for one in candidates if not types or one.instance.type in types), None)
        if chosen is None:
            continue
        before = len(draft.steps)
        draft.decide("submissions", row.id, partial(_place, case, row, chosen, wish.pool))
        if len(draft.steps) == before:
            continue
        draft.touched.add(("instances", chosen.instance.id))
        chosen.take()
        if not chosen.has_room:
            candidates.remove(chosen)


def _open(case: Case, draft: Draft) -> list[Slots]:
    """Every instance with room. Where slots became fewer than submissions, those that leave make none."""
    leaving = _leaving(case, draft)
    found = []
    for instance_id, free in free_slots(case.desired, case.recorded).items():
        instance = case.recorded.instances[instance_id]
        if draft.is_free("instances", instance_id):
            wish = case.desired.pools[instance.pool]
            fits = case.slots_taken.get(instance_id, 0) <= wish.pool.slots
            found.append(Slots(instance, instance.version, free, leaving.get(instance_id, []) if fits else []))
    return [slots for slots in found if slots.has_room]


def _leaving(case: Case, draft: Draft) -> dict[str, list[Submission]]:
    """Instance → submissions on it whose jobs are over by its host's word, and that this pass moves on."""
    found: dict[str, list[Submission]] = {}
    for write in (write for step in draft.steps for write in step.writes):
        if isinstance(write, Update) and (write.table, write.event) == ("submissions", "over"):
            row = case.recorded.submissions[write.id]
            found.setdefault(case.recorded.attempts[row.attempt_id].instance_id, []).append(row)
    return found


def _in_order(case: Case, slots: Iterable[Slots]) -> dict[str, list[Slots]]:
    """Pool → its instances with room: the preferred type first, then the oldest, so that the newest fall idle."""
    order = {name: {kind: at for at, kind in enumerate(wish.pool.size)} for name, wish in case.desired.pools.items()}
    found: dict[str, list[Slots]] = {}
    for one in slots:
        found.setdefault(one.instance.pool, []).append(one)
    for pool, rows in found.items():
        kinds = order[pool]
        rows.sort(key=lambda one: (kinds.get(one.instance.type, len(kinds)), one.instance.born, one.instance.id))
    return found


def _place(case: Case, row: Submission, slots: Slots, pool: Pool) -> Step:
    """Open an attempt."""
    number = row.attempts + 1
    attempt_id = f"{row.id}.{number}"
    attempt = Attempt(
        id=attempt_id, submission_id=row.id, number=number, instance_id=slots.instance.id,
        boot_id=slots.instance.boot_id, frozen=_assignment(row, attempt_id, pool).to_json(), opened=case.now,
        started=None, ended=None, closed=None, outcome="", exit_code=None, peak_memory=None, message="", scores="{}",
        results="",
    )  # fmt: skip
    return Step(
        (
            *slots.guards(),
            move_submission(case, row, "place", attempt_id=attempt_id, attempts=number, reason="", message=""),
            Insert(table="attempts", row=attempt),
            *tell(case, row, attempt_id, PLACED),
        ),
        f"{row.label}: placed on {slots.instance.id}",
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
        env=json.loads(row.env),
        templates=dict(pool.env),
        max_bytes=pool.outputs.bytes,
        max_files=pool.outputs.files,
    )
