"""One event of one RAMP database: opened, read and written with errors that people can act on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from attrs import frozen
from sqlalchemy import Connection, exc, make_url, select
from sqlalchemy.sql import Select

from reconciler.rampdb.tables import EVENT_TEAMS, EVENTS, SUBMISSIONS, TEAMS
from reconciler.spec.sinks import RAMP
from reconciler.spec.values import RampEvent
from reconciler.store.engine import Database, open_database
from reconciler.store.errors import StoreError, code_of

PATIENCE = 30.0  # seconds to wait for a lock of RAMP's own programs
_UNKNOWN = ("42P01", "42703")  # undefined_table, undefined_column (PostgreSQL, appendix A)
_UNKNOWN_WORDS = ("no such table", "no such column")  # SQLite has no code of its own for these


@frozen
class EventRow:
    """An event, as RAMP has it."""

    id: int
    sandbox: str
    submissions: Path  # a folder `submission_000000012` each


@frozen
class SubmissionRow:
    """A submission, as RAMP has it."""

    id: int
    name: str  # its team's own name for it
    team: str
    state: str
    submitted: datetime  # naive, UTC
    position: int
    is_valid: bool

    @property
    def basename(self) -> str:
        """What RAMP calls its folders, logs and predictions by."""
        return basename(self.id)


@frozen
class Ramp:
    """An open database, and the event in it that is ours. Its calls block."""

    database: Database
    event: str

    @classmethod
    def open(cls, event: RampEvent, *, patience: float = PATIENCE) -> "Ramp":
        """Prepare connections; nothing is read yet. Raises StoreError for what is no such URL, or has no driver."""
        return cls(open_database(event.database, patience=patience), event.event)

    def close(self) -> None:
        """Let go of all connections."""
        self.database.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view. Raises StoreError."""
        with self._known(), self.database.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, alone among ours. Raises StoreError."""
        with self._known(), self.database.writing() as connection:
            yield connection

    def row(self, connection: Connection) -> EventRow:
        """The event. Raises StoreError where there is none of its name."""
        c = EVENTS.c
        found = connection.execute(
            select(c.id, c.ramp_sandbox_name, c.path_ramp_submissions).where(c.name == self.event)
        ).first()
        if found:
            return EventRow(found[0], found[1], Path(found[2]))
        names = ", ".join(connection.scalars(select(c.name).order_by(c.name).limit(10))) or "none at all"
        raise StoreError.of(self.database.url, f"has no event {self.event}; it has {names}", usage=True)

    def submissions(self, connection: Connection, event: EventRow) -> Sequence[SubmissionRow]:
        """The event's submissions in order of arrival, without starting kits, which RAMP never trains."""
        return [SubmissionRow(*row) for row in connection.execute(_submissions(event))]

    @contextmanager
    def _known(self) -> Iterator[None]:
        """Say what a database is not, rather than which of its tables is not there."""
        url = self.database.url
        if self.database.is_sqlite and not self.database.is_in_memory and not Path(url.database or "").exists():
            raise StoreError.of(url, "is not there; name RAMP's own database file", usage=True)
        missing = "is not a database of ramp-database 0.10; name the one that RAMP uses"
        try:
            yield
        except exc.ProgrammingError as error:
            if code_of(error) in _UNKNOWN:
                raise StoreError.of(url, missing, usage=True) from error
            raise
        except StoreError as error:
            if any(words in error.message for words in _UNKNOWN_WORDS):
                raise StoreError.of(url, missing, usage=True) from error
            raise


def _submissions(event: EventRow) -> Select[int, str, str, str, datetime, int, bool]:
    c = SUBMISSIONS.c
    return (
        select(c.id, c.name, TEAMS.c.name, c.state, c.submission_timestamp, c.queue_position, c.is_valid)
        .join(EVENT_TEAMS, EVENT_TEAMS.c.id == c.event_team_id)
        .join(TEAMS, TEAMS.c.id == EVENT_TEAMS.c.team_id)
        .where(EVENT_TEAMS.c.event_id == event.id, c.name != event.sandbox)
        .order_by(c.submission_timestamp, c.id)
    )


def basename(submission: int) -> str:
    """RAMP's name of a submission's folder (ramp_database/model/submission.py, Submission.basename)."""
    return f"submission_{submission:09d}"


def names_of(events: Sequence[RampEvent]) -> tuple[str, ...]:
    """The name of each event as a queue and a sink: `ramp/<event>`, and where two databases have it, which of them."""
    return tuple(
        f"{RAMP}{each.event}"
        + (f"@{_short(each)}" if any(o.event == each.event and o.database != each.database for o in events) else "")
        for each in events
    )


def _short(event: RampEvent) -> str:
    """Six characters that tell a database; its password may change."""
    url = make_url(event.database)
    return sha256(f"{url.host}:{url.port}/{url.database}".encode()).hexdigest()[:6]
