"""How people write durations, sizes, budgets and the rest, and what that means. Every function raises Wrong."""

import re

from reconciler.model.offer import Market
from reconciler.spec.errors import Filled, Wrong, did_you_mean, shown
from reconciler.spec.values import Idle, Size

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_LONGEST = 1000 * 86400  # seconds; also keeps every sum with a date within what dates can be
_MOST_MACHINES = 100_000
_MOST_TRIES = 1_000_000
HIGHEST_PRICE = 10_000  # US dollars an hour; the dearest machines cost some hundreds
_SIZE_HINT = "write N for exactly N, or MIN..MAX such as 0..8"

DURATION_PATTERN = r"[0-9]{1,9}(\.[0-9]{1,6})?[smhd]"
BYTES_PATTERN = r"[0-9]{1,9}(\.[0-9]{1,6})?(B|KiB|MiB|GiB|TiB)"
SIZE_PATTERN = r"[0-9]{1,6}\.\.[0-9]{1,6}"
NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,62}"
TYPE_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
PRICE_PATTERN = r"[0-9]{1,4}(\.[0-9]{1,9})?"
VARIABLE_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*"


def text(value: object) -> str:
    """Text that says something."""
    if not isinstance(value, str):
        hint = "write it in quotes" if isinstance(value, bool | int | float) else "write one text"
        raise Wrong(f"{shown(value)} is not text", hint)
    if not value.strip():
        raise Wrong("the text is empty", "write something, or leave the key out")
    return clean(value)


def clean(value: str) -> str:
    """Text, perhaps empty, that files, environments and databases can all hold."""
    if "\0" in value:
        raise Wrong("a NUL character in the text", "remove it")
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise Wrong("half a character (a surrogate) in the text", "write it as UTF-8")
    return str(value)


def duration(value: object, *, zero: bool = False) -> float:
    """Seconds from `90s`, `10m`, `12h`, `2d`; more than nothing, unless `zero` may be."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise Wrong(f"the duration {value} has no unit", f"write {value}s, {value}m, {value}h or {value}d")
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value):
        raise Wrong(f"the duration {shown(value)} has no unit", "write a number and s, m, h or d, such as 90s")
    if not isinstance(value, str) or not re.fullmatch(DURATION_PATTERN, value, re.ASCII):
        raise Wrong(f"{shown(value)} is not a duration", "write a number and s, m, h or d, such as 90s, 10m, 12h or 2d")
    seconds = float(value[:-1]) * _UNITS[value[-1]]
    if seconds == 0 and not zero:
        raise Wrong(f"{shown(value)} is no time at all", "write more than 0s")
    if seconds > _LONGEST:
        raise Wrong(f"{shown(value)} is too long", "write 1000d at most")
    return seconds


def delay(value: object) -> float:
    """A duration that may be 0s. Seconds."""
    return duration(value, zero=True)


def size_in_bytes(value: object) -> int:
    """Bytes from `10GiB`."""
    match = re.fullmatch(BYTES_PATTERN, value, re.ASCII) if isinstance(value, str) else None
    if match is None:
        raise Wrong(f"{shown(value)} is not an amount of bytes", "write a number and B, KiB, MiB, GiB or TiB: 10GiB")
    unit = match[2]
    amount = int(float(match[0].removesuffix(unit)) * _BYTES[unit])
    if not 0 < amount < 2**63:
        raise Wrong(f"{shown(value)} is not an amount that anything could have", "write something like 10GiB")
    return amount


def whole(value: object, low: int, high: int) -> int:
    """A whole number within a range."""
    number = _from_environment(value)
    if type(number) is not int:
        raise Wrong(f"{shown(value)} is not a whole number", f"write one from {low} to {high}")
    if not low <= number <= high:
        raise Wrong(f"{shown(value)} is out of range", f"write a whole number from {low} to {high}")
    return number


def _from_environment(value: object) -> object:
    """What comes from the environment is text; where a number or a truth value is wanted, it may be one."""
    if not isinstance(value, Filled):
        return value
    if re.fullmatch(r"-?[0-9]{1,18}", value, re.ASCII):
        return int(value)
    return {"true": True, "false": False}.get(value, value)


def truth(value: object) -> bool:
    """`true` or `false`."""
    said = _from_environment(value)
    if not isinstance(said, bool):
        raise Wrong(f"{shown(value)} is neither true nor false", "write true or false, without quotes")
    return said


def tries(value: object) -> int | None:
    """How often something is tried again; None for `unlimited`."""
    if value == "unlimited":
        return None
    try:
        return whole(value, 0, _MOST_TRIES)
    except Wrong as wrong:
        raise Wrong(wrong.what, "write a whole number from 0, or unlimited") from wrong


def size(value: object) -> Size:
    """`N` machines, or `MIN..MAX`."""
    low, high = _bounds(value)
    if low < 0 or high < 0:
        raise Wrong(f"the size {shown(value)} is negative", _SIZE_HINT)
    if low > high:
        raise Wrong(f"the size {shown(value)} is reversed", f"write {high}..{low}")
    if high > _MOST_MACHINES:
        raise Wrong(f"the size {shown(value)} is too large", f"write {_MOST_MACHINES} at most")
    return Size(low=low, high=high)


def _bounds(value: object) -> tuple[int, int]:
    match = re.fullmatch(r"(-?[0-9]{1,6})\.\.(-?[0-9]{1,6})", value) if isinstance(value, str) else None
    if match:
        return int(match[1]), int(match[2])
    number = _from_environment(value)
    if type(number) is not int:
        raise Wrong(f"{shown(value)} is not a number of machines", _SIZE_HINT)
    return number, number


def idle(value: object) -> Idle:
    """`10m`, or `stop after 10m, terminate after 2d`."""
    if not isinstance(value, str) or "after" not in value:
        return Idle(terminate=delay(value))
    after: dict[str, float] = {}
    for part in value.split(","):
        match = re.fullmatch(r"\s*(stop|terminate) after (\S+)\s*", part)
        if match is None or match[1] in after:
            raise Wrong(
                f"{shown(value)} says nothing of idle machines", "write 10m, or stop after 10m, terminate after 2d"
            )
        after[match[1]] = delay(match[2])
    if "terminate" not in after:
        raise Wrong(f"{shown(value)} does not say when a stopped machine ends", "add: , terminate after 2d")
    if "stop" in after and after["stop"] >= after["terminate"]:
        raise Wrong(f"{shown(value)} would never stop a machine", "terminate later than you stop")
    return Idle(terminate=after["terminate"], stop=after.get("stop"))


def market(value: object) -> tuple[Market, ...]:
    """`spot`, `on-demand`, or one of them and then the other."""
    known = [str(each) for each in Market]
    hint = "write on-demand, spot, or: spot, then on-demand"
    if not isinstance(value, str):
        raise Wrong(f"{shown(value)} is not a market", hint)
    words = [word.strip().removeprefix("then ").strip() for word in value.split(",")]
    if any(word not in known for word in words):
        raise Wrong(f"{shown(value)} is not a market", hint)
    if len(set(words)) < len(words):
        raise Wrong(f"{shown(value)} names a market twice", hint)
    return tuple(Market(word) for word in words)


def name(value: object) -> str:
    """The name of a controller or a pool."""
    return _matching(
        value, NAME_PATTERN, "a name", "use at most 63 of a-z, 0-9, '.', '_' and '-', a letter or digit first"
    )


def instance_type(value: object) -> str:
    """The name of an instance type."""
    return _matching(value, TYPE_PATTERN, "an instance type", "write a name such as c6i.xlarge")


def price(value: object) -> float:
    """US dollars an hour."""
    number = _from_environment(value)
    if isinstance(number, str) and isinstance(value, Filled) and re.fullmatch(PRICE_PATTERN, number, re.ASCII):
        number = float(number)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise Wrong(f"{shown(value)} is not a price", "write US dollars an hour, such as 0.12")
    if not 0 < number < HIGHEST_PRICE:
        raise Wrong(f"{shown(value)} is not what a machine costs", "write US dollars an hour, such as 0.12")
    return float(number)


def address(value: object) -> str:
    """Which of a machine's addresses is meant."""
    return one_of(value, ("public", "private"))


def _matching(value: object, pattern: str, kind: str, hint: str) -> str:
    said = text(value)
    if not re.fullmatch(pattern, said, re.ASCII):
        raise Wrong(f"{shown(value)} is not {kind}", hint)
    return said


def one_of(value: object, known: tuple[str, ...]) -> str:
    """One of a few words."""
    if isinstance(value, str) and value in known:
        return str(value)
    raise Wrong(f"{shown(value)} is not one of them", did_you_mean(value, known) if isinstance(value, str) else "")
