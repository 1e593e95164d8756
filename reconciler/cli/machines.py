"""`pools` and `instances`: what there is of machines, for how long, and what it costs."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.options import command, config_option, json_option
from reconciler.cli.printing import lasting, print_json, say, show, state_cell, table

if TYPE_CHECKING:
    from reconciler.cli.costs import Cost, Known
    from reconciler.cli.deployment import Deployment
    from reconciler.model.rows import Instance

Costs = Mapping[str, "Cost"]  # instance id → what it costs


@command("pools", "reconcile pools", "reconcile pools --json")
@config_option()
@json_option()
@click.pass_context
def pools(ctx: click.Context, *, as_json: bool) -> None:
    """List pools: sizes, machines and what they cost, what waits, what is wrong.

    Costs are in US dollars, of the machines that live: an hour, and so far.
    """
    from reconciler.cli.deployment import looking
    from reconciler.clouds.registry import PRICES

    with looking(ctx) as deployment:
        rows = deployment.store.instances()
        costs = costs_of(deployment, rows, PRICES)
        if as_json:
            print_json(pools_json(deployment, rows, costs))
            return
        _print_pools(deployment, rows, costs)
        _print_troubles(deployment)


@command("instances", "reconcile instances", "reconcile instances --all", "reconcile instances --json")
@config_option()
@json_option()
@click.option("-a", "--all", "everything", is_flag=True, help="Those that are gone, too.")
@click.pass_context
def instances(ctx: click.Context, *, as_json: bool, everything: bool) -> None:
    """List machines: since when they are there, and what each cost so far, in US dollars."""
    from reconciler.cli.deployment import looking
    from reconciler.clouds.registry import PRICES

    with looking(ctx) as deployment:
        rows = deployment.store.instances(include_final=everything)
        costs = costs_of(deployment, rows, PRICES)
        if as_json:
            print_json(instances_json(deployment, rows, costs))
        elif rows:
            _print_instances(deployment, rows, costs)
        else:
            say("no machines")


def costs_of(deployment: "Deployment", rows: Sequence["Instance"], known: "Known") -> Costs:
    """What each machine costs. Clouds are asked only where one of theirs lives."""
    from reconciler.cli.costs import prices
    from reconciler.wiring import here

    found = asyncio.run(prices(rows, here(deployment.config, deployment.store.identity), known))
    now, store = deployment.store.now(), deployment.store
    return {row.id: found.cost(row, store.history(row.id) if row.cloud in known else (), now) for row in rows}


def pools_json(deployment: "Deployment", rows: Sequence["Instance"], costs: Costs) -> list[dict[str, Any]]:
    """What `pools --json` prints: the pools of `status --json`, and the costs of their live machines."""
    from reconciler.cli.costs import total
    from reconciler.cli.status import pools_of

    made = []
    for pool in pools_of(deployment, rows):
        cost = total(costs[row.id] for row in rows if row.pool == pool["pool"])
        made.append({**pool, "hourly": _rounded(cost.hourly), "cost": _rounded(cost.so_far)})
    return made


def instances_json(deployment: "Deployment", rows: Sequence["Instance"], costs: Costs) -> list[dict[str, Any]]:
    """What `instances --json` prints: the instances of `status --json`, their age in seconds, and their costs."""
    from reconciler.cli.status import instance_json

    now = deployment.store.now()
    return [
        {**instance_json(row), "age": round(_age(row, now)), "hourly": _rounded(costs[row.id].hourly),
         "cost": _rounded(costs[row.id].so_far)}
        for row in rows
    ]  # fmt: skip


def _age(row: "Instance", now: float) -> float:
    """Seconds since its birth, up to its end."""
    from reconciler.lifecycle.instance import INSTANCE

    return (row.since if INSTANCE.is_final(row.state) else now) - row.born


def _rounded(dollars: float | None) -> float | None:
    return None if dollars is None else round(dollars, 4)


def _dollars(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:.2f}" if amount else "-"


def _print_pools(deployment: "Deployment", machines: Sequence["Instance"], costs: Costs) -> None:
    from reconciler.cli.costs import total
    from reconciler.cli.status import pool_lines

    rows = []
    for pool, kind, *line in pool_lines(deployment, machines):
        cost = total(costs[row.id] for row in machines if (row.pool, row.type) == (pool, kind))
        rows.append((pool, kind, *line, _dollars(cost.hourly), _dollars(cost.so_far)))
    show(table(("POOL", "TYPE", "MACHINES", "SIZE", "QUEUED", "USD/H", "USD"), rows))
    if not rows:
        say("no pools")


def _print_troubles(deployment: "Deployment") -> None:
    """Spec files that are not in force, machines that nobody knows, and what is held back of what pools may ask for."""
    from reconciler.decide.holds import concerning, named

    for row in deployment.store.pools():
        if row.problem:
            say(f"pool {row.name}: its last good spec stays in force: {row.problem}")
    for stranger in deployment.store.strangers():
        say(f"machine {stranger.cloud_id} has our tag and no row here; it counts against pool {stranger.pool}")
    recorded = deployment.recorded()
    of_pools = (concerning(deployment.desired, recorded, name) for name in deployment.desired.pools)
    for hold in dict.fromkeys(hold for holds in of_pools for hold in holds):  # pools of one place share some
        say(f"held back for {lasting(hold.until - recorded.now)}: {named(hold)}: {hold.reason}")


def _print_instances(deployment: "Deployment", rows: Sequence["Instance"], costs: Costs) -> None:
    from reconciler.cli.status import busy, trouble

    now, on = deployment.store.now(), busy(deployment)
    lines = [
        (row.id, row.pool, row.type, state_cell(row.state), lasting(now - row.since), lasting(_age(row, now)),
         _dollars(costs[row.id].so_far), row.cloud_id or "-", trouble(row) or on.get(row.id, ""))
        for row in rows
    ]  # fmt: skip
    columns = ("INSTANCE", "POOL", "TYPE", "STATE", "FOR", "AGE", "USD", "CLOUD ID", "WHAT")
    show(table(columns, lines, fold=("INSTANCE", "CLOUD ID", "WHAT")))
