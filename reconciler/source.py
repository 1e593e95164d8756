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
from reconciler.queues.base import Entry, Queue
from reconciler.queues.intake import WITHDRAWN, Absent, End, Present, Renew, Supersede, Withdraw, intake
from reconciler.spec.canonical import pool_to_json, spec_hash
from reconciler.spec.loader import SUFFIXES, Pools, load_pools
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


@define(kw_only=True)
class SpecFiles:
    """The pools' folder, read again whenever it changed."""

    config: Config
    load: Callable[[Path], Pools] = load_pools
    wishes: dict[str, PoolWish] = Factory(dict)
    complete: bool = True
    seen: Signature | None = field(default=None, init=False)

    def desired(self) -> Desired:
        """The last good spec of each pool."""
        now = self.seen
        try:
            now = signature(self.config.pools)
        except OSError as error:
            self._unreadable(f"{self.config.pools}: {error.strerror}")
        if now != self.seen:
            self._read()
            self.seen = now
        return Desired(config=self.config, pools=dict(self.wishes), complete=self.complete)

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
            log.warning("pool %s: %s: its last good spec stays in force", pool.pool, error)
            old = self.wishes.get(pool.pool)
            return evolve(old, problem=str(error)) if old else None


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
        if not reading.good:
            log.warning("queue %s: %s", reading.queue, reading.error)
            return False
        latest = await self.db(self.known.latest_by_key, reading.queue)
        for one in intake(reading, latest):
            if isinstance(one, Renew) and await self._is_untold(one.submission, reading.queue):
                continue
            if isinstance(one, Withdraw):
                out = step_out(one.submission, "withdraw", WITHDRAWN, "its folder is gone")
                steps.append(Step((out,), f"{one.submission.label}: its folder is gone"))
            elif isinstance(one, Absent | Present):
                count = one.submission.absences + 1 if isinstance(one, Absent) else 0
                steps.append(_seen(one.submission, count))
            elif isinstance(one, End):
                end = Update(table="submissions", id=one.submission.id, version=one.submission.version,
                             sets={"cancel_wanted": True})  # fmt: skip
                steps.append(Step((end,), f"{one.submission.label}: gone from its queue"))
            else:
                label = await self.db(self.known.next_label, one.entry.name, taken)
                taken.add(label)
                before = latest.get(one.entry.key)
                now = recorded.now + len(steps) * TICK
                born = self._birth(
                    one.entry, arrival_id(reading.queue, one.entry, before), label, reading.queue, now,
                    pool=feed.pool, retry_of=one.submission.id if isinstance(one, Renew) else "",
                )  # fmt: skip
                if isinstance(one, Supersede):
                    out = step_out(one.submission, "supersede", "superseded", "its folder changed")
                    born = Step((out, *born.writes), f"{one.submission.label}: its folder changed; {born.why}")
                steps.append(born)
        return bool(reading.unsettled)

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


def arrival_id(queue: str, entry: Entry, before: Submission | None) -> str:
    """The id of a queue's submission: the same for every process that reads the same, so that one of them wins."""
    told = (queue, entry.key, entry.content, entry.problem, before.id if before else "")
    return sha256("\0".join(told).encode()).hexdigest()[:ID_LENGTH]


def _seen(row: Submission, absences: int) -> Step:
    update = Update(table="submissions", id=row.id, version=row.version, sets={"absences": absences})
    return Step((update,), f"{row.label}: {'missing from its queue' if absences else 'in its queue again'}")
