"""Drives the tables with the `transitions` library: one shared Machine for a lifecycle, none for a row.

Rows are never added as models: an event is triggered on a small facts object, which costs about 7 µs.
"""

from functools import cache
from typing import Protocol

from transitions import Machine

from reconciler.lifecycle.delivery import DELIVERY
from reconciler.lifecycle.instance import INSTANCE
from reconciler.lifecycle.submission import SUBMISSION
from reconciler.lifecycle.table import Lifecycle

LIFECYCLES = (SUBMISSION, INSTANCE, DELIVERY)


class Facts(Protocol):
    """A state, and the fields that the lifecycle's guards name."""

    state: str


@cache
def machine(lifecycle_name: str) -> Machine:
    """The shared machine of one lifecycle, built once."""
    table = by_name(lifecycle_name)
    return Machine(
        model=None,
        states=[state.name for state in table.states],
        initial=table.initial,
        auto_transitions=False,
        transitions=[
            {"trigger": edge.event, "source": edge.source, "dest": edge.target, "conditions": edge.guard or None}
            for edge in table.edges
        ],
    )


def by_name(lifecycle_name: str) -> Lifecycle:
    """The table of one kind of row."""
    return next(table for table in LIFECYCLES if table.name == lifecycle_name)


@cache
def _pairs(lifecycle_name: str) -> frozenset[tuple[str, str]]:
    return frozenset((edge.source, edge.event) for edge in by_name(lifecycle_name).edges)


def fire(lifecycle: Lifecycle, facts: Facts, event: str) -> str | None:
    """The state that an event leads to, or None where the table ignores it or no guard holds.

    Raises KeyError for an event that the lifecycle does not have.
    """
    if (facts.state, event) not in _pairs(lifecycle.name):
        if event not in lifecycle.events:
            raise KeyError(event)
        return None
    taken: bool = machine(lifecycle.name).events[event].trigger(facts)
    return facts.state if taken else None
