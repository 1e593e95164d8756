"""Which sinks hear of an event, by name: decided here from config.yml alone, without touching any of them."""

from reconciler.spec.values import Config, Event

SCORES = "scores"
RAMP = "ramp/"  # begins the name of an event of a RAMP database, as a queue and as a sink
# What a sink can hear of beyond what hooks can be told of.
PLACED, OVER, REQUEUED, CANCELLED = "placed", "over", "requeued", "cancelled"
_HOOKED = frozenset(Event)
TOLD = _HOOKED | {PLACED, OVER, REQUEUED, CANCELLED}  # every event that a delivery can be of
_SCORED = frozenset({Event.SUCCEEDED, Event.FAILED})


def hook_name(event: Event, index: int) -> str:
    """The name of an event's hook: the place where config.yml has it."""
    return f"hook/{event}/{index}"


def names(config: Config, event: str, source: str = "") -> tuple[str, ...]:
    """The sinks that are to be told of an event of a submission that came from `source`."""
    hooks: tuple[str, ...] = ()
    if event in _HOOKED:
        hooks = tuple(hook_name(Event(event), index) for index in range(len(config.hooks.get(Event(event), ()))))
    scores = (SCORES,) if event in _SCORED else ()
    home = (source,) if source.startswith(RAMP) else ()  # whoever sent it hears of all that becomes of it
    return (*hooks, *scores, *home)
