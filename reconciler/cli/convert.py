"""`convert`: RAMP's config files as our own. What it prints or writes loads to what `--config` makes of RAMP's."""

from collections.abc import Mapping
from pathlib import Path

import click

from reconciler.cli.failing import USAGE, Stop
from reconciler.cli.options import command
from reconciler.cli.printing import plain_lines, say


@command(
    "convert",
    "reconcile convert config.yml",
    "reconcile convert config.yml --to iris",
    "reconcile convert /mnt/ramp_data/events --to deployments",
)
@click.argument("files", metavar="FILE…", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--to", metavar="FOLDER", type=click.Path(path_type=Path), help="Write the files there; never over one.")
def convert(files: tuple[Path, ...], to: Path | None) -> None:
    """Print RAMP's config files as config.yml and pool spec files of our own, with comments on what changed.

    FILE is an event's file, a database's file beside it, or RAMP's events folder. Several events get a folder each.
    Secrets become ${NAME}, with a line on what to export.
    """
    from reconciler.compat.converted import files as converted
    from reconciler.compat.ramp_config import read_all

    found = read_all(files)
    written = {
        Path(each.config.controller if len(found) > 1 else "", name): text
        for each in found
        for name, text in converted(each).items()
    }
    if to is None:
        for index, (name, text) in enumerate(written.items()):
            click.echo(plain_lines(("\n" if index else "") + f"# {name}\n{text}"), nl=False)
    else:
        _write(to, written)


def _write(folder: Path, texts: Mapping[Path, str]) -> None:
    """All of the files, or none."""
    there = [str(folder / name) for name in texts if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        raise Stop(USAGE, f"nothing was written: {', '.join(there)} would be written over; name another folder")
    for name, text in texts.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
        say(f"wrote {target}")
