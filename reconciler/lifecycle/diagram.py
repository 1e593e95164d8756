"""Writes docs/lifecycles.md from the tables: `python -m reconciler.lifecycle.diagram > docs/lifecycles.md`.

The page is generated, so that what people read is what the program does; a test fails when the two differ.
"""

import sys
from collections.abc import Iterable, Iterator

from reconciler.lifecycle.machine import LIFECYCLES
from reconciler.lifecycle.table import Edge, Kind, Lifecycle

INTRODUCTION = """\
# Lifecycles

Generated from the tables in `reconciler/lifecycle/` by `python -m reconciler.lifecycle.diagram > docs/lifecycles.md`.

A state is one of four kinds. An **intent** state (marked !) has exactly one effect, safe to repeat, which runs until an
answer or an observation moves the row on. A **waiting** state is moved on by something outside. A **resting** state may
last for ever. A **final** one does. Every intent and waiting state has a deadline, a key of `deadlines` in the pool's
spec file; when it has passed, the event is `overdue`. Arrows show the event and, in brackets, the guard; of several
edges for one event the first whose guard holds is taken.
"""


def page() -> str:
    """The whole page, ending with a newline."""
    return "\n".join([INTRODUCTION, *("\n".join(_section(table)) for table in LIFECYCLES)])


def _section(table: Lifecycle) -> Iterator[str]:
    yield f"## {table.name.capitalize()}"
    yield ""
    yield from _diagram(table)
    yield ""
    yield from _grid(
        ("state", "kind", "deadline", "what is true in it"),
        ((_marked(table, s.name), str(s.kind), f"`{s.deadline}`" if s.deadline else "", s.about) for s in table.states),
    )
    yield ""
    yield from _grid(
        ("from", "event", "to", "guard", "when"),
        ((e.source, f"`{e.event}`", e.target, f"`{e.guard}`" if e.guard else "", e.when) for e in table.edges),
    )
    yield ""
    yield "Ignored, on purpose:"
    yield ""
    yield from _grid(
        ("in", "events", "because"),
        ((row.state, ", ".join(f"`{event}`" for event in row.events), row.because) for row in table.ignored),
    )
    yield ""


def _diagram(table: Lifecycle) -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    for state in table.states:
        yield f'  state "{_marked(table, state.name)}" as {_key(state.name)}'
    yield f"  [*] --> {_key(table.initial)}"
    for (source, target), labels in _arrows(table.edges).items():
        yield f"  {_key(source)} --> {_key(target)} : {', '.join(labels)}"
    for name in table.of_kind(Kind.FINAL):
        yield f"  {_key(name)} --> [*]"
    yield "```"


def _arrows(edges: Iterable[Edge]) -> dict[tuple[str, str], list[str]]:
    """One arrow for each pair of states, with everything that leads along it."""
    found: dict[tuple[str, str], list[str]] = {}
    for edge in edges:
        label = f"{edge.event} [{edge.guard}]" if edge.guard else edge.event
        found.setdefault((edge.source, edge.target), []).append(label)
    return found


def _grid(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(' --- ' for _ in head)}|"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _marked(table: Lifecycle, name: str) -> str:
    return f"{name}!" if table.by_name[name].kind is Kind.INTENT else name


def _key(name: str) -> str:
    return name.replace(" ", "_")


if __name__ == "__main__":
    sys.stdout.write(page())
