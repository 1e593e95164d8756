"""The two inputs of a decision: what is recorded and what is observed."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from reconciler.model.job import JobReport, Report
from reconciler.model.offer import Fault, Listing, Machine
from reconciler.model.rows import Attempt, Delivery, Hold, Identity, Instance, PoolRow, Stranger, Submission


@frozen(kw_only=True)
class Waiting:
    """The queue of one pool in numbers."""

    ready: int = 0  # may be placed now
    by_types: Mapping[str, int] = field(factory=dict)  # the same by the types that they name: JSON list → how many
    held: int = 0  # held back by not_before
    next_due: float | None = None  # when the first of those may be placed


@frozen(kw_only=True)
class Recorded:
    """The part of the database that a pass needs; final rows stay where they are."""

    now: float
    identity: Identity
    pools: Mapping[str, PoolRow] = field(factory=dict)
    instances: Mapping[str, Instance] = field(factory=dict)  # not final, or with an open attempt
    idle_since: Mapping[str, float] = field(factory=dict)  # instance → its last attempt closed
    submissions: Mapping[str, Submission] = field(factory=dict)  # neither final nor queued
    attempts: Mapping[str, Attempt] = field(factory=dict)  # open
    waiting: Mapping[str, Waiting] = field(factory=dict)  # pool → its queue
    heads: tuple[Submission, ...] = ()  # the first of each queue in order, as many as could be placed
    wishes: tuple[Submission, ...] = ()  # queued, and to be cancelled
    deliveries: Mapping[str, Delivery] = field(factory=dict)  # pending
    holds: tuple[Hold, ...] = ()
    strangers: tuple[Stranger, ...] = ()
    ended: Mapping[tuple[str, int], tuple[str, float]] = field(factory=dict)  # (token, index) → final state, since
    unreadable: tuple[str, ...] = ()  # "table/id: why", rows that this version cannot read: shown, and left alone
    unreadable_machines: Mapping[tuple[str, str], int] = field(factory=dict)  # (pool, type) → how many; they live


@frozen(kw_only=True)
class Heard:
    """A host answered. `asked` is when the question left, so that an old answer proves nothing about a newer row."""

    report: Report
    asked: float


@frozen(kw_only=True)
class Silence:
    """A probe of a host failed. Unknown is not gone: only many of these over a long time end a machine."""

    error: str
    at: float


@frozen(kw_only=True)
class Done:
    """An effect did what its state asks for."""

    event: str = ""  # empty: what it did will be observed
    sets: Mapping[str, Any] = field(factory=dict)  # bindings that it learnt
    job: JobReport | None = None
    verdict: "Verdict | None" = None


@frozen(kw_only=True)
class Failed:
    """An effect could not. The fault says which policy applies."""

    fault: Fault
    message: str


@frozen(kw_only=True)
class Verdict:
    """What a workload says of an attempt whose results are home."""

    outcome: str  # model.rows.Outcome
    message: str = ""  # the failure in a line, for people
    scores: Mapping[str, float] = field(factory=dict)
    results: str = ""  # its folder, relative to the results folder


@frozen(kw_only=True)
class Answer:
    """What came of one effect for one row. It counts while the row is still in that state since that time."""

    table: str
    id: str
    state: str
    since: float
    result: Done | Failed


@frozen(kw_only=True)
class Observed:
    """What is, as far as anybody said so."""

    listings: tuple[Listing, ...] = ()
    lookups: Mapping[str, Machine | None] = field(factory=dict)  # cloud id → what the cloud said when asked by id
    hosts: Mapping[str, Heard | Silence] = field(factory=dict)  # instance → its latest answer, or that there was none
    answers: tuple[Answer, ...] = ()
