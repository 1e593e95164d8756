"""The last words of a program that failed: the one line of a log or a traceback that says what went wrong."""

import os
import re
from pathlib import Path

from reconciler.model.printable import printable

_TAIL = 64 * 1024  # bytes from the end of a file that are looked at
_UNKNOWN = "\ufffd"  # what stands for bytes that are no text
_FRAME = re.compile(r'\s+File ".*", line \d+')
_MEANING = re.compile(r"\w")
_LAST = 1000  # characters at the end that tell text from other bytes
NO_TEXT = "its log ends in bytes that are no text"


def last_words(file: Path) -> str:
    """The line that says most of why a program failed, fit to be printed; empty when there is none to be read."""
    try:
        return telling_line(_tail(file))
    except OSError:
        return ""


def telling_line(text: str) -> str:
    """What the last Python traceback raised, else the last line with a word in it."""
    lines = [line for line in re.split(r"[\r\n]+", text) if _MEANING.search(printable(line)) and _is_text(line)]
    frames = [at for at, line in enumerate(lines) if _FRAME.match(line)]
    # Source lines are indented below their frame; the exception is the first line that is not.
    raised = (line for line in lines[frames[-1] + 1 :] if not line[0].isspace()) if frames else iter(())
    last = (lines[-1] if lines else "") if _is_text(text.replace("\0", "")[-_LAST:]) else NO_TEXT
    return printable(next(raised, last))


def _is_text(text: str) -> bool:
    """Whether most of it is something that people read, and not bytes that happen to be shown."""
    strange = sum(char == _UNKNOWN or not (char.isprintable() or char.isspace() or char == "\x1b") for char in text)
    return strange * 5 <= len(text)


def _tail(file: Path) -> str:
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _TAIL))
        return stream.read(_TAIL).decode("utf-8", "replace")
