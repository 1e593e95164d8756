"""New rows: submissions from a command or a queue, and what a queue's reading does to those that wait."""

import json
from collections.abc import Mapping

from attrs import frozen

from reconciler.decide.telling import births as news
from reconciler.lifecycle.submission import SUBMISSION
from reconciler.model.change import Insert, Step, Update
from reconciler.model.rows import Outcome, Submission
from reconciler.spec.values import Config, SubmissionOptions


@frozen(kw_only=True)
class Arrival:
    """A submission that somebody asks for, checked and kept by content, or found to be invalid."""

    id: str
    name: str
    label: str
    content: str
    options: SubmissionOptions
    pool: str
    source: str
    source_key: str = ""
    retry_of: str = ""
    problem: str = ""


def submission_row(arrival: Arrival, now: float) -> Submission:
    """The row of a new submission, as it is born."""
    options = arrival.options
    return Submission(
        id=arrival.id, version=1, name=arrival.name, label=arrival.label, pool=arrival.pool,
        priority=options.priority, types=json.dumps(list(options.instance_types)), limit=options.limit,
        env=json.dumps(dict(options.env), sort_keys=True), source=arrival.source, source_key=arrival.source_key,
        content=arrival.content, retry_of=arrival.retry_of, state=SUBMISSION.initial, reason="", message="",
        since=now, clock=now, created=now, attempts=0, attempt_id="", spent="{}", cancel_wanted=False, absences=0,
        strikes=0, not_before=0.0, last_error="", claim_by="", claim_until=0.0,
    )  # fmt: skip


def birth(config: Config, arrival: Arrival, now: float) -> Step:
    """A new submission with the news of it; one that can never run is born and rejected in one transaction."""
    row = submission_row(arrival, now)
    born = Insert(table="submissions", row=row)
    if not arrival.problem:
        return Step((born, *news(config, row, "", "queued", now)), f"{row.label}: queued")
    rejected = Update(
        table="submissions", id=row.id, version=1, event="reject", source="queued", target="failed",
        sets={"reason": str(Outcome.INVALID), "message": arrival.problem},
    )  # fmt: skip
    return Step((born, rejected, *news(config, row, "", "failed", now)), f"{row.label}: {arrival.problem}")


def step_out(row: Submission, event: str, reason: str, message: str) -> Update:
    """A queued submission gives way: superseded, withdrawn or cancelled."""
    return Update(
        table="submissions", id=row.id, version=row.version, event=event, source="queued", target="cancelled",
        sets={"reason": reason, "message": message},
    )  # fmt: skip


def pool_for(asked: str, default: str, pools: Mapping[str, object]) -> str:
    """The pool of a submission: the one that it names, else its queue's, else the only one there is, else none."""
    return asked or default or (next(iter(pools)) if len(pools) == 1 else "")
