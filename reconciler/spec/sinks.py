"""Which sinks hear of an event, by name: decided here from config.yml alone, without touching any of them."""

from reconciler.spec.values import Config, Event

SCORES = "scores"
_SCORED = frozenset({Event.SUCCEEDED, Event.FAILED})


def hook_name(event: Event, index: int) -> str:
    """The name of an event's hook: the place where config.yml has it."""
    return f"hook/{event}/{index}"


def names(config: Config, event: Event, pool: str) -> tuple[str, ...]:  # noqa: ARG001 (sinks of one pool will need it)
    """The sinks that are to be told of an event of one of the pool's submissions."""
    hooks = tuple(hook_name(event, index) for index in range(len(config.hooks.get(event, ()))))
    return (*hooks, SCORES) if event in _SCORED else hooks
