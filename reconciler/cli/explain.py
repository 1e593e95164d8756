"""Why a submission or an instance is where it is, what comes next, and when: sentences from rows. Pure.

The rules that decide are in `decide`; here they are told from the same rows, so that nobody has to guess.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from attrs import frozen

from reconciler.cli.printing import lasting, when
from reconciler.decide.case import Desired, slots_taken
from reconciler.decide.deadlines import MARGIN, deadline
from reconciler.decide.demand import SERVES
from reconciler.decide.holds import concerning
from reconciler.decide.settled import impossible, stuck
from reconciler.lifecycle.instance import INSTANCE
from reconciler.lifecycle.submission import SUBMISSION
from reconciler.lifecycle.table import Kind
from reconciler.model.assignment import Assignment
from reconciler.model.rows import Attempt, Instance, Submission
from reconciler.model.snapshot import Recorded
from reconciler.spec.values import Deadlines, Pool


@frozen(kw_only=True)
class World:
    """What the sentences are made from."""

    desired: Desired
    recorded: Recorded

    @property
    def now(self) -> float:
        """The database's time."""
        return self.recorded.now

    def pool(self, name: str) -> Pool | None:
        """A pool that is in force."""
        wish = self.desired.pools.get(name)
        return wish.pool if wish else None

    def deadlines(self, name: str) -> Deadlines:
        """Those of a pool, or the defaults."""
        pool = self.pool(name)
        return pool.deadlines if pool else Deadlines()


# What is going on in each state of a submission.
DOING: Mapping[str, str] = MappingProxyType(
    {
        "staging": "it is uploaded to {where} and started there",
        "running": "it runs on {where}",
        "collecting": "its results are brought home from {where}",
        "cancelling": "its processes on {where} are being ended",
        "succeeded": "it is over: it worked",
        "failed": "it is over, and is not tried again",
        "cancelled": "it was cancelled",
    }
)

# What is going on in each state of an instance.
LIVING: Mapping[str, str] = MappingProxyType(
    {
        "launching": "it is being bought: the cloud has not answered",
        "booting": "the cloud has it; its host has not answered yet",
        "preparing": "the agent, files and setup are brought to it",
        "draining": "it takes no new work, and goes when nothing is on it",
        "stopping": "it is being stopped, its disk kept",
        "stopped": "it is kept stopped, for a faster start",
        "starting": "it is being started again",
        "terminating": "it is being ended",
        "terminated": "it is gone",
        "failed": "nothing was ever bought",
    }
)


def submission(world: World, row: Submission, attempt: Attempt | None) -> Iterator[tuple[str, str]]:
    """Labelled sentences about a submission that was read with its last attempt."""
    where = attempt.instance_id if attempt else "(no machine)"
    for sentence in _waits(world, row) if row.state == "queued" else [DOING[row.state].format(where=where)]:
        yield "why", sentence
    if SUBMISSION.is_final(row.state):
        yield "next", "nothing" + (f"; `reconcile retry {row.label}` submits it again" if row.content else "")
        return
    if row.cancel_wanted:
        yield "next", "it is to be cancelled"
    yield from _trouble(world, row)
    due = _submission_due(world, row, attempt)
    if due < float("inf"):
        yield "deadline", when(due, world.now)


def _submission_due(world: World, row: Submission, attempt: Attempt | None) -> float:
    if row.state == "running" and attempt:
        return row.clock + Assignment.from_json(attempt.frozen).limit + MARGIN
    return deadline(SUBMISSION, row.state, row.clock, world.deadlines(row.pool))


def _trouble(world: World, row: Submission | Instance) -> Iterator[tuple[str, str]]:
    """What went wrong with it last, and when it is tried again."""
    if row.last_error:
        times = f" ({row.strikes} times in a row)" if row.strikes > 1 else ""
        yield "last error", row.last_error + times
    if row.not_before > world.now:
        yield "next", f"tried again {when(row.not_before, world.now)}"


def _waits(world: World, row: Submission) -> Iterator[str]:
    """Why a queued submission is still queued: the first thing that stops it is enough, and then the rest."""
    reason = next(filter(None, (rule(world, row) for rule in WAITS)), "the next pass places it")
    yield reason
    waiting = world.recorded.waiting.get(row.pool)
    if waiting and (count := waiting.ready + waiting.held) > 1:
        yield f"{count} are queued for pool {row.pool}: the highest priority first, then first in, first out"


def _waits_for_pool(world: World, row: Submission) -> str:
    if row.pool in world.desired.pools:
        return ""
    known = ", ".join(sorted(world.desired.pools)) or "none"
    return f"there is no pool {row.pool or '(none was named)'} (there are: {known}); write its spec file, or cancel it"


def _waits_for_backoff(world: World, row: Submission) -> str:
    if row.not_before <= world.now:
        return ""
    spent = json.loads(row.spent or "{}")
    how = ", ".join(f"{outcome} ({count})" for outcome, count in spent.items())
    return f"held back until it is tried again {when(row.not_before, world.now)}; attempts so far: {how or 'none'}"


def _waits_for_type(world: World, row: Submission) -> str:
    why = impossible(world.desired, row)
    return f"{why}; add one of these to the pool, or cancel it" if why else ""


def _waits_for_hold(world: World, row: Submission) -> str:
    if why := stuck(world.desired, world.recorded, row.pool):
        return f"{why}: nothing of this pool moves until somebody mends that; edit its spec file to try at once"
    if _serving(world, row.pool):
        return ""
    holds = concerning(world.desired, world.recorded, row.pool)
    if not holds:
        return ""
    last = max(holds, key=lambda hold: hold.until)
    return f"no machine can be had: {last.reason}; tried again {when(last.until, world.now)}"


def _waits_for_machine(world: World, row: Submission) -> str:
    """A machine that is on its way, or a slot of one that is busy."""
    rows = _serving(world, row.pool)
    on_the_way = [each for each in rows if each.state != "ready"]
    taken = slots_taken(world.recorded)
    pool = world.pool(row.pool)
    slots = pool.slots if pool else 1
    silent = [each for each in rows if each.state == "ready" and each.strikes]
    if any(each.state == "ready" and not each.strikes and taken.get(each.id, 0) < slots for each in rows):
        return ""
    if on_the_way:
        first = min(on_the_way, key=lambda each: each.since)
        return f"machine {first.id} is {first.state}, for {lasting(world.now - first.since)}"
    if silent:
        return f"machine {silent[0].id} does not answer: {silent[0].last_error}"
    most = sum(size.high for size in pool.size.values()) if pool else 0
    if rows and len(rows) >= most:
        return f"every slot is taken on all {len(rows)} machines, and pool {row.pool} may have {most}"
    if most == 0:
        return f"pool {row.pool} may have no machine: its sizes are 0"
    return "a machine is bought for it in the next pass"


WAITS: tuple[Callable[[World, Submission], str], ...] = (
    _waits_for_pool,
    _waits_for_backoff,
    _waits_for_type,
    _waits_for_hold,
    _waits_for_machine,
)


def _serving(world: World, pool: str) -> list[Instance]:
    return [row for row in world.recorded.instances.values() if row.pool == pool and row.state in SERVES]


def instance(world: World, row: Instance) -> Iterator[tuple[str, str]]:
    """Labelled sentences about a machine."""
    labels = [each.label for each in _on(world, row)]
    if row.state == "ready":
        yield "why", f"it is busy with {', '.join(labels)}" if labels else _idle(world, row)
    else:
        yield "why", LIVING[row.state] + (f"; on it: {', '.join(labels)}" if labels else "")
    if INSTANCE.is_final(row.state):
        yield "next", "nothing"
        return
    yield from _trouble(world, row)
    if INSTANCE.by_name[row.state].kind is not Kind.RESTING:
        due = deadline(INSTANCE, row.state, row.since, world.deadlines(row.pool))
        if due < float("inf"):
            yield "deadline", when(due, world.now)


def _on(world: World, row: Instance) -> list[Submission]:
    recorded = world.recorded
    return [
        each
        for each in recorded.submissions.values()
        if (attempt := recorded.attempts.get(each.attempt_id)) and attempt.instance_id == row.id
    ]


def _idle(world: World, row: Instance) -> str:
    """Since when it is idle, and what becomes of it."""
    pool = world.pool(row.pool)
    since = max(row.since, world.recorded.idle_since.get(row.id, 0.0))
    idle = f"idle for {lasting(world.now - since)}"
    if pool is None:
        return f"{idle}; there is no pool {row.pool} any more, so it will go"
    size = pool.size.get(row.type)
    peers = sum(each.type == row.type for each in _serving(world, row.pool))
    if size and peers <= size.low:
        return f"{idle}; pool {row.pool} keeps at least {size.low} {row.type}"
    return f"{idle}; without work it goes {when(since + pool.idle.terminate, world.now)}"
