"""News, and the rows that it tells of, for tests of sinks."""

from pathlib import Path
from typing import Any

from attrs import evolve

from reconciler.model.rows import Attempt, Delivery, Submission
from reconciler.sinks.base import News

SUBMISSION = Submission(
    id="s1", version=4, name="good", label="good-2", pool="iris", priority=0, types="[]", limit=None, env="{}",
    source="command", source_key="", content="abc", retry_of="", state="failed", reason="exit code",
    message="exit code 3: ValueError: boom", since=3.0, clock=3.0, created=1.0, attempts=2, attempt_id="s1.2",
    spent="{}", cancel_wanted=False, absences=0, strikes=0, not_before=0.0, last_error="", claim_by="", claim_until=0.0,
)  # fmt: skip

ATTEMPT = Attempt(
    id="s1.2", submission_id="s1", number=2, instance_id="i1", boot_id="b", frozen="{}", opened=1.0, started=2.0,
    ended=3.0, closed=3.0, outcome="exit code", exit_code=3, peak_memory=None, message="", scores="{}",
    results="good-2/2",
)  # fmt: skip

DELIVERY = Delivery(
    id="s1.2/failed/hook/failed/0", version=1, submission_id="s1", attempt_id="s1.2", pool="iris", event="failed",
    sink="hook/failed/0", state="pending", reason="", since=3.0, created=3.0, strikes=0, not_before=0.0, last_error="",
    claim_by="", claim_until=0.0,
)  # fmt: skip


def news(results: Path | None = None, *, attempt: Attempt | None = ATTEMPT, event: str = "failed", **more: Any) -> News:
    submission = evolve(SUBMISSION, **more)
    delivery = evolve(DELIVERY, id=f"{submission.id}/{event}", submission_id=submission.id, event=event)
    return News(delivery=delivery, submission=submission, attempt=attempt, results=results)
