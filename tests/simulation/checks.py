"""The promise, checked: after every write and every act of the world, and once more when everything has settled."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import Factory, define

from reconciler.decide.case import HOLDS_SLOT, PoolWish
from reconciler.lifecycle.instance import BY_USER, INSTANCE, USER_STOP
from reconciler.lifecycle.submission import SUBMISSION
from reconciler.model.change import Insert, Step, Update
from reconciler.model.offer import LaunchRequest
from reconciler.model.rows import Attempt, Instance, Outcome, Submission
from reconciler.store.replay import replay
from reconciler.store.store import Store
from reconciler.store.tables import LIFECYCLES
from tests.simulation.checks_ec2 import given_checkpoints, of_others, pins, secrets
from tests.simulation.truth import Ledger, RealMachine
from tests.simulation.world import World

# Reasons for which a machine may be ended although results lie on it: it could not be spoken to, or somebody said so.
MOST_ADOPTIONS = 8  # of one machine within five minutes; people who edit the pool may ask for some
ON_ITS_WAY = 120.0  # seconds for which a call may be on its way, also of a process that died meanwhile
ENDED_ANYWAY = ("unreachable", "took too long", "user", "evicted")


@define(kw_only=True)
class Checks:
    """What must hold. Each breach goes to `world.wrong`."""

    world: World
    store: Store
    results: Path
    submitted: dict[str, str] = Factory(dict)  # name → id
    slots: dict[str, int] = Factory(dict)  # pool → the most that one of its machines was ever to run at once
    launch: dict[str, float] = Factory(dict)  # pool → the longest that its launches ever had, in seconds
    has_slept: bool = False  # a process that sleeps may bring home what others have given up
    states: dict[tuple[str, str], str] = Factory(dict)  # (table, id) → state after its last committed transition

    def __attrs_post_init__(self) -> None:
        self.world.before_end = self.before_end
        self.world.before_halt = self.before_halt
        self.world.shop.before_buy = self.before_buy
        self.world.shop.is_final = self.is_final

    def slept(self) -> None:
        """Some process has slept."""
        self.has_slept = True

    # --- always

    def after_write(self, who: str, answer: Any, args: Sequence[Any]) -> None:
        """A write was committed: a final state stays, one row is one machine's, and no maximum is passed."""
        if not isinstance(answer, list):
            return
        for step, applied in zip(args[0], answer, strict=True):
            self.world.say(who, f"{step.why}{'' if applied else ' (stale)'}")
            if applied:
                self._follow(step)

    def _follow(self, step: Step) -> None:
        for write in step.writes:
            if isinstance(write, Insert) and write.table in LIFECYCLES:
                self.states[write.table, write.row.id] = write.row.state
                if write.table == "instances":
                    self._count(write.row)
            elif isinstance(write, Insert) and write.table == "attempts":
                self._fill(write.row)
            elif isinstance(write, Update) and write.event:
                was = self.states.get((write.table, write.id), write.source)
                if was != write.source or LIFECYCLES[write.table].is_final(was):
                    self.world.wrong(f"{write.table} {write.id} left {was} by {write.event} from {write.source}")
                self.states[write.table, write.id] = write.target

    def _count(self, born: Instance) -> None:
        """No more rows that live than the largest maximum that ever was in force."""
        if born.adopted:
            self._count_adoptions(born)
            return
        rows = [row for row in self.store.instances(pool=born.pool) if row.type == born.type]
        if len(rows) > self.world.most.get((born.pool, born.type), 0):
            self.world.wrong(f"pool {born.pool} has {len(rows)} rows of {born.type}")

    def _count_adoptions(self, born: Instance) -> None:
        """A machine that somebody else bought is not taken in and let go of again and again."""
        name = born.token.rsplit("-", 1)[0]
        rows = self.store.instances(include_final=True)
        lately = [row for row in rows if row.token.startswith(name) and row.born > born.born - 300.0]
        if len(lately) > MOST_ADOPTIONS:
            self.world.wrong(f"{name}: {len(lately)} times within five minutes")

    def _fill(self, placed: Attempt) -> None:
        """No more on a machine than it has slots."""
        rows = [row for row in self.store.submissions() if row.state in HOLDS_SLOT]
        opened = self.store.attempts([row.attempt_id for row in rows])
        there = [row for row in rows if opened[row.attempt_id].instance_id == placed.instance_id]
        if len(there) > max(self.slots.get(row.pool, 0) for row in there):
            self.world.wrong(f"{placed.instance_id} has {', '.join(row.label for row in there)} at once")

    def is_final(self, token: str) -> bool:
        """Whether every row of a token is final."""
        rows = [row for row in self.store.instances(include_final=True) if row.token == token]
        return all(INSTANCE.is_final(row.state) for row in rows)

    def before_buy(self, request: LaunchRequest, slept: bool) -> None:
        """A token is sent: within its launch's deadline, so that nobody ever sends one that its cloud has forgotten."""
        launch = self.store.launch(request.token)
        if launch is None or LaunchRequest.from_json(launch.request) != request:
            self.world.wrong(f"token {request.token} was sent, and this is not what was recorded: {launch}")
        elif not slept and self.world.now() > launch.created + self.launch.get(launch.pool, 0.0) + ON_ITS_WAY:
            self.world.wrong(
                f"token {request.token} was sent {self.world.now() - launch.created:.0f} s after its birth"
            )

    def before_halt(self, machine: RealMachine, who: str) -> None:
        """We stop a machine: not one that somebody else bought, unless the user said so."""
        row = self._row_of(machine)
        if machine.is_foreign and (row is None or row.reason != USER_STOP):
            self.world.wrong(f"{who} stops {machine.cloud_id}, which is not ours: {row}")

    def before_end(self, machine: RealMachine, who: str) -> None:
        """We end a machine: nothing that is worth something may be on it, and it is ours or the user said so."""
        row = self._row_of(machine)
        if row is None:
            self.world.wrong(f"{who} ends {machine.cloud_id}, which has no row")
            return
        if machine.is_foreign and row.reason != BY_USER:
            self.world.wrong(f"{who} ends {machine.cloud_id} ({row.reason}), which is not ours")
        lost = [job.id for job in machine.jobs.values() if job.run and not job.forgotten and self._is_open(job.id)]
        if lost and not any(reason in row.reason for reason in ENDED_ANYWAY):
            self.world.wrong(f"{who} ends {machine.cloud_id} ({row.reason}) with {', '.join(lost)} on it")

    def _row_of(self, machine: RealMachine) -> Instance | None:
        """Its row; of several that an adopted machine had, the last."""
        rows = [row for row in self.store.instances(include_final=True) if _is_of(row, machine)]
        return max(rows, key=lambda row: row.born, default=None)

    def _is_open(self, attempt_id: str) -> bool:
        attempt = self.store.attempt(attempt_id)
        return attempt is not None and attempt.closed is None

    # --- in the end

    def settled(self, pools: Mapping[str, PoolWish]) -> None:
        """Nothing goes wrong any more and everything has come to rest."""
        problems = (self._submissions(pools), self._machines(pools), self._histories(), self._results())
        resumed = () if self.has_slept else given_checkpoints(self.world, self.store, self.results)
        others = (of_others(self.world, self.store), pins(self.world, self.store), secrets(self.store))
        for problem in itertools.chain(*problems, resumed, *others):
            self.world.wrong(problem)

    def _submissions(self, pools: Mapping[str, PoolWish]) -> Iterator[str]:
        for row in self.store.submissions():
            attempts = self.store.attempts_of([row.id])
            waits = row.state == "queued" and row.pool not in pools
            if not SUBMISSION.is_final(row.state) and not waits:
                yield f"{row.label} is {row.state} still: {row.reason} {row.last_error}"
            yield from _one_life(row, attempts)
            yield from _as_the_ledger_says(row, attempts, self.world.ledger)

    def _machines(self, pools: Mapping[str, PoolWish]) -> Iterator[str]:
        rows = {row.cloud_id: row for row in self.store.instances()}
        adopted = {cloud_id for wish in pools.values() for cloud_id in wish.pool.adopt}
        machines = [machine for machine in self.world.machines.values() if machine.lives]
        alive = {one.cloud_id for one in machines if not one.is_foreign or one.cloud_id in adopted & rows.keys()}
        if rows.keys() != alive:
            yield f"rows name {sorted(rows)}, and these machines live: {sorted(alive)}"
        names = Counter((row.token, row.index) for row in rows.values())
        yield from (f"{count} rows of {name}" for name, count in names.items() if count > 1)
        have = Counter((row.pool, row.type) for row in rows.values() if row.state in ("ready", "stopped"))
        for name, wish in pools.items():
            for kind, size in wish.pool.size.items():
                if not size.low <= have[name, kind] <= size.high:
                    yield f"pool {name} has {have[name, kind]} {kind} of {size.low}..{size.high}"
        yield from (f"{row.id} is {row.state} still" for row in rows.values() if row.state not in ("ready", "stopped"))
        yield from (f"{run.attempt} runs still" for run in self.world.ledger.runs if run.end is None)

    def _histories(self) -> Iterator[str]:
        told: dict[tuple[str, str], list[Any]] = {}
        for event in self.store.history():
            told.setdefault((event.table, event.row), []).append(event)
        rows: list[tuple[str, Any]] = [("submissions", row) for row in self.store.submissions()]
        rows += [("instances", row) for row in self.store.instances(include_final=True)]
        rows += [("deliveries", row) for row in self.store.deliveries()]
        for table, row in rows:
            played = replay(told.get((table, row.id), []))
            if played is None:
                yield f"{table} {row.id} has no history"
                continue
            if (played.state, played.reason) != (row.state, row.reason):
                yield f"{table} {row.id} is {row.state} ({row.reason}), and by its history {played}"
            facts = {name: getattr(row, name, value) for name, value in played.bindings.items()}
            attempt = self.store.attempt(row.attempt_id) if table == "submissions" and row.attempt_id else None
            facts |= {name: getattr(attempt, name) for name in facts.keys() & OF_ATTEMPT} if attempt else {}
            if facts != dict(played.bindings):
                yield f"{table} {row.id} has {facts}, its history says {dict(played.bindings)}"

    def _results(self) -> Iterator[str]:
        """The results of each attempt whose run was collected lie where its row says, whole; what is home counts."""
        for row in self.store.submissions():
            for attempt in self.store.attempts_of([row.id]):
                if attempt.outcome == Outcome.SUCCEEDED:
                    yield from self._whole(attempt)
                elif not self.has_slept and not row.cancel_wanted and self._is_success(row, attempt):
                    yield f"the results of {attempt.id} are home, a success, and yet it counts as {attempt.outcome}"

    def _is_success(self, row: Submission, attempt: Attempt) -> bool:
        manifest = self.results / row.label / str(attempt.number) / "manifest.json"
        return manifest.exists() and json.loads(manifest.read_text())["outcome"] == Outcome.SUCCEEDED

    def _whole(self, attempt: Attempt) -> Iterator[str]:
        home = self.results / attempt.results
        try:
            manifest = json.loads((home / "manifest.json").read_text())
            text = (home / "out.txt").read_text()
        except OSError as error:
            yield f"the results of {attempt.id} are not home: {error}"
            return
        if manifest["attempt"] != attempt.id or not text.startswith(f"{attempt.id} ran on "):
            yield f"the results of {attempt.id} are those of {manifest['attempt']}"


OF_ATTEMPT = frozenset({"instance_id", "started", "ended", "outcome", "exit_code", "peak_memory", "results"})


def _is_of(row: Instance, machine: RealMachine) -> bool:
    if machine.is_foreign:
        return row.adopted and row.cloud_id == machine.cloud_id
    return (row.token, row.index) == (machine.request.token, machine.index)


def _one_life(row: Submission, attempts: Sequence[Attempt]) -> Iterator[str]:
    """Its attempts come one after the other, and none after a success."""
    if [attempt.number for attempt in attempts] != list(range(1, row.attempts + 1)):
        yield f"{row.label} counts {row.attempts} attempts and has {[attempt.number for attempt in attempts]}"
    for before, after in itertools.pairwise(attempts):
        if before.closed is None or before.closed > after.opened:
            yield f"{before.id} was open when {after.id} was opened"
        if before.outcome == Outcome.SUCCEEDED:
            yield f"{after.id} was opened although {before.id} had succeeded"
    yield from (f"{row.label} is over and {attempt.id} is open" for attempt in attempts if attempt.closed is None)


def _as_the_ledger_says(row: Submission, attempts: Sequence[Attempt], ledger: Ledger) -> Iterator[str]:
    """What became of a submission is what its runs say."""
    runs = {run.attempt: run for run in ledger.of(row.name)}
    won = [attempt for attempt in attempts if attempt.outcome == Outcome.SUCCEEDED]
    if (row.state == "succeeded") != (len(won) == 1) or len(won) > 1:
        yield f"{row.label} is {row.state}, and {len(won)} of its attempts succeeded"
    for attempt in attempts:
        run = runs.get(attempt.id)
        if attempt.outcome == Outcome.SUCCEEDED and (run is None or run.code != 0):
            yield f"{attempt.id} succeeded, and its run was {run}"
        if attempt.outcome == Outcome.EXIT_CODE and (run is None or not run.code):
            yield f"{attempt.id} is said to have exited with {attempt.exit_code}, and its run was {run}"
    behaviour = ledger.behaviours[row.name]
    always_works = set(behaviour.codes) == {0} and max(behaviour.seconds) < 600
    if row.state == "failed" and always_works:
        yield f"{row.label} failed ({row.reason}: {row.message}) although its command always works"
    if row.state == "cancelled" and not row.cancel_wanted:
        yield f"{row.label} is cancelled, and nobody asked"
