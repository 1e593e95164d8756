"""What a lifecycle is made of: states, edges, and the pairs that are ignored, each with its reason.

A table drives four things: the `transitions` machine that takes decisions (machine.py), the guard of every write
(`store`), the diagrams in docs/lifecycles.md (diagram.py) and the tests that hold the table against its promises.
"""

from collections.abc import Iterator
from enum import StrEnum

from attrs import field, frozen


class Kind(StrEnum):
    """What a state asks of the loop."""

    INTENT = "intent"  # exactly one effect, safe to repeat, until an answer or an observation moves the row on
    WAITING = "waiting"  # something outside moves it on; a deadline says how long that may take
    RESTING = "resting"  # may stay for ever
    FINAL = "final"  # nothing leaves it


@frozen
class State:
    """One state. `deadline` names a field of `spec.values.Deadlines`; when it has passed, `overdue` is the event."""

    name: str
    kind: Kind
    about: str  # what is true while a row is in it
    deadline: str = ""


@frozen
class Edge:
    """One transition. Of several edges for one source and event, the first whose guard holds is taken."""

    source: str
    event: str
    target: str
    when: str  # when it happens, in words
    guard: str = ""  # a field of the lifecycle's facts; empty: always


@frozen
class Ignored:
    """Events that change nothing in a state, and why that is right."""

    state: str  # or several, separated by commas
    events: tuple[str, ...]
    because: str

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every (state, event) that it covers."""
        return tuple((state.strip(), event) for state in self.state.split(",") for event in self.events)


@frozen
class Lifecycle:
    """One kind of row's whole life."""

    name: str
    initial: str
    states: tuple[State, ...]
    edges: tuple[Edge, ...]
    ignored: tuple[Ignored, ...]
    by_name: dict[str, State] = field(init=False, eq=False, repr=False)

    @by_name.default
    def _index(self) -> dict[str, State]:
        return {state.name: state for state in self.states}

    @property
    def events(self) -> tuple[str, ...]:
        """Every event that some edge or some ignored pair names, in order of appearance."""
        named = [edge.event for edge in self.edges] + [event for row in self.ignored for event in row.events]
        return tuple(dict.fromkeys(named))

    def of_kind(self, kind: Kind) -> tuple[str, ...]:
        """Names of the states of one kind, in the table's order."""
        return tuple(state.name for state in self.states if state.kind is kind)

    def edges_from(self, state: str, event: str) -> Iterator[Edge]:
        """Edges that the event may take, in the order in which their guards are asked."""
        return (edge for edge in self.edges if edge.source == state and edge.event == event)

    def is_final(self, state: str) -> bool:
        """Whether nothing leaves the state."""
        return self.by_name[state].kind is Kind.FINAL


def edges(sources: str, event: str, target: str, when: str, guard: str = "") -> tuple[Edge, ...]:
    """One edge for each source named in a comma-separated list: the same thing happens in several states."""
    return tuple(Edge(source.strip(), event, target, when, guard) for source in sources.split(","))
