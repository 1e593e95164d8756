"""Options that several commands share, and how they find their config.yml."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from reconciler.cli.failing import USAGE, Stop

DEFAULT = "config.yml"
VARIABLE = "RECONCILER_CONFIG"
_SHOWN = 60  # characters of a name that is too long
_GIVEN = "reconciler.cli.config"  # in the context's meta, which a command shares with the group

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(*, run: bool = False) -> Callable[[Command], Command]:
    """`--config`, before or after the command; the one after it wins. A run may serve several."""

    def remember(ctx: click.Context, _: click.Parameter, value: tuple[str, ...]) -> None:
        if value:
            ctx.meta[_GIVEN] = value

    return click.option(
        "-c",
        "--config",
        metavar="FILE",
        envvar=VARIABLE if run else None,
        type=click.Path(),
        multiple=True,
        expose_value=False,
        callback=remember,
        help=f"The deployment{', or several' if run else ''}.  [default: {DEFAULT} here, or what {VARIABLE} names]",
    )


def json_option() -> Callable[[Command], Command]:
    """`--json`, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="For programs.")


def yes_option() -> Callable[[Command], Command]:
    """`--yes`."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")


def config_path(ctx: click.Context) -> Path:
    """The config.yml that was meant. Ends with status 2 where none, or more than one, was named. Raises SpecError.

    RAMP's files are translated: the path is that of the translation.
    """
    import os

    from reconciler.compat.translated import served, translated

    found = served(config_paths(ctx))
    if len(found) > 1:
        named = (str(each) if isinstance(each, Path) else f"the event {each.event}" for each in found)
        raise Stop(USAGE, f"one --config at a time; you named {', '.join(named)}")
    return found[0] if isinstance(found[0], Path) else translated(found[0], os.environ)


def config_paths(ctx: click.Context) -> tuple[Path, ...]:
    """Every config.yml that was meant. Ends with status 2 where none was named and none is here."""
    given: tuple[str, ...] = ctx.meta.get(_GIVEN, ())
    import os.path

    if not given and not os.path.lexists(DEFAULT):
        raise Stop(
            USAGE, f"there is no {DEFAULT} here: name one with --config FILE, or write one with `reconcile init`"
        )
    return tuple(_named(Path(name)) for name in dict.fromkeys(given or (DEFAULT,)))


def _named(path: Path) -> Path:
    """A path that can be looked at. What is not there is told by whoever reads it. Ends with status 2."""
    import errno
    import os.path

    try:
        path.stat()
    except OSError as error:
        if os.path.islink(path):  # noqa: PTH114 (Path.is_symlink raises for some names)
            message = f"{path}: is a link that leads nowhere ({error.strerror}): mend it, or name another file"
            raise Stop(USAGE, message) from error
        if error.errno == errno.ENAMETOOLONG:
            raise Stop(USAGE, f"--config {str(path)[:_SHOWN]}…: {error.strerror}") from error
    return path


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def command(name: str, *lines: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A command of ours: its help ends with examples, and -h asks for it."""
    return click.command(
        name,
        epilog=examples(*lines),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
