"""Everything that reaches a terminal goes through here: names, messages and logs are other people's text.

A terminal obeys escape sequences, and rich obeys [markup]; neither may come from what somebody submitted. Tables are
made for 80 columns; in a pipe they are as wide as they like, so that nothing is cut off, and have no colour.
"""

import codecs
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_WIDE = 1000  # columns of a table that nobody looks at on a terminal
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))

# State → how it looks. What is not named looks plain.
STYLES: Mapping[str, str] = MappingProxyType(
    {
        "succeeded": "green",
        "delivered": "green",
        "ready": "green",
        "running": "cyan",
        "failed": "red",
        "given up": "red",
        "cancelled": "yellow",
        "terminated": "dim",
        "stopped": "dim",
        "queued": "dim",
    }
)


def plain(text: object) -> str:
    r"""One line of text without anything that a terminal would obey: such characters become \x1b and the like."""
    return "".join(char if char.isprintable() else _escaped(char) for char in str(text))


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", errors="backslashreplace").decode("ascii")


def plain_lines(text: str) -> str:
    """Text of several lines, likewise; tabs stay, and a carriage return ends a line, as progress bars use it."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join("\t".join(plain(part) for part in line.split("\t")) for line in lines)


class LogText:
    """Turns the bytes of a log, as they come in pieces, into text that may be printed."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._returned = False  # the last piece ended with a carriage return; a newline may follow

    def feed(self, piece: bytes, *, last: bool = False) -> str:
        """The printable text of a piece; a character cut in two waits for the next."""
        text = ("\r" if self._returned else "") + self._decoder.decode(piece, final=last)
        self._returned = text.endswith("\r") and not last
        return plain_lines(text[:-1] if self._returned else text)


def say(text: object = "") -> None:
    """A line for people."""
    click.echo(plain(text))


def warn(text: object) -> None:
    """A line beside the output."""
    click.echo(plain(text), err=True)


def print_json(value: Any) -> None:
    """A value for programs, on one line. All that is not ASCII is escaped, so a terminal is safe too."""
    click.echo(json.dumps(value, ensure_ascii=True))


def console() -> "Console":
    """Standard output, where nothing is markup. Tables in a pipe are not cut to a terminal's width."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(markup=False, emoji=False, highlight=False, width=width)


def cell(value: object, style: str = "") -> "Text":
    """Text for a table, with a style only if we say so."""
    from rich.text import Text

    return Text(plain(value), style=style)


def state_cell(state: str) -> "Text":
    """A state in its colour."""
    return cell(state, STYLES.get(state, ""))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, fold: Sequence[str] = ()) -> "Table":
    """A table without lines. Columns named in `fold` give way first when it gets narrow, and go on below."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        folds = column in fold
        made.add_column(Text(column), no_wrap=not folds, overflow="fold" if folds else "ellipsis")
    for row in rows:
        made.add_row(*(value if isinstance(value, Text) else cell(value) for value in row))
    return made


def show(made: "Table") -> None:
    """Print a table, if it has rows."""
    if not made.row_count:
        return
    out = console()
    if out.is_terminal:
        out.print(made)
        return
    with out.capture() as captured:
        out.print(made)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def lasting(seconds: float) -> str:
    """A duration as people say it: 12s, 3m, 2h5m, 4d."""
    left = max(0, int(seconds))
    at = next((at for at, (size, _) in enumerate(_UNITS) if left >= size), len(_UNITS) - 1)
    size, unit = _UNITS[at]
    text = f"{left // size}{unit}"
    if unit in "hd" and (rest := left % size // _UNITS[at + 1][0]):
        text += f"{rest}{_UNITS[at + 1][1]}"
    return text


def clock(at: float) -> str:
    """A time of day here, in seconds: for lines of what happens now."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def when(at: float, now: float) -> str:
    """A time that lies ahead or behind, as people ask for it: in 12s (11:03:04), 3m ago (…)."""
    form = "%H:%M:%S" if abs(at - now) < _UNITS[0][0] / 2 else "%Y-%m-%d %H:%M:%S"
    hour = time.strftime(form, time.localtime(at))
    return f"in {lasting(at - now)} ({hour})" if at > now else f"{lasting(now - at)} ago ({hour})"


def iso(at: float) -> str:
    """A time for tables, short: UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def number(value: object) -> str:
    """A score, short."""
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


def columns_of(lines: Iterable[tuple[str, object]]) -> Iterator[str]:
    """Labels and what belongs to them, the second part aligned."""
    known = list(lines)
    width = max((len(label) for label, _ in known), default=0)
    for label, value in known:
        yield f"{label:<{width}}  {value}".rstrip()
