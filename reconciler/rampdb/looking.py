"""What a run will need of an event's database: read once, for `doctor`. Nothing is written."""

import os
from pathlib import Path

from attrs import frozen
from sqlalchemy import Connection, func, select

from reconciler.rampdb.access import EventRow, Ramp
from reconciler.rampdb.states import NEW
from reconciler.rampdb.tables import EVENTS, FOLD_SCORES, FOLDS, METADATA, PROBLEMS, SCORES, SUBMISSIONS

_WRITTEN = (SUBMISSIONS, FOLDS, FOLD_SCORES, SCORES, EVENTS)  # the last by RAMP's own tool: its leaderboards


@frozen(kw_only=True)
class Look:
    """An event, as its database has it now."""

    event: EventRow
    new: int  # submissions that a run would take
    kit: Path  # on this computer: what RAMP's own tool makes leaderboards by
    read_only: tuple[str, ...]  # tables, or the file, that we may not write


def look(ramp: Ramp) -> Look:
    """Raises StoreError for a database that cannot be read, is not RAMP's, or has no such event."""
    with ramp.reading() as connection:
        for table in METADATA.sorted_tables:
            connection.execute(select(table).limit(0))  # whether every column is there
        event = ramp.row(connection)
        found = ramp.submissions(connection, event)
        kit = select(PROBLEMS.c.path_ramp_kit).join(EVENTS).where(EVENTS.c.id == event.id)
        return Look(
            event=event,
            new=sum(row.state == NEW and row.is_valid is not False for row in found),
            kit=Path(connection.scalar(kit) or ""),
            read_only=_read_only(ramp, connection),
        )


def _read_only(ramp: Ramp, connection: Connection) -> tuple[str, ...]:
    if not ramp.database.is_sqlite:
        may = connection.execute(select(*(func.has_table_privilege(table.name, "UPDATE") for table in _WRITTEN))).one()
        return tuple(table.name for table, granted in zip(_WRITTEN, may, strict=True) if not granted)
    file = Path(ramp.database.url.database or "")
    places = (file, file.absolute().parent)  # SQLite makes files beside its own
    return tuple(str(place) for place in places if not os.access(place, os.W_OK))
