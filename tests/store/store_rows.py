"""Rows and steps to test the store with: each with every field set to something plain."""

from typing import Any

from attrs import asdict, evolve
from sqlalchemy import insert

from reconciler.model.change import Insert, Step, Update
from reconciler.model.rows import Attempt, Delivery, Instance, Submission
from reconciler.store.store import Store
from reconciler.store.tables import ATTEMPTS, DELIVERIES, INSTANCES, SUBMISSIONS

NOW = 1_000_000.0
BY = "tester"

SUBMISSION = Submission(
    id="s1", version=1, name="s1", label="s1", pool="cpu", priority=0, types="[]", limit=None, env="{}",
    source="command", source_key="", content="abc", retry_of="", state="queued", reason="", message="", since=NOW,
    clock=NOW, created=NOW, attempts=0, attempt_id="", spent="{}", cancel_wanted=False, absences=0, strikes=0,
    not_before=0.0, last_error="", claim_by="", claim_until=0.0,
)  # fmt: skip

INSTANCE = Instance(
    id="i1", version=1, pool="cpu", token="t1", index=0, type="small", market="on-demand", zone="", cloud="local",
    place="{}", settings="{}", spec_hash="h", state="launching", reason="", since=NOW, born=NOW, cloud_id="",
    address="", boot_id="", host_key="", adopted=False, strikes=0, strikes_since=0.0, not_before=0.0, last_error="",
    claim_by="", claim_until=0.0,
)  # fmt: skip

ATTEMPT = Attempt(
    id="s1.1", submission_id="s1", number=1, instance_id="i1", boot_id="b1", frozen="{}", opened=NOW, started=None,
    ended=None, closed=None, outcome="", exit_code=None, peak_memory=None, message="", scores="{}", results="",
)  # fmt: skip

DELIVERY = Delivery(
    id="s1/queued/table", version=1, submission_id="s1", attempt_id="", pool="cpu", event="queued", sink="table",
    state="pending", reason="", since=NOW, created=NOW, strikes=0, not_before=0.0, last_error="", claim_by="",
    claim_until=0.0,
)  # fmt: skip


def submission(row_id: str, **changes: Any) -> Submission:
    return evolve(SUBMISSION, **{"id": row_id, "name": row_id, "label": row_id, **changes})


def instance(row_id: str, **changes: Any) -> Instance:
    return evolve(INSTANCE, **{"id": row_id, "token": f"token-{row_id}", **changes})


def attempt(submission_id: str, number: int = 1, **changes: Any) -> Attempt:
    given = {"id": f"{submission_id}.{number}", "submission_id": submission_id, "number": number, **changes}
    return evolve(ATTEMPT, **given)


def born(*rows: Any) -> Step:
    """One step with new rows."""
    tables = {Submission: "submissions", Instance: "instances", Attempt: "attempts", Delivery: "deliveries"}
    return Step(tuple(Insert(table=tables[type(row)], row=row, why="test") for row in rows))


def move(table: str, row: Any, event: str, target: str, **sets: Any) -> Update:
    """A transition of a row as it was read."""
    return Update(table=table, id=row.id, version=row.version, event=event, source=row.state, target=target, sets=sets)


def place(row: Submission, on: Instance) -> Step:
    """What placing a submission writes."""
    number = row.attempts + 1
    return Step(
        (
            move("submissions", row, "place", "staging", attempt_id=f"{row.id}.{number}", attempts=number, reason=""),
            Update(table="instances", id=on.id, version=on.version),
            Insert(table="attempts", row=attempt(row.id, number, instance_id=on.id)),
        )
    )


def fill(store: Store, *rows: Any) -> None:
    """Put rows there as they are, without history."""
    tables = {Instance: INSTANCES, Submission: SUBMISSIONS, Attempt: ATTEMPTS, Delivery: DELIVERIES}
    with store.database.writing() as connection:
        for kind, table in tables.items():
            values = [asdict(row) for row in rows if type(row) is kind]
            if values:
                connection.execute(insert(table), values)


def everything(store: Store) -> Any:
    """A load with room for ten of every pool."""
    return store.load(lambda recorded: dict.fromkeys(((pool, "small") for pool in recorded.waiting), 10))
