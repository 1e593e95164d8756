"""`drain`: a machine takes no new work, and ends when nothing is on it."""

import sys

import click

from reconciler.cli.options import command, config_option
from reconciler.cli.printing import plain, say


@command("drain", "reconcile drain cpu-4f0c2a9b1d", "reconcile drain i-0abc1234 --yes")
@config_option()
@click.argument("instance")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def drain(ctx: click.Context, instance: str, *, yes: bool) -> None:
    """Give a machine no new work; it ends when it is empty. Its pool may buy another in its place."""
    from reconciler.api import drain as ask_for
    from reconciler.cli.deployment import looking

    with looking(ctx) as deployment:
        row = deployment.instance(instance)
        if not yes and sys.stdin.isatty():
            click.confirm(plain(f"drain {row.id} ({row.state}, {row.cloud_id or 'not bound yet'})?"), abort=True)
        ask_for(deployment.store, row)
        say(f"instance {row.id} is drained: it takes no new work, and ends when nothing is on it")
