"""`adopt`: the database was lost, or is another; machines, what runs on them and what came home get rows again."""

import asyncio
import sys

import click

from reconciler.cli.failing import FAILED, USAGE, Stop
from reconciler.cli.options import command, config_option, config_path, yes_option
from reconciler.cli.printing import plain, say, warn


@command("adopt", "reconcile adopt", "reconcile adopt --config iris.yml --yes")
@config_option()
@yes_option()
@click.pass_context
def adopt(ctx: click.Context, *, yes: bool) -> None:
    """Bring back what is ours and has no row: machines, the submissions on them, and results that are home.

    Run it after the database was lost and before `reconcile` is started again: jobs that still run are found and not
    started a second time. Submissions that were queued by command and had not started are not remembered anywhere;
    those of a queue's folder are taken in again. Exit status: 0 all of it is back, 1 something could not be.
    """
    from reconciler import adoption
    from reconciler.wiring import open_store, read_config

    config, specs = read_config(config_path(ctx))
    store = open_store(config)
    try:
        found = asyncio.run(adoption.survey(config, specs.desired(), store))
        for line in adoption.lines(found):
            say(line)
        if found.steps and not yes:
            _ask(len(found.steps))
        done = adoption.adopt(store, found)
        say(f"{done} brought back" if found.steps else "there is nothing to bring back")
        for problem in found.problems:
            warn(problem)
        if found.problems or done < len(found.steps):
            raise Stop(FAILED)
    finally:
        store.close()


def _ask(count: int) -> None:
    """Ends the command where nobody can be asked."""
    if not sys.stdin.isatty():
        raise Stop(USAGE, "nobody can be asked here, and nothing was written: say `reconcile adopt --yes`")
    click.confirm(plain(f"write these {count}?"), abort=True)
