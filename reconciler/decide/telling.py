"""Which sinks are told of what: deliveries are born in the transaction of the transition that they tell of."""

from reconciler.decide.case import Case, Draft
from reconciler.decide.deadlines import CLAIM, deadline
from reconciler.decide.moves import move_delivery, strike
from reconciler.lifecycle.delivery import DELIVERY
from reconciler.model.change import Insert, Step
from reconciler.model.rows import Delivery, Submission
from reconciler.model.snapshot import Failed
from reconciler.spec.sinks import names
from reconciler.spec.values import Config, Deadlines


def births(
    config: Config, row: Submission, attempt_id: str, event: str, now: float, *, by: str = ""
) -> tuple[Insert, ...]:
    """A pending delivery for each sink that wants to know of this event of a submission, claimed for `by` at once."""
    about = attempt_id or row.id
    until = now + CLAIM if by else 0.0
    return tuple(
        Insert(
            table="deliveries",
            row=Delivery(
                id=f"{about}/{event}/{sink}", version=1, submission_id=row.id, attempt_id=attempt_id, pool=row.pool,
                event=event, sink=sink, state=DELIVERY.initial, reason="", since=now, created=now, strikes=0,
                not_before=0.0, last_error="", claim_by=by, claim_until=until,
            ),
        )
        for sink in names(config, event, row.source)
    )  # fmt: skip


def tell(case: Case, row: Submission, attempt_id: str, event: str) -> tuple[Insert, ...]:
    """As `births`, within a pass."""
    return births(case.desired.config, row, attempt_id, event, case.now, by=case.me)


def deliveries(case: Case, draft: Draft) -> None:
    """Move pending deliveries by what their sinks answered, or by their deadline."""
    for row in case.recorded.deliveries.values():
        wish = case.desired.pools.get(row.pool)
        due = deadline(DELIVERY, row.state, row.since, wish.pool.deadlines if wish else Deadlines())
        answer = case.answer("deliveries", row.id, row.state, row.since)
        step: Step | None = None
        if answer and not isinstance(answer.result, Failed):
            step = Step((move_delivery(case, row, "delivered"),), f"{row.id}: delivered")
        elif due <= case.now:
            step = Step((move_delivery(case, row, "overdue", reason=row.last_error),), f"{row.id}: given up")
        elif answer and isinstance(answer.result, Failed):
            step = Step((strike("deliveries", row, answer.result, case.now),), f"{row.id}: {answer.result.message}")
        draft.add(step, ("deliveries", row.id))
        if step is None:
            draft.due(max(row.not_before, case.now + 0.05) if row.not_before > case.now else due)
