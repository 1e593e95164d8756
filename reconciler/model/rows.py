"""What the database holds of each thing, as frozen values. Field order is column order: a row unpacks into its value.

Times are seconds since the epoch, UTC, by the database's clock. Columns that hold JSON stay text here and are read
where they are used, so that loading a thousand rows parses nothing.
"""

from enum import StrEnum

from attrs import frozen


class Outcome(StrEnum):
    """How an attempt ended. The part before the budget: each has its own number of retries."""

    SUCCEEDED = "succeeded"
    EXIT_CODE = "exit code"
    TIMEOUT = "timeout"
    EVICTED = "evicted"
    NEVER_STARTED = "never started"
    LOST = "lost"
    INVALID = "invalid"
    CANCELLED = "cancelled"


@frozen
class PoolRow:
    """A pool as last read without an error. A birth of a machine bumps its version."""

    name: str
    version: int
    spec: str  # canonical JSON of spec.values.Pool
    spec_hash: str  # what makes a machine of this pool what it is; another hash is drift
    present: bool  # its file is there
    problem: str  # why its file, as it is now, is not in force; empty when it is
    since: float


@frozen
class Instance:
    """One machine, from the intent to buy it. (token, index) is its name in the cloud."""

    id: str
    version: int
    pool: str
    token: str
    index: int
    type: str
    market: str
    zone: str
    cloud: str  # the place that it was born in: model.offer.Place
    place: str
    settings: str  # the cloud settings that it was born with, canonical JSON
    spec_hash: str
    state: str
    reason: str  # why it is in this state, or on its way to its end
    since: float  # in this state since
    born: float
    cloud_id: str  # empty until bound
    address: str
    boot_id: str
    host_key: str  # pinned: no other key is talked to; empty until the host answered, or where there is none
    adopted: bool  # somebody else bought it: it is used, and only ever let go of
    strikes: int  # probes or effects failed in a row
    strikes_since: float
    not_before: float  # its effect is not run before
    last_error: str
    claim_by: str
    claim_until: float


@frozen
class Submission:
    """One piece of somebody's work."""

    id: str
    version: int
    name: str
    label: str  # its folder among the results: name, or name-2 for the next of that name
    pool: str
    priority: int  # higher first
    types: str  # JSON list of instance types it may run on; "[]" is any
    limit: float | None  # seconds; None is the pool's
    env: str  # JSON object
    source: str  # command, or the queue it came from
    source_key: str  # what that queue calls it
    content: str  # its folder in the store by content
    retry_of: str
    state: str
    reason: str  # an outcome, or why it waits
    message: str  # the reason in words for people
    since: float
    clock: float  # what the state's deadline counts from: since, or later where a fault on our side stopped it
    created: float
    attempts: int  # opened so far
    attempt_id: str  # the open one, or the last
    spent: str  # JSON object: outcome → attempts that ended so
    cancel_wanted: bool
    absences: int  # good readings of its queue in a row that it was missing from
    strikes: int
    not_before: float
    last_error: str
    claim_by: str
    claim_until: float


@frozen
class Attempt:
    """One try of a submission on one instance. Open until there is evidence that nothing of it runs."""

    id: str
    submission_id: str
    number: int  # 1 is the first
    instance_id: str
    boot_id: str  # the start is meant for this boot, and does nothing on another
    frozen: str  # JSON: workload, command, limit, environment, outputs, as they were when it was placed
    opened: float
    started: float | None
    ended: float | None
    closed: float | None  # None: open
    outcome: str
    exit_code: int | None
    peak_memory: float | None  # MiB
    message: str
    scores: str  # JSON object
    results: str  # its folder, relative to the results folder; empty until home


@frozen
class Delivery:
    """What one sink is to be told of one event of one submission."""

    id: str  # <attempt or submission>/<event>/<sink>
    version: int
    submission_id: str
    attempt_id: str
    pool: str
    event: str
    sink: str
    state: str
    reason: str
    since: float
    created: float
    strikes: int
    not_before: float
    last_error: str
    claim_by: str
    claim_until: float


@frozen
class Launch:
    """A purchase that was committed before it was made. Never written again."""

    token: str
    pool: str
    created: float
    request: str  # canonical JSON of model.offer.LaunchRequest


@frozen
class Hold:
    """What is not tried again before a time, because it failed: an offer without capacity, a setup that fails."""

    # <cloud> <place> for a cloud's refusal, request:<pool>:<hash> where the request was wrong, adopt:<pool>:<cloud id>,
    # pool:<name>:<spec hash> for a machine that never became ready
    scope: str
    type: str
    market: str
    zone: str
    until: float
    strikes: int
    reason: str


@frozen
class Stranger:
    """A machine with our tag and no row: counted against its pool, shown, never ended by a pass."""

    cloud: str
    place: str
    cloud_id: str
    pool: str
    type: str
    seen: float  # first


@frozen
class Event:
    """One row of history: a birth, or a transition. Replayed in order they give state, reason and bindings."""

    seq: int
    at: float
    table: str
    row: str  # the row's id
    version: int  # after it
    event: str  # "birth" for the first
    source: str
    target: str
    reason: str
    bindings: str  # JSON object: the columns that it set
    by: str  # which process


@frozen
class Identity:
    """Whose database this is."""

    controller: str
    database_id: str
    created: float
