"""Asks the outside world: clouds for listings, hosts for reports. What did not answer is unknown, never gone.

Hosts are asked in one of two ways. A `Watch` keeps one long poll open to each, so that a job's end is known within
milliseconds; `ask_all` asks each once, for a pass that must not wait.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import Factory, define

from reconciler.clouds.base import Cloud, CloudError, Owner
from reconciler.decide.sightings import place_of
from reconciler.hosts.base import Host, HostRefusedError, UnreachableError
from reconciler.lifecycle.instance import HOSTED, INSTANCE
from reconciler.model.offer import Listing, Machine, Place
from reconciler.model.rows import Instance
from reconciler.model.snapshot import Heard, Recorded, Silence

log = logging.getLogger(__name__)

PATIENCE = 20.0  # seconds for a cloud or a host to answer a question that needs no waiting
LONG_POLL = 50.0  # seconds that a host may keep a long poll open
REST = 0.2  # seconds before a host with news is asked again: what the news sets off comes first
PROBES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0)  # seconds between failed probes; the last repeats

# What may well happen when one asks somebody far away. Anything else is a fault of ours, and says as little about them.
FORESEEN = (CloudError, UnreachableError, HostRefusedError, TimeoutError, OSError)

Clouds = Callable[[Place], Cloud]
Clock = Callable[[], float]


def _said(error: Exception, doing: str) -> str:
    if not isinstance(error, FORESEEN):
        log.error("%s failed in a way that nobody foresaw", doing, exc_info=error)
    return str(error) or "no answer"


async def listings(places: Iterable[Place], clouds: Clouds, owner: Owner) -> tuple[Listing, ...]:
    """One listing of each place, all at the same time. One that does not come is incomplete, and proves nothing."""

    async def one(place: Place) -> Listing:
        try:
            async with asyncio.timeout(PATIENCE):
                return await clouds(place).listing(owner)
        except Exception as error:
            return Listing(place=place, complete=False, error=_said(error, f"listing {place.cloud}"))

    return tuple(await asyncio.gather(*(one(place) for place in places)))


async def lookups(recorded: Recorded, seen: Sequence[Listing], clouds: Clouds) -> Mapping[str, Machine | None]:
    """Ask by id, in one call a place, for bound rows that a complete listing does not name."""
    complete = {listing.place for listing in seen if listing.complete}
    listed = {machine.cloud_id for listing in seen for machine in listing.machines}
    missing: dict[Place, list[str]] = {}
    for row in recorded.instances.values():
        is_live = row.cloud_id and not INSTANCE.is_final(row.state)
        if is_live and row.cloud_id not in listed and place_of(row) in complete:
            missing.setdefault(place_of(row), []).append(row.cloud_id)
    found: dict[str, Machine | None] = {}
    for place, ids in missing.items():
        try:
            async with asyncio.timeout(PATIENCE):
                found |= await clouds(place).lookup(ids)
        except Exception as error:  # unknown stays unknown
            log.info("%s could not be asked by id: %s", place.cloud, _said(error, f"asking {place.cloud}"))
    return found


def hosted(recorded: Recorded) -> list[Instance]:
    """Instances whose hosts are worth asking."""
    return [row for row in recorded.instances.values() if row.state in HOSTED and row.cloud_id]


async def ask_all(
    rows: Iterable[Instance], hosts: Callable[[Instance], Host], clock: Clock
) -> Mapping[str, Heard | Silence]:
    """Ask each host once, all at the same time."""

    async def one(row: Instance) -> tuple[str, Heard | Silence]:
        asked = clock()
        try:
            async with asyncio.timeout(PATIENCE):
                report = await hosts(row).report()
        except Exception as error:
            return row.id, Silence(error=_said(error, f"asking {row.id}"), at=clock())
        return row.id, Heard(report=report, asked=asked)

    return dict(await asyncio.gather(*(one(row) for row in rows)))


@define(kw_only=True)
class Watch:
    """Long polls to many hosts, and the latest that each said."""

    hosts: Callable[[Instance], Host]
    clock: Clock
    wake: Callable[[], None]
    latest: dict[str, Heard | Silence] = Factory(dict)
    tasks: dict[str, tuple[str, asyncio.Task[None]]] = Factory(dict)  # instance → (address, its long poll)

    def follow(self, rows: Sequence[Instance]) -> None:
        """Watch these hosts and no others. One whose address changed is watched anew."""
        wanted = {row.id: row for row in rows}
        for instance_id, (address, task) in list(self.tasks.items()):
            if instance_id not in wanted or wanted[instance_id].address != address or task.done():
                task.cancel()
                del self.tasks[instance_id]
                self.latest.pop(instance_id, None)
        for instance_id, row in wanted.items():
            if instance_id not in self.tasks:
                self.tasks[instance_id] = (row.address, asyncio.create_task(self._poll(row), name=f"watch {row.id}"))

    def take(self) -> Mapping[str, Heard | Silence]:
        """What is known of each host now. A silence is told once, for it counts as one failed probe."""
        taken = dict(self.latest)
        for instance_id, said in taken.items():
            if isinstance(said, Silence):
                del self.latest[instance_id]
        return taken

    async def stop(self) -> None:
        """Close every long poll. Jobs go on."""
        tasks = [task for _, task in self.tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.tasks.clear()

    async def _poll(self, row: Instance) -> None:
        mark, failures = "", 0
        while True:
            asked = self.clock()
            try:
                wait = LONG_POLL if mark else 0.0
                async with asyncio.timeout(wait + PATIENCE):  # wait_for of Python 3.11 may swallow a cancellation
                    report = await self.hosts(row).report(wait=wait, mark=mark)
            except Exception as error:
                self.latest[row.id] = Silence(error=_said(error, f"asking {row.id}"), at=self.clock())
                mark = ""
                self.wake()
                await asyncio.sleep(PROBES[min(failures, len(PROBES) - 1)])
                failures += 1
                continue
            changed = report.mark != mark or failures > 0 or row.id not in self.latest
            self.latest[row.id] = Heard(report=report, asked=asked)
            mark, failures = report.mark, 0
            if changed:
                self.wake()
                await asyncio.sleep(REST)
