"""`destroy`: end every machine of this controller, in every place that its files or its database name.

It is for the day when all else is lost: the database may be gone, damaged or of another version. Tags say what is ours.
"""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from reconciler.cli.failing import FAILED, USAGE, Stop
from reconciler.cli.options import command, config_option, config_path, yes_option
from reconciler.cli.printing import lasting, plain, say, show, state_cell, table, warn

if TYPE_CHECKING:
    from reconciler.cli.ours import Look, Makers, Ours, Patience, Seen
    from reconciler.model.rows import Instance
    from reconciler.spec.values import Config


@command("destroy", "reconcile destroy", "reconcile destroy --config iris.yml --yes")
@config_option()
@yes_option()
@click.pass_context
def destroy(ctx: click.Context, *, yes: bool) -> None:
    """End every machine of this controller, in every place that its pools or its database name, and wait.

    Stop the reconciler first, or it buys others. What is not home from these machines is lost with them. It works
    without the database, and makes none. Exit status: 0 nothing of ours is left, 1 something is, or may be.
    """
    from reconciler.cli.ours import Patience
    from reconciler.clouds.registry import CLOUDS
    from reconciler.spec.loader import load_config

    config = load_config(config_path(ctx))
    left = asyncio.run(run(config, CLOUDS, Patience(clock=time.monotonic), yes=yes))
    if left:
        raise Stop(FAILED, *left)


async def run(config: "Config", makers: "Makers", patience: "Patience", *, yes: bool) -> Sequence[str]:
    """Look, show, ask, end, and wait; answers with what is left or could not be looked at, a line each."""
    from reconciler.cli.ours import Ours, places, reach
    from reconciler.clouds.base import Owner
    from reconciler.model.rows import Identity
    from reconciler.spec.loader import load_pools
    from reconciler.wiring import here

    rows, problem = known_rows(config)
    read = load_pools(config.pools)
    spoilt = [str(each) for each in read.problems]
    for text in (*spoilt, *([problem] if problem else ())):
        warn(text)
    if not read.pools and problem:
        raise Stop(FAILED, "no place is known to look for machines in: mend a pool spec file, or the database")
    me = here(config, Identity(config.controller, "", 0.0))
    clouds, unknown = reach(places(config, read.pools, rows), me, makers)
    ours = Ours(
        owner=Owner(controller=config.controller, database_id=""), clouds=clouds,
        adopted=frozenset(row.cloud_id for row in rows if row.adopted),
    )  # fmt: skip
    try:
        left = await _ended(ours, config.controller, rows, patience, yes=yes)
    finally:
        await ours.close()
    return (*left, *unknown, *(spoilt if problem else ()))


def known_rows(config: "Config") -> tuple[Sequence["Instance"], str]:
    """The machines that the database knows, also those that have ended; or why it cannot be read."""
    from sqlalchemy.exc import SQLAlchemyError

    from reconciler.cli.deployment import peeking
    from reconciler.store.errors import StoreError

    try:
        with peeking(config) as queries:
            return queries.instances(include_final=True), ""
    except StoreError as error:
        problem = error.message
    except SQLAlchemyError as error:  # tables of another program, or of another version
        problem = str(error).splitlines()[0]
    return (), f"the database is no help, machines are found by their tags alone: {problem}"


async def _ended(
    ours: "Ours", controller: str, rows: Sequence["Instance"], patience: "Patience", *, yes: bool
) -> Sequence[str]:
    """What is left of the machines, after asking."""
    look = await ours.look()
    known = {row.cloud_id: row for row in rows if row.cloud_id}
    if look.living:
        _print(look.living, known)
        if not yes:
            _ask(controller, len(look.living))
        say(f"ending {_machines(len(look.living))} …")
        look = await ours.end(look, patience)
    if not look.living and not look.blind:
        say(f"no machine of controller {controller} is left in {', '.join(_places(ours)) or 'no place at all'}")
    return _left(look)


def _left(look: "Look") -> Sequence[str]:
    from reconciler.cli.ours import named

    still = [f"still {seen.machine.state}: {seen.machine.cloud_id} in {seen.place.cloud}" for seen in look.living]
    return [*still, *(f"could not be made sure of: {named(where)}: {why}" for where, why in look.blind.items())]


def _ask(controller: str, count: int) -> None:
    """Somebody has to type the controller's name. Ends the command otherwise."""
    if not sys.stdin.isatty():
        raise Stop(USAGE, "nobody can be asked here, and nothing was ended: say `reconcile destroy --yes`")
    typed = click.prompt(plain(f"type {controller} to end {_machines(count)}"), default="", show_default=False)
    if typed.strip() != controller:
        raise Stop(USAGE, "nothing was ended")


def _print(machines: Sequence["Seen"], known: Mapping[str, "Instance"]) -> None:
    """The machines, and whether the database knows each."""
    from reconciler.model.tags import POOL

    now = time.time()
    lines = []
    for seen in machines:
        machine, row = seen.machine, known.get(seen.machine.cloud_id)
        age = lasting(now - machine.born.timestamp()) if machine.born else "unknown"
        pool = machine.tags.get(POOL) or (row.pool if row else "")
        lines.append(
            (machine.cloud_id, machine.type, state_cell(machine.state), age, pool, row.id if row else "not known here")
        )
    show(table(("MACHINE", "TYPE", "STATE", "AGE", "POOL", "INSTANCE"), lines, fold=("MACHINE", "INSTANCE")))


def _places(ours: "Ours") -> Sequence[str]:
    from reconciler.cli.ours import named

    return [named(place) for place in ours.clouds]


def _machines(count: int) -> str:
    return f"{count} machine{'' if count == 1 else 's'}"
