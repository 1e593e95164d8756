"""Runs effects beside the passes: one in flight for a row, claimed before it starts, its answer kept for a later pass.

What is remembered here only saves work. A process that dies forgets it all, and the next one runs the effects again.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from attrs import Factory, define, frozen

from reconciler.act.base import Effect, Row, World, all_failed, answers
from reconciler.clouds.base import CloudError
from reconciler.decide.case import Orphan
from reconciler.decide.deadlines import CLAIM
from reconciler.decide.sightings import place_of
from reconciler.hosts.base import HostRefusedError, UnreachableError, UnstorableError
from reconciler.model.offer import Fault, Place
from reconciler.model.rows import Instance
from reconciler.model.snapshot import Answer, Done, Failed, Recorded

log = logging.getLogger(__name__)

REST = 30.0  # seconds before an effect that went well is repeated, when nothing has been observed of it since
# Effects of one table that run at the same time. Those of submissions go together, a command a machine.
AT_ONCE: Mapping[str, int] = MappingProxyType({"instances": 32, "submissions": 256, "deliveries": 32})


@frozen
class Stay:
    """A row's stay in one state. An effect belongs to a stay, not to a row."""

    table: str
    id: str
    state: str
    since: float


@define
class Flight:
    """One call of one effect, for the rows that it runs for."""

    stays: tuple[Stay, ...]
    task: asyncio.Task[None]


@define(kw_only=True)
class Runner:
    """The effects of one process."""

    effects: Sequence[Effect]
    me: str
    is_dead: Callable[[str], bool]  # whether a claim's holder surely lives no more
    claim: Callable[..., Coroutine[Any, Any, set[str]]]  # the store's, run where it does not block
    wake: Callable[[], None]  # an answer is there
    clock: Callable[[], float]  # the database's time, as well as it is known between passes
    flights: dict[tuple[str, str], Flight] = Factory(dict)
    answered: list[Answer] = Factory(list)
    rests: dict[Stay, float] = Factory(dict)
    limits: Mapping[str, asyncio.Semaphore] = Factory(
        lambda: {table: asyncio.Semaphore(at_once) for table, at_once in AT_ONCE.items()}
    )

    async def start(self, world: World, moved: set[tuple[str, str]], halted: frozenset[Place]) -> None:
        """Start every effect that is due, for rows that the pass did not move."""
        now = world.recorded.now
        self.rests = {stay: until for stay, until in self.rests.items() if until > now}
        for effect in self.effects:
            rows = [
                row
                for row in table_of(world.recorded, effect.table).values()
                if row.state == effect.state
                and (effect.table, row.id) not in moved
                and not (isinstance(row, Instance) and effect.table == "instances" and place_of(row) in halted)
            ]
            due = [row for row in rows if self._is_due(effect.table, row, now)]
            mine = await self._claim(effect.table, rows, due, now)
            for group in _together(effect, [row for row in due if row.id in mine]):
                self._launch(effect, group, world)

    def end_orphans(self, orphans: Sequence[Orphan], world: World) -> None:
        """End machines whose rows are final, one call a place; seen again until the cloud lists them no more."""
        by_place: dict[Place, list[str]] = {}
        for orphan in orphans:
            by_place.setdefault(orphan.place, []).append(orphan.cloud_id)
        for place, ids in by_place.items():
            key = ("orphans", f"{place.cloud} {place.settings}")
            if key not in self.flights:
                task = asyncio.create_task(self._end(key, place, ids, world))
                self.flights[key] = Flight((), task)

    def take(self) -> tuple[Answer, ...]:
        """Answers since they were last forgotten; they stay until `forget`, so that a failed write loses none."""
        return tuple(self.answered)

    def forget(self, taken: Iterable[Answer]) -> None:
        """Drop answers that a committed pass has used."""
        used = set(map(id, taken))
        self.answered = [answer for answer in self.answered if id(answer) not in used]

    async def drain(self) -> None:
        """Wait until nothing is in flight."""
        while self.flights:
            await asyncio.wait({flight.task for flight in self.flights.values()})

    async def cancel(self) -> None:
        """Stop waiting for effects. What they did stands, and is found or repeated later."""
        tasks = {flight.task for flight in self.flights.values()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_due(self, table: str, row: Row, now: float) -> bool:
        stay = Stay(table, row.id, row.state, row.since)
        flight = self.flights.get((table, row.id))
        if flight is not None:
            if stay not in flight.stays:  # its row has moved on: whatever it still does is harmless
                flight.task.cancel()
            return False
        if row.not_before > now or self.rests.get(stay, 0.0) > now:
            return False
        if any((answer.table, answer.id) == (table, row.id) for answer in self.answered):
            return False
        free = row.claim_by in ("", self.me) or row.claim_until <= now
        return free or self.is_dead(row.claim_by)

    async def _claim(self, table: str, rows: Sequence[Row], due: Sequence[Row], now: float) -> set[str]:
        """Claim what starts, and renew what is in flight and runs out; one statement, and none if all is claimed."""
        fresh = {row.id for row in due if row.claim_by == self.me and row.claim_until > now + CLAIM / 2}
        old = [
            row
            for row in rows
            if (table, row.id) in self.flights and row.claim_by == self.me and row.claim_until <= now + CLAIM / 2
        ]
        wanted = [row for row in due if row.id not in fresh] + old
        return fresh | (await self.claim(table, wanted, by=self.me, until=now + CLAIM) if wanted else set())

    def _launch(self, effect: Effect, rows: Sequence[Row], world: World) -> None:
        stays = tuple(Stay(effect.table, row.id, row.state, row.since) for row in rows)
        task = asyncio.create_task(self._run(effect, rows, stays, world), name=f"{effect.state} {rows[0].id}")
        for stay in stays:
            self.flights[stay.table, stay.id] = Flight(stays, task)

    async def _run(self, effect: Effect, rows: Sequence[Row], stays: Sequence[Stay], world: World) -> None:
        try:
            async with self.limits[effect.table]:
                results = await attempt_effect(effect, rows, world)
            self.answered.extend(answers(effect.table, rows, results))
            for stay, result in zip(stays, results, strict=True):
                if isinstance(result, Done) and not result.event:
                    self.rests[stay] = self.clock() + REST
        finally:
            for stay in stays:
                self.flights.pop((stay.table, stay.id), None)
            self.wake()

    async def _end(self, key: tuple[str, str], place: Place, ids: Sequence[str], world: World) -> None:
        try:
            await world.tools.cloud(place, "").terminate(ids)
            log.warning("ended %d machine(s) whose rows are final: %s", len(ids), ", ".join(ids))
        except CloudError as error:
            log.warning("could not end %s: %s", ", ".join(ids), error.message)
        finally:
            self.flights.pop(key, None)


# What an effect may raise → the fault that it is.
FAULTS: tuple[tuple[type[Exception], Fault], ...] = (
    (UnreachableError, Fault.UNREACHABLE),
    (HostRefusedError, Fault.REFUSED),
    (UnstorableError, Fault.OURS),
    (TimeoutError, Fault.UNREACHABLE),
    (OSError, Fault.OURS),  # this computer's disk, files or processes
)


async def attempt_effect(effect: Effect, rows: Sequence[Row], world: World) -> Sequence[Done | Failed]:
    """Run an effect; whatever it raises is an answer, so that one bad row stops nothing."""
    try:
        return await effect.run(rows, world)
    except CloudError as error:
        return all_failed(rows, error.fault, error.message)
    except Exception as error:
        for kind, fault in FAULTS:
            if isinstance(error, kind):
                return all_failed(rows, fault, str(error) or kind.__name__)
        log.exception("the effect of %s failed in a way that nobody foresaw", effect.state)
        return all_failed(rows, Fault.OURS, f"{type(error).__name__}: {error}")


def table_of(recorded: Recorded, table: str) -> Mapping[str, Any]:
    """A snapshot's live rows of one table, by id."""
    return {"instances": recorded.instances, "submissions": recorded.submissions, "deliveries": recorded.deliveries}[
        table
    ]


def _together(effect: Effect, rows: Sequence[Row]) -> Iterable[Sequence[Row]]:
    groups: dict[Hashable, list[Row]] = {}
    for row in rows:
        groups.setdefault(effect.together(row), []).append(row)
    return groups.values()
