"""`init`: a config, a pool and a sample submission to start from. It never writes over a file.

What it writes lies in `templates/`, a folder a kind. A template's name ends in .template, so that no tool of ours
takes it for a part of the program.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import click

from reconciler.cli.failing import USAGE, Stop
from reconciler.cli.options import command
from reconciler.cli.printing import say

SUFFIX = ".template"
TEMPLATES = Path(__file__).parent / "templates"

# Kind → what it is for, or why it is not there.
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "local": "any script, on this computer",
        "ramp": "a RAMP kit, on this computer; its machine installs ramp-workflow from the network",
        "ec2": "comes with the ec2 cloud, which this version does not have",
    }
)


@command("init", "reconcile init", "reconcile init ramp my-ramp", "cd my-ramp && reconcile --until-settled")
@click.argument("kind", type=click.Choice(list(KINDS)), default="local")
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
def init(kind: str, folder: Path) -> None:
    """Write a config, a pool and a sample submission into FOLDER, or into this one. Never over a file.

    KIND is local (any script, on this computer; what you get without it) or ramp (a RAMP kit, on this computer).
    """
    files = dict(templates(kind))
    if not files:
        raise Stop(USAGE, f"init {kind}: {KINDS[kind]}; `reconcile init local` and `reconcile init ramp` are there")
    there = dict.fromkeys(str(path) for name in files for path in _in_the_way(folder, name))
    if there:
        raise Stop(USAGE, f"nothing was written: {', '.join(there)} would be written over; name another folder")
    for name, source in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(source.read_text(encoding="utf-8"))
        say(f"wrote {target}")
    inside = "" if folder == Path() else f"cd {folder} && "
    say(f"next: {inside}reconcile --until-settled")


def _in_the_way(folder: Path, name: Path) -> Iterator[Path]:
    """What would be written over, or is a file where a folder has to be."""
    target = folder / name
    if target.exists() or target.is_symlink():
        yield target
    yield from (above for above in target.parents if above.exists() and not above.is_dir())


def templates(kind: str) -> Iterator[tuple[Path, Path]]:
    """Path in the new folder, and the template that it is made from."""
    root = TEMPLATES / kind
    for source in sorted(root.rglob(f"*{SUFFIX}")):
        relative = source.relative_to(root)
        yield relative.with_name(relative.name.removesuffix(SUFFIX)), source
