"""`show`: one submission or instance explained: where it stands, why, what comes next and when."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.completing import either_name
from reconciler.cli.options import command, config_option, json_option
from reconciler.cli.printing import columns_of, iso, lasting, print_json, say, table, when
from reconciler.cli.printing import show as show_table

if TYPE_CHECKING:
    from reconciler.cli.deployment import Deployment
    from reconciler.cli.explain import World
    from reconciler.model.rows import Attempt, Delivery, Instance, Submission

Lines = Iterator[tuple[str, str]]


@command("show", "reconcile show good", "reconcile show cpu-4f0c2a9b1d", "reconcile show good --json")
@config_option()
@json_option()
@click.argument("name", shell_complete=either_name)
@click.pass_context
def show(ctx: click.Context, name: str, *, as_json: bool) -> None:
    """Explain one submission or instance: where it stands, why, what comes next and when.

    NAME is a submission's name or id, or an instance's id, ours or the cloud's.
    """
    from reconciler.cli.deployment import looking
    from reconciler.cli.explain import World
    from reconciler.model.rows import Submission

    with looking(ctx) as deployment:
        row = deployment.either(name)
        world = World(desired=deployment.desired, recorded=deployment.recorded())
        if isinstance(row, Submission):
            _show_submission(deployment, world, row, as_json=as_json)
        else:
            _show_instance(deployment, world, row, as_json=as_json)


def _show_submission(deployment: "Deployment", world: "World", row: "Submission", *, as_json: bool) -> None:
    from reconciler.cli.explain import submission
    from reconciler.cli.status import submission_json

    attempts = deployment.store.attempts_of([row.id])
    deliveries = deployment.store.deliveries(submission_ids=[row.id])
    last = next((each for each in attempts if each.id == row.attempt_id), None)
    said = list(submission(world, row, last))
    if as_json:
        tries = [_attempt_json(deployment, each) for each in attempts]
        told = [{"event": each.event, "sink": each.sink, "state": each.state} for each in deliveries]
        known = submission_json(deployment, row, last)
        print_json({**known, "message": row.message, "explained": _pairs(said), "tries": tries, "deliveries": told})
        return
    say(f"submission {row.label}")
    for line in columns_of([*_head(row, world.now), *said, *_results(deployment, attempts)]):
        say(f"  {line}")
    _print_attempts(attempts, world.now)
    _print_deliveries(deliveries, world.now)


def _head(row: "Submission", now: float) -> Lines:
    reason = f" ({row.reason})" if row.reason else ""
    yield "id", row.id
    yield "state", f"{row.state}{reason}, for {lasting(now - row.since)}"
    if row.message:
        yield "message", row.message
    yield "pool", f"{row.pool or '(none)'}, priority {row.priority}"
    yield "from", row.source + (f", retry of {row.retry_of}" if row.retry_of else "")
    yield "created", f"{iso(row.created)} UTC"


def _results(deployment: "Deployment", attempts: Iterable["Attempt"]) -> Lines:
    for attempt in attempts:
        home = deployment.results(attempt)
        if home:
            yield "results", str(home)


def _print_attempts(attempts: list["Attempt"], now: float) -> None:
    from reconciler.cli.status import scores

    lines = [
        (each.number, each.instance_id, _span(each, now), each.outcome or "open",
         "" if each.exit_code is None else each.exit_code,
         "" if each.peak_memory is None else f"{each.peak_memory:.0f} MiB", each.message or scores(each))
        for each in attempts
    ]  # fmt: skip
    if lines:
        say()
        show_table(table(("TRY", "ON", "TOOK", "OUTCOME", "EXIT", "MEMORY", "WHAT"), lines, fold=("ON", "WHAT")))


def _span(attempt: "Attempt", now: float) -> str:
    begun = attempt.started or attempt.opened
    return lasting((attempt.ended or attempt.closed or now) - begun)


def _print_deliveries(deliveries: list["Delivery"], now: float) -> None:
    lines = [
        (each.event, each.sink, each.state, each.last_error or each.reason,
         when(each.not_before, now) if each.not_before > now else "")
        for each in deliveries
    ]  # fmt: skip
    if lines:
        say()
        show_table(table(("NEWS", "TO", "STATE", "LAST ERROR", "NEXT"), lines, fold=("TO", "LAST ERROR")))


def _show_instance(deployment: "Deployment", world: "World", row: "Instance", *, as_json: bool) -> None:
    from reconciler.cli.explain import instance
    from reconciler.cli.status import instance_json

    said = list(instance(world, row))
    if as_json:
        print_json({**instance_json(row), "address": row.address, "explained": _pairs(said)})
        return
    reason = f" ({row.reason})" if row.reason else ""
    lines = [
        ("state", f"{row.state}{reason}, for {lasting(world.now - row.since)}"),
        *said,
        ("pool", f"{row.pool}: {row.type}, {row.market}" + (f", {row.zone}" if row.zone else "")),
        ("cloud", f"{row.cloud} {row.cloud_id or '(not known yet)'} {row.address}".rstrip()),
        ("born", f"{iso(row.born)} UTC"),
        *(("was", f"{event.target} since {iso(event.at)} UTC") for event in deployment.store.history(row.id)),
    ]
    say(f"instance {row.id}")
    for line in columns_of(lines):
        say(f"  {line}")


def _pairs(said: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"what": what, "text": text} for what, text in said]


def _attempt_json(deployment: "Deployment", attempt: "Attempt") -> dict[str, Any]:
    import json

    home = deployment.results(attempt)
    return {
        "id": attempt.id,
        "number": attempt.number,
        "instance": attempt.instance_id,
        "opened": attempt.opened,
        "started": attempt.started,
        "ended": attempt.ended,
        "outcome": attempt.outcome,
        "exit_code": attempt.exit_code,
        "peak_memory": attempt.peak_memory,
        "message": attempt.message,
        "scores": json.loads(attempt.scores or "{}"),
        "results": str(home) if home else None,
    }
