"""`drain`, `terminate`, `stop` and `start`: what somebody asks of machines by name. The loop sees to it.

Who asks is shown what runs there first; without a terminal, only `--yes` says that somebody meant it.
"""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from reconciler.cli.completing import instance_names
from reconciler.cli.failing import USAGE, Stop
from reconciler.cli.options import command, config_option, yes_option
from reconciler.cli.printing import plain, say

if TYPE_CHECKING:
    from reconciler.cli.deployment import Deployment
    from reconciler.model.rows import Instance
    from reconciler.store.store import Store


@command("drain", "reconcile drain cpu-4f0c2a9b1d", "reconcile drain i-0abc1234 --yes")
@config_option()
@click.argument("instance", shell_complete=instance_names)
@yes_option()
@click.pass_context
def drain(ctx: click.Context, instance: str, *, yes: bool) -> None:
    """Give a machine no new work; it ends when it is empty. Its pool may buy another in its place."""
    from reconciler import api
    from reconciler.cli.deployment import looking

    with looking(ctx) as deployment:
        row = deployment.instance(instance)
        if not yes and sys.stdin.isatty():
            confirm(deployment, [row], "drain")
        api.drain(deployment.store, row)
        say(f"instance {row.id} is drained: it takes no new work, and ends when nothing is on it")


@command("terminate", "reconcile terminate cpu-4f0c2a9b1d", "reconcile terminate i-0abc1234 i-0abc5678 --yes")
@config_option()
@click.argument("instances", nargs=-1, required=True, metavar="INSTANCE…", shell_complete=instance_names)
@yes_option()
@click.pass_context
def terminate(ctx: click.Context, instances: Sequence[str], *, yes: bool) -> None:
    """End machines at once. What runs on them is ended, and is tried again elsewhere.

    Results that are not home yet are lost with the machine; `reconcile drain` waits for them. A pool below its size
    buys another machine.
    """
    from reconciler.api import terminate as ask_for

    _tend(ctx, instances, "terminate", ask_for, "ended", yes=yes)


@command("stop", "reconcile stop cpu-4f0c2a9b1d", "reconcile stop i-0abc1234 --yes")
@config_option()
@click.argument("instances", nargs=-1, required=True, metavar="INSTANCE…", shell_complete=instance_names)
@yes_option()
@click.pass_context
def stop(ctx: click.Context, instances: Sequence[str], *, yes: bool) -> None:
    """Stop machines and keep their disks. What runs on them may end first; then they take no new work.

    A stopped machine costs its disk only. It stays so until `reconcile start`, and counts against its pool's maximum.
    """
    from reconciler.api import stop as ask_for

    _tend(ctx, instances, "stop", ask_for, "stopped", yes=yes)


@command("start", "reconcile start cpu-4f0c2a9b1d", "reconcile start i-0abc1234 --yes")
@config_option()
@click.argument("instances", nargs=-1, required=True, metavar="INSTANCE…", shell_complete=instance_names)
@yes_option()
@click.pass_context
def start(ctx: click.Context, instances: Sequence[str], *, yes: bool) -> None:
    """Start stopped machines. They cost money again, until they have been idle for their pool's time."""
    from reconciler.api import start as ask_for

    _tend(ctx, instances, "start", ask_for, "started", yes=yes)


def _tend(
    ctx: click.Context, names: Sequence[str], verb: str, ask_for: "Callable[[Store, Instance], None]", done: str, *,
    yes: bool,
) -> None:  # fmt: skip
    """Ask for one thing of every machine that was named."""
    from reconciler.cli.deployment import looking

    with looking(ctx) as deployment:
        for row in _asked(deployment, names, verb, yes=yes):
            ask_for(deployment.store, row)
            say(f"instance {row.id} is to be {done}")


def _asked(deployment: "Deployment", names: Sequence[str], verb: str, *, yes: bool) -> list["Instance"]:
    """The machines that were named, each once, all of them there, and after asking."""
    rows = list({row.id: row for row in (deployment.instance(name) for name in names)}.values())
    if not yes:
        if not sys.stdin.isatty():
            raise Stop(USAGE, f"nobody can be asked here: say `reconcile {verb} … --yes`")
        confirm(deployment, rows, verb)
    return rows


def confirm(deployment: "Deployment", rows: Sequence["Instance"], verb: str) -> None:
    """Show machines and what runs on each, and ask. Ends the command where the answer is no."""
    from reconciler.cli.status import busy

    on = busy(deployment)
    for row in rows:
        whose = ", bought by somebody else" if row.adopted else ""
        work = f": {on[row.id]} is on it" if row.id in on else ": nothing is on it"
        say(f"{row.id} ({row.type}, {row.state}, {row.cloud_id or 'not bound yet'}{whose}){work}")
    click.confirm(plain(f"{verb} {rows[0].id if len(rows) == 1 else f'these {len(rows)} machines'}?"), abort=True)
