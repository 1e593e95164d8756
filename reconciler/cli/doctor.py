"""`doctor`: whether this computer, these files, their clouds and machines are fit for a run, and what to do if not."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.failing import FAILED, USAGE, Stop
from reconciler.cli.options import command, config_option, config_path, json_option
from reconciler.cli.printing import cell, console, print_json, show, table

if TYPE_CHECKING:
    from rich.text import Text

    from reconciler.cli.checks import Found
    from reconciler.cli.cloud_checks import Examiners
    from reconciler.model.rows import Identity, Instance
    from reconciler.spec.values import Config

STYLES = (("ok", "green"), ("problem", "red"), ("could not check", "yellow"))
WIDTH = 24  # columns of a check's name on a terminal; a longer one takes what it needs


@command("doctor", "reconcile doctor", "reconcile doctor --config iris.yml --json")
@config_option()
@json_option()
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Check what a run needs before it costs money, and say what to do. Nothing is changed.

    Config, pools, database, folders, disk and tools here; what each pool needs of its cloud; the machines that run.
    Exit status: 0 all is well or could not be checked, 2 the configuration has a problem, 1 something else has one.
    """
    from reconciler.cli.checks import PROBLEM
    from reconciler.clouds.registry import CHECKS

    out = console()
    live = out.is_terminal and not as_json
    found = asyncio.run(examined(config_path(ctx), CHECKS, lambda each: out.print(_line(each)) if live else None))
    if as_json:
        print_json([{"check": each.check, "result": each.result, "text": each.text} for each in found])
    elif not live:
        styles = dict(STYLES)
        rows = [(each.check, cell(each.result, styles[each.result]), each.text) for each in found]
        show(table(("CHECK", "RESULT", ""), rows, fold=("",)))
    bad = [each for each in found if each.result == PROBLEM]
    if bad:
        raise Stop(USAGE if any(each.usage for each in bad) else FAILED)


async def examined(path: Path, examiners: "Examiners", tell: Callable[["Found"], None]) -> "list[Found]":
    """Every check, each told as it is done: those of this computer, then those that ask clouds and machines."""
    from reconciler.cli.checks import examine
    from reconciler.cli.cloud_checks import both
    from reconciler.spec.errors import SpecError
    from reconciler.spec.loader import load_config, load_pools
    from reconciler.wiring import Machines, here

    found: list[Found] = []

    def take(each: "Found") -> None:
        found.append(each)
        tell(each)

    for each in examine(path):
        take(each)
    try:
        config = load_config(path)
    except SpecError:  # told above
        return found
    identity, rows = _known(config)
    machines = Machines(here(config, identity))
    try:
        async for each in both(load_pools(config.pools).pools, rows, machines.here, machines.host, examiners):
            take(each)
    finally:
        await machines.close()
    return found


def _known(config: "Config") -> "tuple[Identity, list[Instance]]":
    """Whose database it is, and the machines that live; nothing where it is not there or of no use."""
    from reconciler.cli.checks import looked_at
    from reconciler.cli.deployment import is_missing
    from reconciler.model.rows import Identity
    from reconciler.store.errors import StoreError

    if not is_missing(config):
        try:
            with looked_at(config) as seen:
                if seen.identity is not None and seen.is_current:
                    return seen.identity, seen.rows.instances()
        except StoreError:  # told by its own check
            pass
    return Identity(config.controller, "", 0.0), []


def _line(found: "Found") -> "Text":
    """One check on a terminal."""
    from rich.text import Text

    return Text.assemble(
        cell(f"{found.check:<{WIDTH}}  "), cell(f"{found.result:<15}  ", dict(STYLES)[found.result]), cell(found.text)
    )
