"""What should be, read from files: pool spec files as they are edited, and the queue's folder as it fills.

A file that is broken by an edit leaves its last good spec in force; an empty or unreadable folder changes nothing.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from attrs import Factory, define, evolve, field, frozen

from reconciler.act.base import Database
from reconciler.decide.births import Arrival, birth, pool_for, step_out
from reconciler.decide.case import Desired, PoolWish
from reconciler.model.change import Step, Update
from reconciler.model.rows import Delivery, Submission
from reconciler.model.snapshot import Recorded
from reconciler.queues.base import Entry, Queue, Reading
from reconciler.queues.intake import (
    WITHDRAWN,
    Absent,
    End,
    Intention,
    Present,
    Renew,
    Supersede,
    Take,
    Withdraw,
    intake,
)
from reconciler.spec.canonical import pool_to_json, spec_hash
from reconciler.spec.errors import SpecError
from reconciler.spec.loader import SUFFIXES, Pools, load_config, load_pools
from reconciler.spec.values import Config, Pool

log = logging.getLogger(__name__)

ID_LENGTH = 10  # hex digits
TICK = 1e-6  # seconds between submissions of one reading: first in, first out needs an order

Signature = tuple[tuple[str, int, int, int], ...]


class Known(Protocol):
    """What intake reads of the store."""

    def latest_by_key(self, source: str) -> Mapping[str, Submission]:
        """The newest submission of each key of a queue."""
        ...

    def deliveries(self, *, submission_ids: Collection[str]) -> Sequence[Delivery]:
        """What sinks were, or are to be, told of submissions."""
        ...

    def next_label(self, name: str, taken: Iterable[str] = ()) -> str:
        """The first of name, name-2, name-3 … that no submission has; `taken` are given out already."""
        ...


def wish(pool: Pool) -> PoolWish:
    """A pool that is in force. Raises OSError when a file that it brings cannot be read."""
    return PoolWish(pool=pool, spec=pool_to_json(pool), spec_hash=spec_hash(pool))


def signature(folder: Path) -> Signature:
    """What tells one state of a folder of spec files from another, without reading them. Raises OSError."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix in SUFFIXES:
            stat = path.stat()
            found.append((path.name, stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)


def _file_signature(file: Path) -> Signature:
    """The same of one file; nothing where there is none to be looked at."""
    try:
        if not file.is_file():
            return ()
        stat = file.stat()
    except OSError:
        return ()
    return ((file.name, stat.st_mtime_ns, stat.st_size, stat.st_ino),)


@define(kw_only=True)
class SpecFiles:
    """The pools' folder, read again whenever it changed. An edit of config.yml is told, and no more."""

    config: Config
    load: Callable[[Path], Pools] = load_pools
    wishes: dict[str, PoolWish] = Factory(dict)
    complete: bool = True
    seen: Signature | None = field(default=None, init=False)
    seen_config: Signature = field(
        default=Factory(lambda self: _file_signature(self.config.source), takes_self=True), init=False
    )

    def desired(self) -> Desired:
        """The last good spec of each pool."""
        self._look_at_config()
        now = self.seen
        try:
            now = signature(self.config.pools)
        except OSError as error:
            self._unreadable(f"{self.config.pools}: {error.strerror}")
        if now != self.seen:
            self._read()
            self.seen = now
        return Desired(config=self.config, pools=dict(self.wishes), complete=self.complete)

    def _look_at_config(self) -> None:
        now = _file_signature(self.config.source)
        if now == self.seen_config:
            return
        self.seen_config = now
        why: tuple[object, ...] = ()
        try:
            if load_config(self.config.source) == self.config:
                return  # a comment, or all as it was again
        except SpecError as error:
            why = error.problems
        log.warning("%s changed: it is read at the start, so start again for it", self.config.source)
        for problem in why:
            log.warning("%s", problem)

    def _unreadable(self, why: str) -> None:
        if self.complete:
            log.warning("%s: the pools stay as they were", why)
        self.complete = False

    def _read(self) -> None:
        read = self.load(self.config.pools)
        for problem in read.problems:
            log.warning("%s", problem)
        if not read.pools and not read.refused:
            self._unreadable(f"{self.config.pools} holds no pool")
            return
        fresh = {pool.pool: self._wish(pool) for pool in read.pools}
        kept = {
            name: evolve(old, problem="; ".join(str(p) for p in read.problems if p.file == old.pool.source))
            for name, old in self.wishes.items()
            if name not in fresh and old.pool.source in read.refused
        }
        self.wishes = {name: made for name, made in {**kept, **fresh}.items() if made}
        self.complete = True

    def _wish(self, pool: Pool) -> PoolWish | None:
        try:
            return wish(pool)
        except OSError as error:
            old = self.wishes.get(pool.pool)
            so = "its last good spec stays in force" if old else "the pool is left out until its spec file is edited"
            problem = f"{pool.source}: a file that it brings cannot be read: {error}; {so}"
            log.warning("%s", problem)
            return evolve(old, problem=problem) if old else None


@frozen(kw_only=True)
class Feed:
    """A queue, and the pool of its submissions that name none."""

    queue: Queue
    pool: str


class Specs(Protocol):
    """The pools' specs, wherever they are written."""

    config: Config

    def desired(self) -> Desired:
        """The last good spec of each pool."""
        ...


@define(kw_only=True)
class FileSource:
    """The files and queues of one deployment, as the loop asks for them."""

    specs: Specs
    feeds: Sequence[Feed]
    known: Known
    db: Database

    def desired(self) -> Desired:
        """The last good spec of each pool."""
        return self.specs.desired()

    async def intake(self, recorded: Recorded) -> tuple[Sequence[Step], bool]:
        """Steps for what the queues hold now."""
        steps: list[Step] = []
        taken: set[str] = set()
        unsettled = [await self._of_one(feed, recorded, steps, taken) for feed in self.feeds]
        return steps, any(unsettled)

    async def _of_one(self, feed: Feed, recorded: Recorded, steps: list[Step], taken: set[str]) -> bool:
        """Adds the steps of one queue; answers whether something in it is still being written."""
        reading = await feed.queue.read()
        latest = await self.db(self.known.latest_by_key, reading.queue)
        wanted = await self._wanted(reading, latest)
        if any(_is_anew(one, latest) for one in wanted):
            # What was read may be older than what is known: what it asks for may have been done, and told, meanwhile.
            reading = await feed.queue.read()
            told = {one.submission.id for one in wanted if isinstance(one, Renew)}
            wanted = [one for one in intake(reading, latest) if not isinstance(one, Renew) or one.submission.id in told]
        if not reading.good:
            log.warning("queue %s: %s", reading.queue, reading.error)
            return False
        for one in wanted:
            if isinstance(one, Take | Supersede | Renew):
                now = recorded.now + len(steps) * TICK
                steps.append(await self._taken(one, feed, reading.queue, latest.get(one.entry.key), now, taken))
            else:
                steps.append(_step(one))
        return bool(reading.unsettled)

    async def _wanted(self, reading: Reading, latest: Mapping[str, Submission]) -> Sequence[Intention]:
        """What a reading means, but for one that has ended untold: what its queue asks for may be what it had."""
        return [
            one
            for one in intake(reading, latest)
            if not (isinstance(one, Renew) and await self._is_untold(one.submission, reading.queue))
        ]

    async def _taken(
        self,
        one: Take | Supersede | Renew,
        feed: Feed,
        queue: str,
        before: Submission | None,
        now: float,
        taken: set[str],
    ) -> Step:
        """A new submission, in the place of the latest of its key where there is one."""
        label = await self.db(self.known.next_label, one.entry.name, taken)
        taken.add(label)
        now = max(now, before.created + TICK) if before else now  # whatever our clock says, it is the latest
        born = self._birth(
            one.entry, arrival_id(queue, one.entry.key, before), label, queue, now,
            pool=feed.pool, retry_of=one.submission.id if isinstance(one, Renew) else "",
        )  # fmt: skip
        if not isinstance(one, Supersede):
            return born
        out = step_out(one.submission, "supersede", "superseded", "its folder changed")
        return Step((out, *born.writes), f"{one.submission.label}: its folder changed; {born.why}")

    async def _is_untold(self, row: Submission, sink: str) -> bool:
        """Whether the queue has not heard yet how it ended: what it asks for may be what it had."""
        deliveries = await self.db(self.known.deliveries, submission_ids=(row.id,))
        return any(each.sink == sink and each.state != "delivered" for each in deliveries)

    def _birth(
        self, entry: Entry, submission_id: str, label: str, queue: str, now: float, *, pool: str, retry_of: str
    ) -> Step:
        config = self.specs.config
        arrival = Arrival(
            id=submission_id,
            name=entry.name,
            label=label,
            content=entry.content,
            options=entry.options,
            pool=pool_for(entry.options.pool, pool, self.specs.desired().pools),
            source=queue,
            source_key=entry.key,
            retry_of=retry_of,
            problem=entry.problem,
        )
        return birth(config, arrival, now)


def arrival_id(queue: str, key: str, before: Submission | None) -> str:
    """The id of a queue's submission: every process that takes the place of the same one gives the same.

    So one of them wins, also where they read different contents; the others find theirs changed in a later pass.
    """
    told = (queue, key, before.id if before else "")
    return sha256("\0".join(told).encode()).hexdigest()[:ID_LENGTH]


def _is_anew(one: Intention, latest: Mapping[str, Submission]) -> bool:
    """Whether a queue that may ask for the same again wants something in the place of what is known."""
    return isinstance(one, Take | Supersede | Renew) and one.entry.renewed and one.entry.key in latest


def _step(one: Withdraw | Absent | Present | End) -> Step:
    """What becomes of one that is known, and that its queue holds, or does not hold any more."""
    row = one.submission
    if isinstance(one, Withdraw):
        return Step((step_out(row, "withdraw", WITHDRAWN, "its folder is gone"),), f"{row.label}: its folder is gone")
    if isinstance(one, End):
        return Step((_note(row, cancel_wanted=True),), f"{row.label}: gone from its queue")
    absences, word = (
        (row.absences + 1, "missing from its queue") if isinstance(one, Absent) else (0, "in its queue again")
    )
    return Step((_note(row, absences=absences),), f"{row.label}: {word}")


def _note(row: Submission, **sets: object) -> Update:
    return Update(table="submissions", id=row.id, version=row.version, sets=sets)
