"""The tables. A table's columns are the fields of its value in model/rows.py, in their order, so a row unpacks into it.

Partial indexes hold what a pass reads, so that a hundred thousand final rows cost it nothing. Their conditions are text
that the queries repeat word for word: SQLite uses a partial index only where the same words stand in the query.
"""

from collections.abc import Mapping
from types import MappingProxyType, NoneType, UnionType
from typing import Any, get_args

from attrs import fields
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeEngine

from reconciler.lifecycle.delivery import DELIVERY
from reconciler.lifecycle.instance import INSTANCE
from reconciler.lifecycle.submission import SUBMISSION
from reconciler.lifecycle.table import Kind, Lifecycle
from reconciler.model import rows

HEAD = "0001"  # the newest migration: a database at it is opened without importing alembic
VERSION_TABLE = "reconciler_version"  # not alembic's own name, so that another program's tables may lie beside ours

_TYPES: Mapping[Any, type[TypeEngine[Any]]] = MappingProxyType(
    {str: Text, int: BigInteger, float: Double, bool: Boolean}
)

METADATA = MetaData()


def _table(name: str, value: type, *, key: tuple[str, ...], refers: Mapping[str, str] = MappingProxyType({})) -> Table:
    """A table with a column for each field of a value; `float | None` becomes a nullable one."""
    columns = []
    for field in fields(value):
        kinds = get_args(field.type) if isinstance(field.type, UnionType) else (field.type,)
        (kind,) = (one for one in kinds if one is not NoneType)
        columns.append(
            Column(
                field.name,
                _TYPES[kind],
                *([ForeignKey(refers[field.name])] if field.name in refers else []),
                primary_key=field.name in key,
                nullable=NoneType in kinds,
            )
        )
    return Table(name, METADATA, *columns)


def _beyond(lifecycle: Lifecycle, *also: str) -> str:
    """A condition for rows that a pass reads: neither final nor `also`. An unknown state is among them."""
    states = (*lifecycle.of_kind(Kind.FINAL), *also)
    return f"state NOT IN ({', '.join(repr(state) for state in states)})"


LIVE_INSTANCES = _beyond(INSTANCE)
ENDED_INSTANCES = f"state IN ({', '.join(repr(state) for state in INSTANCE.of_kind(Kind.FINAL))})"
PLACED = _beyond(SUBMISSION, "queued")
PENDING = _beyond(DELIVERY, "given up")
WAITING = "state = 'queued' AND NOT cancel_wanted"
HELD = f"{WAITING} AND not_before > 0"
WISHES = "state = 'queued' AND cancel_wanted"
OPEN = "closed IS NULL"
CLOSED = "closed IS NOT NULL"

POOLS = _table("pools", rows.PoolRow, key=("name",))
LAUNCHES = _table("launches", rows.Launch, key=("token",))
INSTANCES = _table("instances", rows.Instance, key=("id",))
SUBMISSIONS = _table("submissions", rows.Submission, key=("id",))
ATTEMPTS = _table(
    "attempts",
    rows.Attempt,
    key=("id",),
    refers={"submission_id": "submissions.id", "instance_id": "instances.id"},
)
DELIVERIES = _table("deliveries", rows.Delivery, key=("id",), refers={"submission_id": "submissions.id"})
HOLDS = _table("holds", rows.Hold, key=("scope", "type", "market", "zone"))
STRANGERS = _table("strangers", rows.Stranger, key=("cloud", "place", "cloud_id"))
HISTORY = _table("history", rows.Event, key=("seq",))
IDENTITY = _table("identity", rows.Identity, key=("database_id",))

# SQLite counts up by itself only in an INTEGER key.
HISTORY.c.seq.type = BigInteger().with_variant(Integer, "sqlite")


def _index(name: str, table: Table, *columns: str, where: str = "", unique: bool = False) -> None:
    condition = text(where) if where else None
    spelt = [text(column) if " " in column else table.c[column] for column in columns]
    Index(name, *spelt, unique=unique, sqlite_where=condition, postgresql_where=condition)


_index("instances_machine", INSTANCES, "token", "index", unique=True)  # a machine's name in its cloud
_index("instances_live", INSTANCES, "id", where=LIVE_INSTANCES)
_index("instances_ended", INSTANCES, "since", "cloud", "place", where=ENDED_INSTANCES)
_index("submissions_label", SUBMISSIONS, "label", unique=True)
_index("submissions_name", SUBMISSIONS, "name", "created")
_index("submissions_source", SUBMISSIONS, "source", "source_key", "created")
_index("submissions_created", SUBMISSIONS, "created", "id")
_index("submissions_placed", SUBMISSIONS, "id", where=PLACED)
_index("submissions_wishes", SUBMISSIONS, "id", where=WISHES)
# The order of a queue, for its heads; and what is counted of it, so that counting reads no row.
_index("submissions_queue", SUBMISSIONS, "pool", "priority DESC", "created", "id", where=WAITING)
_index("submissions_waiting", SUBMISSIONS, "pool", "types", "state", "cancel_wanted", where=WAITING)
_index("submissions_held", SUBMISSIONS, "pool", "types", "not_before", "state", "cancel_wanted", where=HELD)
_index("attempts_number", ATTEMPTS, "submission_id", "number", unique=True)
_index("attempts_open", ATTEMPTS, "submission_id", where=OPEN, unique=True)  # at most one open attempt a submission
_index("attempts_instance", ATTEMPTS, "instance_id", "closed", where=CLOSED)
_index("deliveries_pending", DELIVERIES, "id", where=PENDING)
_index("deliveries_submission", DELIVERIES, "submission_id")
_index("history_row", HISTORY, "table", "row", "seq")

# What a change names (model/change.py) → its table. History and identity are written by the store alone.
BY_NAME: Mapping[str, Table] = MappingProxyType(
    {t.name: t for t in (POOLS, LAUNCHES, INSTANCES, SUBMISSIONS, ATTEMPTS, DELIVERIES, HOLDS, STRANGERS)}
)

# Tables whose rows live by a lifecycle: every change of state is an edge of it, and history.
LIFECYCLES: Mapping[str, Lifecycle] = MappingProxyType(
    {"submissions": SUBMISSION, "instances": INSTANCE, "deliveries": DELIVERY}
)
