"""From a path to text, and from ruamel's complaints to ours: all that can be wrong before there is any YAML."""

import re
import stat
from pathlib import Path
from typing import Any

from attrs import frozen

from reconciler.spec.errors import Problem, SpecError

MOST_BYTES = 256 * 1024

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")

# What ruamel says → what to do about it.
_HINTS = (
    ("but got '{'", "put quotes around a value with a brace in it, such as '${NAME}', and close brackets"),
    ("mapping values are not allowed", "quote a value that holds ': ', or check the indentation"),
    ("expected <block end>", "check the indentation, and that a list's dashes stand in one column"),
    ("expected ',' or", "close the bracket, or put a comma between the values"),
    ("unexpected end of stream", "close the quote or the bracket"),
    ("expected the node content", "close the bracket"),
    ("could not find expected ':'", "put ': ' behind the key"),
    ("cannot start any token", "put quotes around the value"),
    ("version", "leave the %YAML line out"),
)


@frozen
class Place:
    """Where something stands in a file. Both count from 1."""

    line: int
    column: int


def read_text(file: Path) -> str:
    """The text of a file that somebody wrote. Raises SpecError for what is none: a folder, a giant, a binary."""
    data = _read(file)
    if len(data) > MOST_BYTES:
        raise _refused(file, Place(1, 1), f"the file is larger than {MOST_BYTES // 1024} KiB", "is it the right one?")
    if b"\0" in data:
        raise _refused(
            file, place_of(data, data.index(b"\0")), "the file is binary: it holds a NUL", "is it the right one?"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(file, place_of(data, error.start), "not UTF-8", "save the file as UTF-8") from error
    control = _CONTROL.search(text)
    if control:
        what = f"the control character U+{ord(control[0]):04X}"
        raise _refused(file, place_of(text, control.start()), what, "remove it")
    return text


def _read(file: Path) -> bytes:
    """At most one byte more than is allowed. Nothing but a regular file is opened: a FIFO would never answer."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise _refused(file, Place(1, 1), "not a file", "name a YAML file")
        with file.open("rb") as stream:
            return stream.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise _refused(file, Place(1, 1), "there is no such file", "check the path, or write the file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _refused(file, Place(1, 1), f"cannot be read: {reason}", "check the path and its permissions") from error


def _refused(file: Path, place: Place, what: str, hint: str) -> SpecError:
    return SpecError([Problem(file, place.line, place.column, what, hint)])


def place_of(content: Any, offset: int) -> Place:
    """Line and column of an offset into text or bytes."""
    newline = b"\n" if isinstance(content, bytes) else "\n"
    before = content[:offset]
    return Place(before.count(newline) + 1, offset - (before.rfind(newline) + 1) + 1)


def unreadable_yaml(file: Path, text: str, error: Exception) -> Problem:
    """A problem in our words for whatever ruamel raised."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or "a value that YAML does not allow"
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    tab = _indenting_tab(text, place.line)
    if tab is not None:
        return Problem(file, place.line, tab, "a tab indents this line", "YAML takes spaces only")
    hint = next((right for words, right in _HINTS if words in said), "check quotes, brackets and indentation here")
    return Problem(file, place.line, place.column, f"not YAML: {' '.join(said.split())}", hint)


def _indenting_tab(text: str, line: int) -> int | None:
    """The column of a tab in front of a line's text, if there is one."""
    lines = text.splitlines()
    if line > len(lines):
        return None
    start = lines[line - 1]
    indent = start[: len(start) - len(start.lstrip(" \t"))]
    return indent.index("\t") + 1 if "\t" in indent else None
