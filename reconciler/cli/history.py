"""`history`: every transition there was, as it was committed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
import click

from reconciler.cli.completing import either_name
from reconciler.cli.options import command, config_option, json_option
from reconciler.cli.printing import iso, print_json, say, show, table

if TYPE_CHECKING:
    from reconciler.cli.deployment import Deployment
    from reconciler.model.rows import Event

AT_ONCE = 5000  # events read in one statement


@command("history", "reconcile history", "reconcile history good", "reconcile history --json | jq -r .event")
@config_option()
@json_option()
@click.argument("name", required=False, shell_complete=either_name)
@click.option("-n", "--last", metavar="N", type=click.IntRange(min=1), help="The last N only.")
@click.pass_context
def history(ctx: click.Context, name: str | None, *, as_json: bool, last: int | None) -> None:
    """List every transition there was, of all rows or of one NAME: a submission's or an instance's.

    With --json, one object a transition, a line each. Times are UTC; in JSON, seconds since the epoch.
    """
    from reconciler.cli.deployment import looking

    with looking(ctx) as deployment:
        row = deployment.either(name).id if name else None
        events = _read(deployment, row)
        shown = events[-last:] if last else events
        if as_json:
            for event in shown:
                print_json(as_object(event))
        elif shown:
            _print(deployment, shown)
        else:
            say("no history yet")


def as_object(event: "Event") -> dict[str, object]:
    """One transition for programs; what it bound is an object of its own."""
    import json

    return {**attrs.asdict(event), "bindings": json.loads(event.bindings or "{}")}


def _read(deployment: "Deployment", row: str | None) -> list["Event"]:
    events: list[Event] = []
    while True:
        more = deployment.store.history(row, after=events[-1].seq if events else 0, limit=AT_ONCE)
        events += more
        if len(more) < AT_ONCE:
            return events


def _print(deployment: "Deployment", events: list["Event"]) -> None:
    labels = {row.id: row.label for row in deployment.store.submissions()}
    lines = [(iso(event.at), _subject(event, labels), event.event, event.target, event.reason) for event in events]
    show(table(("WHEN", "WHAT", "EVENT", "NOW", "REASON"), lines, fold=("WHAT", "REASON")))


def _subject(event: "Event", labels: Mapping[str, str]) -> str:
    """A row by the name that people know; a delivery by what it tells of, and whom."""
    if event.table != "deliveries":
        return labels.get(event.row, event.row)
    about, _, rest = event.row.partition("/")
    what, _, sink = rest.partition("/")
    return f"{labels.get(about.partition('.')[0], about)} {what}, to {sink}"
