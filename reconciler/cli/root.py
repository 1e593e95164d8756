"""The command itself, and the table of its commands. Each is imported only when it is named.

Without a command it runs the reconciler.
"""

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import click

from reconciler.cli.failing import Stop, told
from reconciler.cli.options import config_option, examples


class Named(NamedTuple):
    """Where a command lives, the group that `--help` shows it in, and what it does in a line."""

    where: str
    group: str
    about: str


COMMANDS: Mapping[str, Named] = MappingProxyType(
    {
        "submit": Named("reconciler.cli.submit:submit", "Work", "Queue a copy of a folder as a submission."),
        "cancel": Named("reconciler.cli.submit:cancel", "Work", "Cancel submissions, queued or running."),
        "retry": Named(
            "reconciler.cli.submit:retry", "Work", "Submit again what has ended, or tell again what failed."
        ),
        "status": Named("reconciler.cli.status:status", "See", "Show pools, submissions and machines."),
        "show": Named("reconciler.cli.show:show", "See", "Explain one submission or instance: where, why, what next."),
        "logs": Named("reconciler.cli.logs:logs", "See", "Print the log of a submission, or of a machine's setup."),
        "history": Named("reconciler.cli.history:history", "See", "List every transition there was."),
        "pools": Named(
            "reconciler.cli.machines:pools", "See", "List pools: sizes, machines, what waits, what it costs."
        ),
        "instances": Named("reconciler.cli.machines:instances", "See", "List machines, their age and what they cost."),
        "ssh": Named("reconciler.cli.ssh:ssh", "See", "Open a shell on a machine, or run a command there."),
        "drain": Named("reconciler.cli.tend:drain", "Tend", "Give a machine no new work; it ends when it is empty."),
        "terminate": Named("reconciler.cli.tend:terminate", "Tend", "End machines at once."),
        "stop": Named("reconciler.cli.tend:stop", "Tend", "Stop machines and keep their disks."),
        "start": Named("reconciler.cli.tend:start", "Tend", "Start stopped machines."),
        "adopt": Named(
            "reconciler.cli.adopt:adopt", "Tend", "Give rows to what is ours and has none: the database was lost."
        ),
        "destroy": Named("reconciler.cli.destroy:destroy", "Tend", "End every machine of this controller, everywhere."),
        "doctor": Named("reconciler.cli.doctor:doctor", "Tend", "Check what a run needs, here and in the cloud."),
        "convert": Named("reconciler.cli.convert:convert", "Tend", "Print RAMP's config files as our own."),
        "init": Named("reconciler.cli.init:init", "Tend", "Write a config, a pool and a sample submission."),
    }
)


class Lazy(Mapping[str, click.Command]):
    """The commands by name, each imported when it is asked for."""

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = COMMANDS[name].where.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Root(click.Group):
    """A group whose commands are imported when they are named, and whose errors are told to people."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.commands = cast("MutableMapping[str, click.Command]", Lazy())

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Every command, in the table's order."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table, without importing anything."""
        width = max(map(len, COMMANDS))
        for group in dict.fromkeys(command.group for command in COMMANDS.values()):
            with formatter.section(group):
                formatter.write_dl(
                    [(f"{name:<{width}}", each.about) for name, each in COMMANDS.items() if each.group == group]
                )

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and end with a message and an exit status where something goes wrong."""
        with told():
            return super().invoke(ctx)


@click.group(
    cls=Root,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "reconcile init local my-runs && cd my-runs",
        "reconcile --until-settled",
        "reconcile --config iris.yml --dry-run",
        "reconcile status --config iris.yml",
    ),
)
@config_option(run=True)
@click.option("--once", is_flag=True, help="Go as far as it goes without waiting, then exit: for cron.")
@click.option("--until-settled", is_flag=True, help="Exit once every submission has ended and pools are at their size.")
@click.option("--dry-run", is_flag=True, help="Print what the next pass would do; change nothing.")
@click.option("-q", "--quiet", is_flag=True, help="No progress; errors, and the table at the end, only.")
@click.option("-v", "--verbose", is_flag=True, help="The log, on standard error.")
@click.version_option(package_name="ec2-reconciler", prog_name="reconcile")
@click.pass_context
def root(ctx: click.Context, *, once: bool, until_settled: bool, dry_run: bool, quiet: bool, verbose: bool) -> None:
    """Make the machines that should exist exist, and run the submissions that should run.

    Without a command it runs until it is stopped; jobs and machines go on without it, and the next start carries on.
    Exit status: 0 settled, 3 work still in flight or something set aside, 1 it could not do its work, 2 wrong usage
    or configuration.
    """
    from reconciler.cli.reporting import printed_log

    ctx.with_resource(printed_log(quiet=quiet, verbose=verbose))
    modes = [
        name for name, given in (("--once", once), ("--until-settled", until_settled), ("--dry-run", dry_run)) if given
    ]
    if ctx.invoked_subcommand:
        if modes:
            raise click.UsageError(f"{modes[0]} goes without a command; {ctx.invoked_subcommand} is one")
        return
    if len(modes) > 1:
        raise click.UsageError(f"{modes[0]} and {modes[1]} exclude each other")
    from reconciler.cli.run import Mode, run

    status = run(ctx, Mode(modes[0].strip("-") if modes else "forever"), quiet=quiet)
    if status:
        raise Stop(status)
