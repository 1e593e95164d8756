"""`logs`: a submission's log, from its results once they are home, from its machine before that."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.completing import either_name
from reconciler.cli.options import command, config_option
from reconciler.cli.printing import LogText, warn

if TYPE_CHECKING:
    from reconciler.cli.deployment import Deployment
    from reconciler.model.rows import Attempt, Instance, Submission

AGAIN = 0.5  # seconds between looks for a log that is not there yet
_PIECE = 256 * 1024


@command("logs", "reconcile logs good", "reconcile logs -f good", "reconcile logs cpu-4f0c2a9b1d")
@config_option()
@click.argument("name", shell_complete=either_name)
@click.option("-f", "--follow", is_flag=True, help="Go on until it is over; wait for it where it has not begun.")
@click.option("--try", "number", metavar="N", type=click.IntRange(min=1), help="Of this attempt.  [default: the last]")
@click.pass_context
def logs(ctx: click.Context, name: str, *, follow: bool, number: int | None) -> None:
    """Print the log of a submission, or of a machine's setup where NAME is an instance.

    What a terminal would obey is made visible instead; the log itself lies in the results folder as it was written.
    """
    from reconciler.cli.deployment import looking
    from reconciler.model.rows import Submission

    with looking(ctx) as deployment:
        row = deployment.either(name)
        read = (
            _of_submission(deployment, row, number, follow=follow)
            if isinstance(row, Submission)
            else _of_setup(deployment, row, follow=follow)
        )
        with contextlib.suppress(KeyboardInterrupt):  # the way to end -f
            asyncio.run(_print(read))


async def _print(pieces: AsyncIterator[bytes]) -> None:
    text = LogText()
    async for piece in pieces:
        click.echo(text.feed(piece), nl=False)
        sys.stdout.flush()
    click.echo(text.feed(b"", last=True), nl=False)


async def _of_submission(
    deployment: "Deployment", row: "Submission", number: int | None, *, follow: bool
) -> AsyncGenerator[bytes]:
    attempt = await _attempt(deployment, row, number, follow=follow)
    if attempt is None:
        return
    sent = 0
    if attempt.closed is None:
        async with aclosing(_live(deployment, attempt, follow=follow)) as live:
            async for piece in live:
                sent += len(piece)
                yield piece
        current = deployment.store.attempt(attempt.id)
        attempt = current or attempt
    home = deployment.results(attempt)
    if home is not None:
        for piece in _stored(home / "log", sent):
            yield piece
    elif not sent:
        why = attempt.message or attempt.outcome or row.state
        warn(f"{row.label}: no log of attempt {attempt.number} is here: {why}")


async def _attempt(
    deployment: "Deployment", row: "Submission", number: int | None, *, follow: bool
) -> "Attempt | None":
    """The attempt whose log is meant; with `follow`, the first once there is one."""
    from reconciler.lifecycle.submission import SUBMISSION

    while True:
        tries = deployment.store.attempts_of([row.id])
        found = [each for each in tries if each.number == number or number is None]
        if found:
            return found[-1]
        if not follow or SUBMISSION.is_final(row.state):
            known = f"attempts 1 to {len(tries)}" if tries else "no attempt"
            warn(f"{row.label} is {row.state}: it had {known}" + (f"; {row.message}" if row.message else ""))
            return None
        await asyncio.sleep(AGAIN)
        row = deployment.submission(row.id)


async def _live(deployment: "Deployment", attempt: "Attempt", *, follow: bool) -> AsyncGenerator[bytes]:
    """From the machine, while it has it. What it no longer has is home, or is on its way."""
    from reconciler.hosts.base import HostRefusedError, UnreachableError

    instance = deployment.store.instance(attempt.instance_id)
    sent = 0
    while instance is not None:
        try:
            async with aclosing(_from_host(deployment, instance, attempt.id, skip=sent, follow=follow)) as pieces:
                async for piece in pieces:
                    sent += len(piece)
                    yield piece
        except (UnreachableError, HostRefusedError) as error:
            now = deployment.store.attempt(attempt.id)
            if now is None or now.closed is not None:
                return
            if not follow:
                warn(f"{instance.id} does not show it: {error}")
                return
            await asyncio.sleep(AGAIN)
        else:
            return


async def _from_host(
    deployment: "Deployment", instance: "Instance", job: str, *, follow: bool, skip: int = 0
) -> AsyncGenerator[bytes]:
    """A job's log from its machine, without the first `skip` bytes."""
    from reconciler.wiring import Machines, here

    machines = Machines(here(deployment.config, deployment.store.identity))
    try:
        async for piece in machines.host(instance).log(job, follow=follow):
            fresh = piece[skip:]
            skip = max(0, skip - len(piece))
            if fresh:
                yield fresh
    finally:
        await machines.close()


async def _of_setup(deployment: "Deployment", instance: "Instance", *, follow: bool) -> AsyncGenerator[bytes]:
    from reconciler.decide.instances import setup_job

    if not instance.cloud_id:
        warn(f"{instance.id} is {instance.state}: no machine is bound to it")
        return
    async with aclosing(_from_host(deployment, instance, setup_job(instance), follow=follow)) as pieces:
        async for piece in pieces:
            yield piece


def _stored(log: Path, skip: int) -> "list[bytes]":
    """What lies in the results, beyond what was shown already."""
    with log.open("rb") as file:
        file.seek(skip)
        return list(iter(lambda: file.read(_PIECE), b""))
