"""Values back in the words of the files: for defaults in the schema, and for what people are shown."""

from pathlib import Path
from typing import Any

from reconciler.spec.forms import Form, Key, mark
from reconciler.spec.values import Idle, Size

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_BYTES = ((1024**4, "TiB"), (1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"), (1, "B"))


def duration(seconds: float) -> str:
    """`10m` for 600 seconds: the largest unit that leaves nothing over."""
    unit, letter = next(
        ((unit, letter) for unit, letter in _UNITS if seconds >= unit and seconds % unit == 0), (1, "s")
    )
    return f"{seconds / unit:.6f}".rstrip("0").rstrip(".") + letter


def size_in_bytes(amount: int) -> str:
    """`10GiB` for as many bytes: the largest unit that leaves nothing over."""
    unit, name = next((unit, name) for unit, name in _BYTES if amount % unit == 0)
    return f"{amount // unit}{name}"


def size(value: Size) -> str:
    """`2` or `0..8`."""
    return str(value.low) if value.low == value.high else f"{value.low}..{value.high}"


def idle(value: Idle) -> str:
    """`10m`, or `stop after 10m, terminate after 2d`."""
    last = duration(value.terminate)
    return last if value.stop is None else f"stop after {duration(value.stop)}, terminate after {last}"


def default(key: Key) -> Any:
    """A key's default as the file would write it; None where there is none, or where it is a mapping or a list."""
    value, form = key.default, mark(key.annotation, Form)
    if form is Form.TRIES and value is None and not key.required:
        return "unlimited"
    if value is None or value == "":
        return None
    if form in (Form.DURATION, Form.DELAY):
        return duration(value)
    if form is Form.BYTES:
        return size_in_bytes(value)
    if form is Form.MARKET:
        return ", then ".join(str(each) for each in value)
    if form is Form.WORDS:
        return ", ".join(value) or None
    if isinstance(value, Idle):
        return idle(value)
    if isinstance(value, bool | int):
        return value
    return str(value) if isinstance(value, str | Path) else None
