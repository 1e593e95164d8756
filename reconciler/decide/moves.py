"""Builds guarded writes from events, by the lifecycles' tables: nothing else in the program makes a transition."""

from collections.abc import Mapping
from typing import Any

from reconciler.decide.case import Case
from reconciler.decide.deadlines import CLAIM
from reconciler.decide.faults import POLICIES, retry_at
from reconciler.lifecycle.delivery import DELIVERY, DeliveryFacts
from reconciler.lifecycle.instance import INSTANCE, InstanceFacts
from reconciler.lifecycle.machine import Facts, fire
from reconciler.lifecycle.submission import SUBMISSION, SubmissionFacts
from reconciler.lifecycle.table import Kind, Lifecycle
from reconciler.model.change import Update
from reconciler.model.rows import Delivery, Instance, Submission
from reconciler.model.snapshot import Failed

Row = Submission | Instance | Delivery


def _move(table: Lifecycle, row: Row, facts: Facts, event: str, sets: Mapping[str, Any], me: str, now: float) -> Update:
    """The write for one event. Whoever brings a row into an intent state claims its effect in the same write.

    Raises ValueError for an event that the table ignores there: deciders ask `can` first or know the state.
    """
    target = fire(table, facts, event)
    if target is None:
        raise ValueError(f"{table.name} {row.id}: {event} does nothing in {row.state}")
    claim = {"claim_by": me, "claim_until": now + CLAIM} if table.by_name[target].kind is Kind.INTENT and me else {}
    return Update(
        table=f"{table.name}s" if table.name != "delivery" else "deliveries",
        id=row.id,
        version=row.version,
        event=event,
        source=row.state,
        target=target,
        sets={**claim, **sets},
    )


def can(table: Lifecycle, state: str, event: str) -> bool:
    """Whether some edge leaves the state by this event."""
    return next(table.edges_from(state, event), None) is not None


def move_instance(case: Case, row: Instance, event: str, *, stop_first: bool = False, **sets: Any) -> Update:
    """A transition of an instance."""
    facts = InstanceFacts(state=row.state, stop_first=stop_first, may_return=row.reason != "evicted")
    return _move(INSTANCE, row, facts, event, sets, case.me, case.now)


def move_submission(
    case: Case, row: Submission, event: str, *, worked: bool = False, may_retry: bool = False, **sets: Any
) -> Update:
    """A transition of a submission."""
    facts = SubmissionFacts(state=row.state, worked=worked, cancel_wanted=row.cancel_wanted, may_retry=may_retry)
    return _move(SUBMISSION, row, facts, event, sets, case.me, case.now)


def move_delivery(case: Case, row: Delivery, event: str, **sets: Any) -> Update:
    """A transition of a delivery."""
    return _move(DELIVERY, row, DeliveryFacts(state=row.state), event, sets, case.me, case.now)


def note(table: str, row: Row, **sets: Any) -> Update:
    """A guarded write that is no transition: strikes, backoff, or the version alone."""
    return Update(table=table, id=row.id, version=row.version, sets=sets)


def strike(table: str, row: Row, failed: Failed, now: float) -> Update:
    """Note that a row's effect failed: it is let go of, and tried again after its fault's backoff."""
    sets: dict[str, Any] = {
        "strikes": row.strikes + 1,
        "not_before": retry_at(failed.fault, row.strikes + 1, now),
        "last_error": f"{failed.fault}: {failed.message}",
        "claim_by": "",
        "claim_until": 0.0,
    }
    if isinstance(row, Submission) and POLICIES[failed.fault].stops_clock:
        sets["clock"] = now
    if isinstance(row, Instance) and not row.strikes:
        sets["strikes_since"] = now
    return note(table, row, **sets)
