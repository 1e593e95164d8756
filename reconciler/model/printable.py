"""Words of other people's programs, made fit for one line on somebody's terminal, in a message or a table."""

import re

# Colours and cursor movements, titles and other strings, and what else begins with ESC.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
)


def printable(text: str, most: int = 300) -> str:
    """The text on one line of at most `most` characters, without escape sequences or anything that a terminal obeys."""
    line = " ".join(_ESCAPES.sub("", text).split())
    safe = "".join(char if char.isprintable() else "?" for char in line)
    return safe if len(safe) <= most else safe[: most - 1] + "…"
