"""What is wrong with a file that somebody wrote, where, and what would be right. No secret is ever printed."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from attrs import field, frozen

_PASSWORD = re.compile(r"(://[^:/@\s]*):[^\s]*@")
_LONGEST = 60  # characters of a value that an error quotes


def redact(text: str) -> str:
    """The text without passwords in URLs, and without characters that a terminal would obey."""
    hidden = _PASSWORD.sub(r"\1:***@", text)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in hidden)


class Filled(str):
    """Text that came from the environment, in part at least. It may be secret: errors quote what the file says."""

    __slots__ = ("written",)
    written: str

    def __new__(cls, value: str, written: str) -> "Filled":
        """The text, and how the file wrote it."""
        text = super().__new__(cls, value)
        text.written = written
        return text


def shown(value: object) -> str:
    """A value as an error quotes it: short, on one line, without secrets."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = redact(value.written if isinstance(value, Filled) else value)
        return f"'{text if len(text) <= _LONGEST else text[:_LONGEST] + '…'}'"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else str(value)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is none of the known ones."""
    options = list(known)
    folded = {option.casefold().replace("_", " ").replace("-", " "): option for option in options}
    close = get_close_matches(word.casefold().replace("_", " ").replace("-", " "), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean {folded[close[0]]}?"
    return f"take one of: {', '.join(options)}"


@frozen
class Problem:
    """One thing that is wrong in a file. Line and column count from 1."""

    file: Path
    line: int
    column: int
    what: str = field(converter=redact)
    hint: str = field(default="", converter=redact)

    def __str__(self) -> str:
        where = f"{redact(str(self.file))}:{self.line}:{self.column}"
        return f"{where}: {self.what}; {self.hint}" if self.hint else f"{where}: {self.what}"


class SpecError(Exception):
    """A file cannot be used as it is. Carries all that was found, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda each: (str(each.file), each.line, each.column)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Wrong(ValueError):  # noqa: N818
    """A value is not what its key takes. The loader finds out where it stands."""

    def __init__(self, what: str, hint: str = "", *, at_key: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.at_key = at_key  # it is the key that is wrong, not the value
