"""The one guarded write path: every change of a row goes through `apply`, with its history, in one transaction.

A transition without a reason of its own keeps the row's; history tells the reason after it, whoever set it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from attrs import Factory, define, fields
from sqlalchemy import Connection, Table, delete, exc, insert, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from reconciler.model.change import Insert, Replace, Step, Update, Write
from reconciler.store.errors import is_duplicate
from reconciler.store.tables import BY_NAME, HISTORY, LIFECYCLES
from reconciler.store.telling import BIRTH, bindings, birth, check, storable, text_of

# What a transition clears, unless it says otherwise: what lay beside the state that it leaves.
_CLEARED: Mapping[str, Any] = MappingProxyType(
    {"strikes": 0, "not_before": 0.0, "last_error": "", "claim_by": "", "claim_until": 0.0}
)
_ALSO_CLEARED: Mapping[str, Mapping[str, Any]] = MappingProxyType({"instances": {"strikes_since": 0.0}})

_UPSERT: Mapping[str, Callable[[Table], Any]] = MappingProxyType(
    {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
)

_CLAIMED_AT_ONCE = 5_000  # rows in one statement: three values each, and SQLite takes 32,766


class StaleError(Exception):
    """A guard did not hold: somebody else wrote the row first."""


class HalfDoneError(Exception):
    """A step became stale after some of it was written, and there is no savepoint to go back to."""


@define
class Writer:
    """Applies steps within one transaction. History gathers and is written once, at the end."""

    connection: Connection
    now: float
    by: str
    careful: bool = False  # a savepoint for each step; without it a step that is stale half-way raises HalfDoneError
    history: list[dict[str, Any]] = Factory(list)

    def apply(self, steps: Sequence[Step]) -> list[bool]:
        """Which steps applied. Raises HalfDoneError, and ValueError for a step that is a bug."""
        applied = [self._try(step) for step in steps]
        if self.history:
            self.connection.execute(insert(HISTORY), self.history)
        return applied

    def _try(self, step: Step) -> bool:
        told = bindings(step)
        events: list[dict[str, Any]] = []
        done = 0
        try:
            with self._savepoint(step):
                for table, batch in _batches(step.writes):
                    events += self._write(table, batch, told)
                    done += 1
        except StaleError:
            if done and not self.careful:
                raise HalfDoneError from None
            return False
        self.history += events
        return True

    @contextmanager
    def _savepoint(self, step: Step) -> Iterator[None]:
        """What an insert of a row that is there already leaves behind depends on the database: never go on from it."""
        try:
            if self.careful:
                with self.connection.begin_nested():
                    yield
            else:
                yield
        except exc.IntegrityError as error:
            if not is_duplicate(error):
                raise
            raise (StaleError if self.careful else HalfDoneError)(step.why) from error

    def _write(
        self, table: Table, writes: Sequence[Write], told: Mapping[tuple[str, str], dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Write what is of one kind and table; returns its history. Raises StaleError."""
        first = writes[0]
        if isinstance(first, Update):
            return self._update(table, first, told)
        if isinstance(first, Insert):
            return self._insert(table, [one for one in writes if isinstance(one, Insert)])
        if isinstance(first, Replace):
            self._replace(table, first)
        else:
            self.connection.execute(delete(table).where(*_is_row(table, first.row)))
        return []

    def _update(
        self, table: Table, change: Update, told: Mapping[tuple[str, str], dict[str, Any]]
    ) -> list[dict[str, Any]]:
        check(change)
        (key,) = table.primary_key
        statement = update(table).where(key == change.id)
        sets: dict[str, Any] = {name: storable(value) for name, value in change.sets.items()}
        if change.version is not None:
            statement = statement.where(table.c.version == change.version)
            sets["version"] = change.version + 1
        if not sets:
            return []
        if not change.event:
            if self.connection.execute(statement.values(sets)).rowcount != 1:
                raise StaleError
            return []
        fresh = {**_CLEARED, **_ALSO_CLEARED.get(change.table, {}), "since": self.now}
        if "clock" in table.c:
            fresh["clock"] = self.now
        sets = {**fresh, **sets, "state": change.target}
        statement = statement.where(table.c.state == change.source).values(sets).returning(table.c.reason)
        row = self.connection.execute(statement).first()
        if row is None:
            raise StaleError
        return [
            self._event(change.table, change.id, sets["version"], change.event, (change.source, change.target))
            | {"reason": row[0], "bindings": text_of(told[change.table, change.id])}
        ]

    def _insert(self, table: Table, births: Sequence[Insert]) -> list[dict[str, Any]]:
        values = [_values(table, one.row) for one in births]
        self.connection.execute(insert(table), values if len(values) > 1 else values[0])
        if table.name not in LIFECYCLES:
            return []
        return [
            self._event(table.name, one.row.id, one.row.version, BIRTH, ("", one.row.state))
            | {"reason": storable(one.row.reason or one.why), "bindings": text_of(birth(one))}
            for one in births
        ]

    def _replace(self, table: Table, change: Replace) -> None:
        values = _values(table, change.row)
        keys = [column.name for column in table.primary_key]
        statement = _UPSERT[self.connection.dialect.name](table).values(values)
        rest = {name: value for name, value in values.items() if name not in keys}
        self.connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=rest))

    def _event(self, table: str, row: str, version: int, event: str, move: tuple[str, str]) -> dict[str, Any]:
        source, target = move
        return {
            "at": self.now,
            "table": table,
            "row": row,
            "version": version,
            "event": event,
            "source": source,
            "target": target,
            "by": self.by,
        }


def claim(connection: Connection, table: Table, rows: Sequence[Any], *, by: str, until: float) -> set[str]:
    """Claim the effects of rows whose claims are still as they were read; returns the ids of those that were."""
    mine: set[str] = set()
    for start in range(0, len(rows), _CLAIMED_AT_ONCE):
        seen = [(row.id, row.claim_by, row.claim_until) for row in rows[start : start + _CLAIMED_AT_ONCE]]
        statement = (
            update(table)
            .where(tuple_(table.c.id, table.c.claim_by, table.c.claim_until).in_(seen))
            .values(claim_by=by, claim_until=until)
            .returning(table.c.id)
        )
        mine.update(connection.execute(statement).scalars())
    return mine


def _batches(writes: Sequence[Write]) -> Iterator[tuple[Table, Sequence[Write]]]:
    """Writes in their order, inserts into one table that follow each other as one statement."""
    batch: list[Write] = []
    for write in writes:
        if batch and not (isinstance(write, Insert) and isinstance(batch[0], Insert) and write.table == batch[0].table):
            yield BY_NAME[batch[0].table], batch
            batch = []
        batch.append(write)
    if batch:
        yield BY_NAME[batch[0].table], batch


def _values(table: Table, row: Any) -> dict[str, Any]:
    """A value as its columns. StrEnums become plain text."""
    names = [field.name for field in fields(type(row))]
    return {name: storable(getattr(row, name)) for name in names if name in table.c}


def _is_row(table: Table, row: Any) -> list[Any]:
    return [column == getattr(row, column.name) for column in table.primary_key]
