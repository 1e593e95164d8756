"""How long each unfinished state may last, and how long to wait between tries."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from reconciler.lifecycle.table import Lifecycle
from reconciler.spec.values import Deadlines

MARGIN = 120.0  # seconds that we leave the host to enforce its own limits before we step in
CLAIM = 60.0  # seconds for which an effect is claimed; renewed while it runs

# The deadline that a state names → seconds, from the pool's deadlines.
SECONDS: Mapping[str, Callable[[Deadlines], float]] = MappingProxyType(
    {
        "launch": lambda d: d.launch,
        "boot": lambda d: d.boot,
        "setup": lambda d: d.setup + MARGIN,  # the host ends the setup itself
        "drain": lambda d: d.run + MARGIN + d.collect,  # what runs may end and come home first
        "stop": lambda d: d.stop,
        "start": lambda d: d.start,
        "terminate": lambda d: d.terminate,
        "stage": lambda d: d.stage,
        "run": lambda d: d.run + MARGIN,  # a submission's own limit replaces it: see submissions.py
        "collect": lambda d: d.collect,
        "cancel": lambda d: d.cancel,
        "deliver": lambda d: d.deliver,
    }
)


def deadline(lifecycle: Lifecycle, state: str, since: float, deadlines: Deadlines) -> float:
    """When a state that began at `since` is overdue; infinity for one that may last."""
    name = lifecycle.by_name[state].deadline
    return since + SECONDS[name](deadlines) if name else float("inf")


def backoff(strikes: int, base: float, most: float) -> float:
    """Seconds to wait after that many failures in a row: doubling, up to a bound."""
    return min(most, base * 2.0 ** min(max(strikes - 1, 0), 30))
