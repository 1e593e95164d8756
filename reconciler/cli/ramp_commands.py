"""RAMP's own commands, thin: they read RAMP's files and hand over to the loop. Killed and started again they resume.

`ramp_aws_train` and `ramp_aws_train_loop` are ramp-backend's; `ramp-launch` is ramp-engine 0.10.1's, with its options.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import click

from reconciler.cli.failing import told
from reconciler.cli.ramp_train import Until, Wanted, serve, train
from reconciler.compat.ramp_config import RampDeployment, read, read_all

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_FILE = click.Path(path_type=Path)


def _hand_over(deployments: Sequence[RampDeployment], until: Until, wanted: Wanted | None = None) -> None:
    """Say what changed, then run; ends with the loop's status."""
    for note in (note for each in deployments for note in each.notes):
        click.echo(note, err=True)
    with told():
        status = train(deployments[0], wanted) if wanted else serve(deployments, until)
    raise click.exceptions.Exit(status)


@click.command("ramp_aws_train", context_settings=_SETTINGS)
@click.argument("config", type=_FILE)
@click.argument("submission_id", type=int, required=False)
@click.option("--event", help="The event's name; without it, the file's.")
@click.option("--team", default="", help="The team's name.")
@click.option("--name", default="", help="The submission's name.")
@click.option("--instance-id", default="", help="Train on this machine, and leave it running.  [default: a new one]")
def ramp_aws_train(
    config: Path, submission_id: int | None, event: str | None, team: str, name: str, instance_id: str
) -> None:
    """Train one submission on EC2, by its id or by --event, --team and --name. Exit status 1 when it failed."""
    by_name = [bool(event), bool(team), bool(name)]
    if submission_id is None and not all(by_name):
        raise click.UsageError("name the submission: by its id, or with --event, --team and --name")
    if submission_id is not None and any(by_name):
        raise click.UsageError("name the submission one way: by its id, or with --event, --team and --name")
    with told():
        found = [read(config, event=event)]
    wanted = Wanted(submission_id=submission_id, team=team, name=name, instance_id=instance_id)
    _hand_over(found, Until.SETTLED, wanted)


@click.command("ramp_aws_train_loop", context_settings=_SETTINGS)
@click.argument("config", type=_FILE)
@click.option("--event", help="The event's name; without it, the file's.")
def ramp_aws_train_loop(config: Path, event: str | None) -> None:
    """Train every new submission of the event on EC2, until it is stopped."""
    with told():
        found = [read(config, event=event)]
    _hand_over(found, Until.STOPPED)


@click.group("ramp-launch", context_settings=_SETTINGS)
def ramp_launch() -> None:
    """Process RAMP submissions."""


def _verbose(_ctx: click.Context, _parameter: click.Parameter, value: int) -> int:
    """-v shows the log, -vv all of it."""
    if value:
        logging.basicConfig(level=logging.INFO if value == 1 else logging.DEBUG)
    return value


_verbose_option = click.option(
    "-v", "--verbose", count=True, expose_value=False, callback=_verbose, help="The log; twice, all of it."
)
_config_option = click.option(
    "--config", type=_FILE, default="config.yml", show_default=True, help="The file that says where the database is."
)


@ramp_launch.command()
@_config_option
@click.option("--event-config", type=_FILE, required=True, help="The event's file.")
@_verbose_option
def dispatcher(config: Path, event_config: Path) -> None:
    """Train every new submission of an event, on what its file says."""
    with told():
        files = [event_config] if config.absolute() == event_config.absolute() else [config, event_config]
        found = read(*files)
    _hand_over([found], Until.SETTLED if found.ends else Until.STOPPED)


@ramp_launch.command()
@_config_option
@click.option("--events-dir", type=_FILE, required=True, help="The folder of NAME/config.yml files, one an event.")
@_verbose_option
def daemon(config: Path, events_dir: Path) -> None:
    """Train every new submission of all the events in a folder, in one process."""
    with told():
        events = sorted(events_dir.glob("*/config.yml"))
        if not events:
            raise click.UsageError(f"no event lies in {events_dir}: name a folder of NAME/config.yml files")
        found = read_all([config, *events])
    _hand_over(found, Until.STOPPED)


@ramp_launch.command()
@click.option("--event-config", type=_FILE, default="config.yml", show_default=True, help="The event's file.")
@click.option("--submission", required=True, help="The name of the submission's folder.")
@_verbose_option
def worker(event_config: Path, submission: str) -> None:
    """Train one submission of the event's folder of submissions; no database hears of it."""
    with told():
        found = [read(event_config)]
    _hand_over(found, Until.SETTLED, Wanted(folder=submission))
