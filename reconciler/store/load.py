"""Reads what a pass needs, in a handful of statements whatever lies in the tables, and builds it by position.

A row that this version cannot read is left out and named. So is a machine with such a row on it: nothing is placed on
it and nothing ends it, and it counts as live.
"""

import operator
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from attrs import define, evolve, field, fields
from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Row,
    Select,
    Table,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    union_all,
)

from reconciler.lifecycle.table import Kind
from reconciler.model.offer import Market
from reconciler.model.rows import (
    Attempt,
    Delivery,
    Hold,
    Identity,
    Instance,
    Outcome,
    PoolRow,
    Stranger,
    Submission,
)
from reconciler.model.snapshot import Recorded, Waiting
from reconciler.spec.values import Event
from reconciler.store import tables
from reconciler.store.tables import (
    ATTEMPTS,
    DELIVERIES,
    HOLDS,
    INSTANCES,
    LIFECYCLES,
    POOLS,
    STRANGERS,
    SUBMISSIONS,
)

SPARE = 20  # queued rows read beyond those that could be placed: some name types that have no room
_QUEUES_AT_ONCE = 400  # SQLite joins at most 500 selects into one

T = TypeVar("T")

# Columns whose values are of an enumeration, or empty where that is among its words.
_WORDS: Mapping[str, Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "instances": {"state": frozenset(LIFECYCLES["instances"].by_name), "market": frozenset(Market)},
        "submissions": {"state": frozenset(LIFECYCLES["submissions"].by_name)},
        "deliveries": {"state": frozenset(LIFECYCLES["deliveries"].by_name), "event": frozenset(Event)},
        "attempts": {"outcome": frozenset(Outcome) | {""}},
    }
)
