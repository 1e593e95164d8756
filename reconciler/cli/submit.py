"""`submit`, `cancel` and `retry`: what people ask of their submissions. A running loop hears of it at once."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from reconciler.cli.completing import submission_names
from reconciler.cli.failing import USAGE, Stop
from reconciler.cli.options import command, config_option, config_path, json_option
from reconciler.cli.printing import plain, print_json, say

if TYPE_CHECKING:
    from reconciler.cli.deployment import Deployment
    from reconciler.model.rows import Submission

# What an option is called in submission.yml → what it is called here.
FLAGS: Mapping[str, str] = MappingProxyType(
    {"pool": "--pool", "instance_types": "--type", "priority": "--priority", "limit": "--limit", "env": "--env"}
)
NOTHING: tuple[object, ...] = (None, (), {})  # of an option that was not given


@command(
    "submit",
    "reconcile submit my-work",
    "reconcile submit my-work --pool cpu --priority 5 --limit 2h",
    "reconcile submit my-work --name again --type c5.xlarge --env SEED=7",
)
@config_option()
@json_option()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-p", "--pool", metavar="POOL", help="The pool that runs it.  [default: the queue's, or the only one]")
@click.option("-n", "--name", metavar="NAME", help="What to call it.  [default: the folder's name]")
@click.option("--priority", metavar="N", type=int, help="The highest goes first.  [default: 0]")
@click.option("--limit", metavar="TIME", help="Its time limit, such as 90s, 10m, 12h.  [default: the pool's]")
@click.option(
    "--type", "types", metavar="TYPE", multiple=True, help="Run on this type of machine only; may be repeated."
)
@click.option("--env", metavar="NAME=VALUE", multiple=True, help="An environment variable for it; may be repeated.")
@click.pass_context
def submit(
    ctx: click.Context,
    folder: Path,
    *,
    as_json: bool,
    pool: str | None,
    name: str | None,
    priority: int | None,
    limit: str | None,
    types: tuple[str, ...],
    env: tuple[str, ...],
) -> None:
    """Queue a copy of FOLDER as a submission.

    What is given here goes before what a submission.yml in the folder says.
    """
    from reconciler.api import checked, enqueue
    from reconciler.wiring import open_store, read_config

    config, specs = read_config(config_path(ctx))
    asked = _asked(
        {"pool": pool, "instance_types": types, "priority": priority, "limit": limit, "env": _variables(env)}
    )
    arrival = checked(config, specs.desired().pools, folder, name=name, asked=asked)
    with closing(open_store(config)) as store:
        row = enqueue(config, store, folder, arrival)
    if as_json:
        print_json({"id": row.id, "name": row.name, "label": row.label, "pool": row.pool})
    else:
        say(f"submission {row.label} is queued for pool {row.pool} (id {row.id})")


def _asked(given: Mapping[str, object]) -> Mapping[str, object]:
    """The options that were given, by the rules of submission.yml. Ends with status 2, and names the option."""
    from reconciler.spec.options import KINDS
    from reconciler.spec.structure import Findings, structure
    from reconciler.spec.values import SubmissionOptions

    said = {
        key: list(value) if isinstance(value, tuple) else value for key, value in given.items() if value not in NOTHING
    }
    try:
        options: SubmissionOptions = structure(said, SubmissionOptions, KINDS)
    except Findings as found:
        messages = (f"{FLAGS[each.path[0]]}: {each.what}; {each.hint}" for each in found.findings)
        raise Stop(USAGE, *messages) from found
    return {key: getattr(options, key) for key in said}


def _variables(given: Sequence[str]) -> Mapping[str, str]:
    """NAME=VALUE pairs. Ends with status 2 for what is none."""
    pairs = [text.partition("=") for text in given]
    for name, equals, _ in pairs:
        if not equals:
            raise Stop(USAGE, f"--env {plain(name)}: write NAME=VALUE")
    return {name: value for name, _, value in pairs}


@command("cancel", "reconcile cancel good", "reconcile cancel good better-2 9f0c2a9b1d")
@config_option()
@click.argument("names", nargs=-1, required=True, metavar="NAME…", shell_complete=submission_names)
@click.pass_context
def cancel(ctx: click.Context, names: Sequence[str]) -> None:
    """Cancel submissions, queued or running. A running one's processes are ended, and what it wrote comes home."""
    from reconciler import api
    from reconciler.cli.deployment import looking

    with looking(ctx) as deployment:
        for row in _meant(deployment, names):
            api.cancel(deployment.store, row)
            say(f"submission {row.label} is to be cancelled")


@command("retry", "reconcile retry raises", "reconcile retry --deliveries", "reconcile retry --deliveries good")
@config_option()
@click.argument("names", nargs=-1, metavar="[NAME…]", shell_complete=submission_names)
@click.option("--deliveries", is_flag=True, help="Tell again what sinks and hooks did not take: of NAMEs, or all.")
@click.pass_context
def retry(ctx: click.Context, names: Sequence[str], *, deliveries: bool) -> None:
    """Submit again what has ended, as new submissions of the same content; or try failed deliveries again."""
    if not names and not deliveries:
        raise click.UsageError("name what to retry, or say --deliveries")
    from reconciler import api
    from reconciler.cli.deployment import looking

    with looking(ctx) as deployment:
        rows = _meant(deployment, names)
        if deliveries:
            ids = [row.id for row in rows]
            given_up = deployment.store.deliveries(submission_ids=ids, states=["given up"])
            count = api.retry_deliveries(deployment.store, given_up)
            say(f"{count} {'delivery is' if count == 1 else 'deliveries are'} tried again")
            return
        for row in rows:
            born = api.retry(deployment.config, deployment.store, row)
            say(f"submission {born.label} is queued for pool {born.pool}: {row.label} again (id {born.id})")


def _meant(deployment: "Deployment", names: Sequence[str]) -> list["Submission"]:
    """The submissions that were named, each once; all must be there before anything is done to one."""
    found = {row.id: row for row in (deployment.submission(name) for name in names)}
    return list(found.values())
