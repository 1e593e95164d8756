"""What one decision is made of, and the draft in which its steps gather."""

import json
from collections.abc import Callable, Mapping

from attrs import Factory, define, field, frozen

from reconciler.model.change import Step
from reconciler.model.offer import Place
from reconciler.model.snapshot import Answer, Heard, Observed, Recorded
from reconciler.spec.values import Config, Pool

HOLDS_SLOT = frozenset({"staging", "running", "cancelling"})  # collecting holds the machine, not the slot


def slots_taken(recorded: Recorded) -> dict[str, int]:
    """Instance → submissions on it that hold a slot."""
    taken: dict[str, int] = {}
    for row in recorded.submissions.values():
        attempt = recorded.attempts.get(row.attempt_id)
        if attempt and row.state in HOLDS_SLOT:
            taken[attempt.instance_id] = taken.get(attempt.instance_id, 0) + 1
    return taken


def types_of(text: str) -> list[str] | None:
    """The instance types that a submission names, none for any; None where this version cannot read them."""
    try:
        types = json.loads(text)
    except ValueError:
        return None
    return types if isinstance(types, list) else None


@frozen(kw_only=True)
class PoolWish:
    """A pool as it should be: its last good spec, and what is wrong with the file now, if anything is."""

    pool: Pool
    spec: str  # canonical JSON of it
    spec_hash: str
    problem: str = ""


@frozen(kw_only=True)
class Desired:
    """What should be. Where the pools' folder could not be read, `complete` is false and nothing is taken away."""

    config: Config
    pools: Mapping[str, PoolWish]
    complete: bool = True
    settle: bool = False  # let go of what is above the minimum as soon as nothing waits


@frozen(kw_only=True)
class Case:
    """One pass's question. The same case always gets the same decision."""

    desired: Desired
    recorded: Recorded
    observed: Observed
    me: str  # who claims the effects of what is decided
    new_id: Callable[[], str]  # short, unique, lower case
    answers: Mapping[tuple[str, str], Answer] = field(init=False)
    occupied: frozenset[str] = field(init=False)  # instances with an open attempt
    slots_taken: Mapping[str, int] = field(init=False)  # instance → submissions on it that hold a slot

    @answers.default
    def _index_answers(self) -> Mapping[tuple[str, str], Answer]:
        return {(answer.table, answer.id): answer for answer in self.observed.answers}

    @occupied.default
    def _index_attempts(self) -> frozenset[str]:
        return frozenset(attempt.instance_id for attempt in self.recorded.attempts.values())

    @slots_taken.default
    def _count_slots(self) -> Mapping[str, int]:
        return slots_taken(self.recorded)

    @property
    def now(self) -> float:
        """The database's time, read once for the pass."""
        return self.recorded.now

    def answer(self, table: str, row_id: str, state: str, since: float) -> Answer | None:
        """What came of a row's effect, if the row is still in the state that the effect was for."""
        found = self.answers.get((table, row_id))
        return found if found and found.state == state and found.since == since else None

    def heard(self, instance_id: str) -> Heard | None:
        """The latest answer of an instance's host."""
        found = self.observed.hosts.get(instance_id)
        return found if isinstance(found, Heard) else None


@frozen(kw_only=True)
class Orphan:
    """A machine of ours whose row is final: it is ended without a row to say so."""

    place: Place
    cloud_id: str
    why: str


@define
class Draft:
    """Steps decided so far, and the rows that they touch: a row moves at most once in a pass."""

    steps: list[Step] = Factory(list)
    touched: set[tuple[str, str]] = Factory(set)
    orphans: list[Orphan] = Factory(list)
    halted: set[Place] = Factory(set)  # too much vanished at once: nothing is bought or ended there
    wake_at: float = float("inf")
    broken: list[str] = Factory(list)
    now: float = float("-inf")

    def decide(self, table: str, row_id: str, how: Callable[[], Step | None]) -> None:
        """Take what one row's decision says. A row that cannot be decided is named, and stops no other."""
        try:
            self.add(how(), (table, row_id))
        except Exception as error:
            self.broken.append(f"{table}/{row_id}: {type(error).__name__}: {error}")

    def add(self, step: Step | None, *rows: tuple[str, str]) -> None:
        """Take a step, and mark rows as touched by it."""
        if step is not None:
            self.steps.append(step)
            self.touched.update(rows)

    def is_free(self, table: str, row_id: str) -> bool:
        """Whether no step of this pass has touched the row."""
        return (table, row_id) not in self.touched

    def due(self, at: float) -> None:
        """Something may have to be decided then even if nothing happens before. What was due has had its turn."""
        if at > self.now:
            self.wake_at = min(self.wake_at, at)


@frozen(kw_only=True)
class Decision:
    """What a pass wants written, the machines to end without a row, and when to look again at the latest."""

    steps: tuple[Step, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    halted: frozenset[Place] = frozenset()
    broken: tuple[str, ...] = ()  # rows and pools that could not be decided, and why: a fault of this program
    wake_at: float = float("inf")
