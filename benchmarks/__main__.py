"""`python -m benchmarks [ROW …]`: measures every row, or those that are named, and prints one table."""

import importlib
import os
import platform
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import click
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure

# A row's name → its module, whose `run` measures it.
ROWS: Mapping[str, str] = MappingProxyType(
    {
        "pass": "benchmarks.converged_pass",
        "latency": "benchmarks.latency",
        "slots": "benchmarks.slots_used",
        "statements": "benchmarks.further_submission",
        "help": "benchmarks.help",
        "ssh-reports": "benchmarks.ssh_reports",
        "ssh-outputs": "benchmarks.ssh_outputs",
        "ssh-jobs": "benchmarks.ssh_jobs",
        "ec2": "benchmarks.ec2_fifty",
        "ramp-killed": "benchmarks.ramp_killed",
    }
)
QUOTED = "others: dstack 0.22.5, quoted, unless named"


def measured(names: Sequence[str], console: Console) -> list[Figure]:
    """The figures of these rows, measured one after the other."""
    figures: list[Figure] = []
    for name in names:
        console.print(f"measuring {name} …", style="dim")
        figures += importlib.import_module(ROWS[name]).run()
    return figures


def table(figures: Sequence[Figure]) -> Table:
    """One line a figure."""
    shown = Table(box=box.MARKDOWN)
    for title in ("what", "measured", "to reach", "", QUOTED):
        shown.add_column(title, justify="left" if title in ("what", "") else "right", overflow="fold")
    for figure in figures:
        verdict = "reached" if figure.reached else "MISSED"
        shown.add_row(figure.what, figure.show(figure.measured), figure.goal, verdict, figure.quoted)
    return shown


@click.command()
@click.argument("rows", nargs=-1, type=click.Choice(list(ROWS)), metavar="[ROW]…")
def main(rows: tuple[str, ...]) -> None:
    """Measure ROWs, and print the table.

    Without any, all are measured: pass, latency, slots, statements, help, ssh-reports, ssh-outputs, ssh-jobs, ec2,
    ramp-killed. Those of ssh and ramp-killed need root and OpenSSH's server; RAMP's side of the last two needs
    RECONCILER_RAMP_ENGINE, a folder that holds ramp-engine. Exit status 1 when a number is missed. Leave the computer
    alone meanwhile: other work on it counts as ours.
    """
    console = Console(width=160)
    figures = measured(rows or tuple(ROWS), Console(stderr=True))
    console.print(f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}")
    console.print(table(figures))
    raise SystemExit(not all(figure.reached for figure in figures))


main()
