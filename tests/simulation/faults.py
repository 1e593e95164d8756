"""What goes wrong between the reconciler and the world: drawn from a seed, or written down by a story."""

from collections.abc import Mapping
from random import Random
from types import MappingProxyType

from attrs import Factory, define, evolve, field, frozen

from reconciler.model.offer import Fault

FOREVER = 1e9


@frozen(kw_only=True)
class Trouble:
    """One call's bad luck. Seconds."""

    delay: float = 0.0  # before the call reaches the other side
    refuse: Fault | None = None  # the other side says no, and does nothing
    lose: bool = False  # it is done, and the answer does not come
    late: float = 0.0  # the answer comes this much later
    partial: bool = False  # a launch gives fewer than it could, a listing names fewer than there are


NONE = Trouble()

# The call → its usual time there and back, in seconds.
USUAL: Mapping[str, float] = MappingProxyType(
    {
        "launch": 1.0, "listing": 0.2, "lookup": 0.2, "terminate": 0.5, "stop": 0.5, "start machine": 0.5,
        "report": 0.01, "install": 0.1, "put": 0.1, "start": 0.1, "kill": 0.05, "collect": 0.1, "forget": 0.01,
        "release": 0.1, "deliver": 0.05,
    }
)  # fmt: skip

# The call → how it may be refused.
REFUSALS: Mapping[str, tuple[Fault, ...]] = MappingProxyType(
    {
        "launch": (Fault.CAPACITY, Fault.CAPACITY, Fault.THROTTLED, Fault.QUOTA, Fault.UNREACHABLE),
        "start machine": (Fault.CAPACITY, Fault.THROTTLED),
        "listing": (Fault.THROTTLED, Fault.UNREACHABLE, Fault.DENIED),
        "lookup": (Fault.THROTTLED, Fault.UNREACHABLE),
        "terminate": (Fault.THROTTLED, Fault.UNREACHABLE),
        "stop": (Fault.THROTTLED, Fault.UNREACHABLE),
        "collect": (Fault.UNREACHABLE, Fault.OURS, Fault.OURS),
        "install": (Fault.UNREACHABLE, Fault.REFUSED),
        "deliver": (Fault.UNREACHABLE,),
    }
)
ANY_HOST = (Fault.UNREACHABLE,)


@define
class Faults:
    """The luck of one story. `script`: the next call of a kind takes the first trouble written for it."""

    script: dict[str, list[Trouble]] = Factory(dict)
    random: Random = field(factory=lambda: Random(0))
    rate: float = 0.0  # of calls that something befalls

    def draw(self, call: str) -> Trouble:
        """What befalls this call."""
        if self.script.get(call):
            return self.script[call].pop(0)
        luck = self.random.random() if self.rate else 1.0
        if luck >= self.rate:
            return NONE
        return self._bad(call)

    def chance(self, rate: float) -> bool:
        """Whether something of this rate happens, while things go wrong at all."""
        return self.rate > 0.0 and self.random.random() < rate

    def _bad(self, call: str) -> Trouble:
        draw = self.random
        kind = draw.choice(("delay", "refuse", "lose", "late", "partial", "delay and lose"))
        trouble = NONE
        if "delay" in kind:
            trouble = evolve(trouble, delay=draw.choice((0.3, 2.0, 9.0, 25.0)))
        if kind == "refuse":
            trouble = evolve(trouble, refuse=draw.choice(REFUSALS.get(call, ANY_HOST)))
        if "lose" in kind:
            trouble = evolve(trouble, lose=True)
        if kind == "late":
            trouble = evolve(trouble, late=draw.choice((0.3, 2.0, 9.0, 25.0)))
        return evolve(trouble, partial=kind == "partial")
