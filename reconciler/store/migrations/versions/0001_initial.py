"""The tables as they were first released. A migration is frozen: it repeats what tables.py says, and never reads it."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = (
    """
    CREATE TABLE pools (
        name TEXT NOT NULL, version BIGINT NOT NULL, spec TEXT NOT NULL, spec_hash TEXT NOT NULL,
        present BOOLEAN NOT NULL, problem TEXT NOT NULL, since DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (name)
    )
    """,
    """
    CREATE TABLE launches (
        token TEXT NOT NULL, pool TEXT NOT NULL, created DOUBLE PRECISION NOT NULL, request TEXT NOT NULL,
        PRIMARY KEY (token)
    )
    """,
    """
    CREATE TABLE instances (
        id TEXT NOT NULL, version BIGINT NOT NULL, pool TEXT NOT NULL, token TEXT NOT NULL,
        "index" BIGINT NOT NULL, type TEXT NOT NULL, market TEXT NOT NULL, zone TEXT NOT NULL,
        cloud TEXT NOT NULL, place TEXT NOT NULL, settings TEXT NOT NULL, spec_hash TEXT NOT NULL,
        state TEXT NOT NULL, reason TEXT NOT NULL, since DOUBLE PRECISION NOT NULL,
        born DOUBLE PRECISION NOT NULL, cloud_id TEXT NOT NULL, address TEXT NOT NULL, boot_id TEXT NOT NULL,
        host_key TEXT NOT NULL, adopted BOOLEAN NOT NULL, strikes BIGINT NOT NULL,
        strikes_since DOUBLE PRECISION NOT NULL, not_before DOUBLE PRECISION NOT NULL,
        last_error TEXT NOT NULL, claim_by TEXT NOT NULL, claim_until DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE submissions (
        id TEXT NOT NULL, version BIGINT NOT NULL, name TEXT NOT NULL, label TEXT NOT NULL, pool TEXT NOT NULL,
        priority BIGINT NOT NULL, types TEXT NOT NULL, "limit" DOUBLE PRECISION, env TEXT NOT NULL,
        source TEXT NOT NULL, source_key TEXT NOT NULL, content TEXT NOT NULL, retry_of TEXT NOT NULL,
        state TEXT NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL, since DOUBLE PRECISION NOT NULL,
        clock DOUBLE PRECISION NOT NULL, created DOUBLE PRECISION NOT NULL, attempts BIGINT NOT NULL,
        attempt_id TEXT NOT NULL, spent TEXT NOT NULL, cancel_wanted BOOLEAN NOT NULL, absences BIGINT NOT NULL,
        strikes BIGINT NOT NULL, not_before DOUBLE PRECISION NOT NULL, last_error TEXT NOT NULL,
        claim_by TEXT NOT NULL, claim_until DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE attempts (
        id TEXT NOT NULL, submission_id TEXT NOT NULL, number BIGINT NOT NULL, instance_id TEXT NOT NULL,
        boot_id TEXT NOT NULL, frozen TEXT NOT NULL, opened DOUBLE PRECISION NOT NULL, started DOUBLE PRECISION,
        ended DOUBLE PRECISION, closed DOUBLE PRECISION, outcome TEXT NOT NULL, exit_code BIGINT,
        peak_memory DOUBLE PRECISION, message TEXT NOT NULL, scores TEXT NOT NULL, results TEXT NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY(submission_id) REFERENCES submissions (id),
        FOREIGN KEY(instance_id) REFERENCES instances (id)
    )
    """,
    """
    CREATE TABLE deliveries (
        id TEXT NOT NULL, version BIGINT NOT NULL, submission_id TEXT NOT NULL, attempt_id TEXT NOT NULL,
        pool TEXT NOT NULL, event TEXT NOT NULL, sink TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
        since DOUBLE PRECISION NOT NULL, created DOUBLE PRECISION NOT NULL, strikes BIGINT NOT NULL,
        not_before DOUBLE PRECISION NOT NULL, last_error TEXT NOT NULL, claim_by TEXT NOT NULL,
        claim_until DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY(submission_id) REFERENCES submissions (id)
    )
    """,
    """
    CREATE TABLE holds (
        scope TEXT NOT NULL, type TEXT NOT NULL, market TEXT NOT NULL, zone TEXT NOT NULL,
        until DOUBLE PRECISION NOT NULL, strikes BIGINT NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (scope, type, market, zone)
    )
    """,
    """
    CREATE TABLE strangers (
        cloud TEXT NOT NULL, place TEXT NOT NULL, cloud_id TEXT NOT NULL, pool TEXT NOT NULL,
        type TEXT NOT NULL, seen DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (cloud, place, cloud_id)
    )
    """,
    """
    CREATE TABLE history (
        seq {counter}, at DOUBLE PRECISION NOT NULL, "table" TEXT NOT NULL, "row" TEXT NOT NULL,
        version BIGINT NOT NULL, event TEXT NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL,
        reason TEXT NOT NULL, bindings TEXT NOT NULL, "by" TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE identity (
        controller TEXT NOT NULL, database_id TEXT NOT NULL, created DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (database_id)
    )
    """,
)

WAITING = "state = 'queued' AND NOT cancel_wanted"
HELD = f"{WAITING} AND not_before > 0"

INDEXES = (
    'UNIQUE INDEX instances_machine ON instances (token, "index")',
    "INDEX instances_live ON instances (id) WHERE state NOT IN ('terminated', 'failed')",
    "INDEX instances_ended ON instances (since, cloud, place) WHERE state IN ('terminated', 'failed')",
    "UNIQUE INDEX submissions_label ON submissions (label)",
    "INDEX submissions_name ON submissions (name, created)",
    "INDEX submissions_source ON submissions (source, source_key, created)",
    "INDEX submissions_created ON submissions (created, id)",
    "INDEX submissions_placed ON submissions (id) WHERE state NOT IN ('succeeded', 'failed', 'cancelled', 'queued')",
    "INDEX submissions_wishes ON submissions (id) WHERE state = 'queued' AND cancel_wanted",
    f"INDEX submissions_queue ON submissions (pool, priority DESC, created, id) WHERE {WAITING}",
    f"INDEX submissions_waiting ON submissions (pool, types, state, cancel_wanted) WHERE {WAITING}",
    f"INDEX submissions_held ON submissions (pool, types, not_before, state, cancel_wanted) WHERE {HELD}",
    "UNIQUE INDEX attempts_number ON attempts (submission_id, number)",
    "UNIQUE INDEX attempts_open ON attempts (submission_id) WHERE closed IS NULL",
    "INDEX attempts_instance ON attempts (instance_id, closed) WHERE closed IS NOT NULL",
    "INDEX deliveries_pending ON deliveries (id) WHERE state NOT IN ('delivered', 'given up')",
    "INDEX deliveries_submission ON deliveries (submission_id)",
    'INDEX history_row ON history ("table", "row", seq)',
)


def upgrade() -> None:
    """Create everything."""
    counter = "INTEGER NOT NULL PRIMARY KEY" if op.get_bind().dialect.name == "sqlite" else "BIGSERIAL PRIMARY KEY"
    for statement in TABLES:
        op.execute(statement.replace("{counter}", counter))
    for statement in INDEXES:
        op.execute(f"CREATE {statement}")
