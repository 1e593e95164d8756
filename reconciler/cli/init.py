"""`init`: a config, a pool and a sample submission to start from. It never writes over a file.

What it writes lies in `templates/`, a folder a kind. A template's name ends in .template, so that no tool of ours
takes it for a part of the program. `@NAME@` in it is the controller's name, made of the folder's.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import click

from reconciler.cli.failing import USAGE, Stop
from reconciler.cli.options import command
from reconciler.cli.printing import say

SUFFIX = ".template"
NAME = "@NAME@"
UNNAMED = "runs"  # what a name begins with that does not begin with a letter
LONGEST = 63  # characters of a controller's name
TEMPLATES = Path(__file__).parent / "templates"


class Kind(NamedTuple):
    """What a kind of deployment is for, and what to do once it is written."""

    about: str
    next: str  # the command
    first: str = ""  # what comes before it


RUN = "reconcile --until-settled"

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "local": Kind("any script, on this computer", RUN),
        "ramp": Kind("a RAMP kit, on this computer; its machine installs ramp-workflow from the network", RUN),
        "ec2": Kind("any script, on machines of Amazon EC2", "reconcile doctor", first="fill in specs/ec2.yml, then "),
        "ssh": Kind(
            "any script, on machines that are simply there", "reconcile doctor", first="fill in specs/ssh.yml, then "
        ),
    }
)


@command(
    "init",
    "reconcile init",
    "reconcile init ramp my-ramp && cd my-ramp && reconcile --until-settled",
    "reconcile init ec2 my-runs && cd my-runs && reconcile doctor",
)
@click.argument("kind", type=click.Choice(list(KINDS)), default="local")
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
def init(kind: str, folder: Path) -> None:
    """Write a config, a pool and a sample submission into FOLDER, or into this one. Never over a file.

    KIND is local (any script, on this computer; what you get without it), ramp (a RAMP kit, on this computer), ec2 (any
    script, on machines of Amazon EC2) or ssh (any script, on machines that are simply there).
    """
    files = dict(templates(kind))
    there = dict.fromkeys(str(path) for name in files for path in _in_the_way(folder, name))
    if there:
        raise Stop(USAGE, f"nothing was written: {', '.join(there)} would be written over; name another folder")
    controller = controller_of(folder)
    for name, source in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(source.read_text(encoding="utf-8").replace(NAME, controller))
        say(f"wrote {target}")
    inside = "" if folder == Path() else f"cd {folder} && "
    say(f"next: {KINDS[kind].first}{inside}{KINDS[kind].next}")


def controller_of(folder: Path) -> str:
    """A name for the deployment in a folder, made of the folder's. It begins with a letter, so that YAML sees text."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).strip("._-")
    name = plain if plain[:1].isalpha() and plain not in ("true", "false", "null") else f"{UNNAMED}-{plain}"
    return name[:LONGEST].rstrip("._-")


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
