"""What machines cost: an hour's price, as their cloud tells it today, times the hours that each ran. About, that is.

Disks, traffic and prices that changed meanwhile are not in it. What cannot be known is None, never an error.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import frozen

from reconciler.clouds.base import Here, Price
from reconciler.lifecycle.instance import INSTANCE, OFF
from reconciler.model.offer import Market, Offer
from reconciler.model.rows import Event, Instance

LIMIT = 10.0  # seconds for all prices together: a table must not wait longer for a column
HOUR = 3600.0  # seconds
UNBOUGHT = frozenset({*OFF, "launching"})  # states in which a machine is not paid for by the hour

log = logging.getLogger(__name__)

Known = Mapping[str, Callable[[], Price]]  # kind of cloud → what gives prices


@frozen(kw_only=True)
class Cost:
    """Of one machine, in US dollars; None where it is not known."""

    hourly: float | None  # as it is now: nothing while it is stopped
    so_far: float | None


@frozen(kw_only=True)
class Prices:
    """What is known of the prices that some machines are paid at."""

    known: Known
    by_offer: Mapping[tuple[str, str, Offer], float]  # cloud, settings, offer → US dollars an hour

    def cost(self, row: Instance, events: Sequence[Event], now: float) -> Cost:
        """What a machine costs. One of a cloud without prices, or that was never bought, costs nothing."""
        if row.cloud not in self.known or not row.cloud_id:
            return Cost(hourly=0.0, so_far=0.0)
        price = self.by_offer.get((row.cloud, row.settings, offer(row)))
        if price is None:
            return Cost(hourly=0.0 if row.state in UNBOUGHT else None, so_far=None)
        hours = running(row, events, now) / HOUR
        return Cost(hourly=0.0 if row.state in UNBOUGHT else price, so_far=price * hours)


def offer(row: Instance) -> Offer:
    """What a machine was bought as."""
    return Offer(type=row.type, market=Market(row.market), zone=row.zone)


def running(row: Instance, events: Sequence[Event], now: float) -> float:
    """Seconds that a machine was paid for: since it was bought, without the time that it was stopped."""
    seconds, since = 0.0, None if events or row.state in UNBOUGHT else row.born
    for event in events:
        if event.target in UNBOUGHT:
            seconds += event.at - since if since is not None else 0.0
            since = None
        elif since is None:
            since = event.at
    return seconds + (max(0.0, now - since) if since is not None else 0.0)


def total(costs: Iterable[Cost]) -> Cost:
    """The sum; not known where one part is not."""
    parts = list(costs)
    hourly, so_far = [each.hourly for each in parts], [each.so_far for each in parts]
    return Cost(hourly=_sum(hourly), so_far=_sum(so_far))


def _sum(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


async def prices(rows: Iterable[Instance], here: Here, known: Known) -> Prices:
    """Ask what live machines cost: one question for machines of the same settings, all side by side."""
    wanted: dict[tuple[str, str], set[Offer]] = {}
    for row in rows:
        if row.cloud in known and row.cloud_id and not INSTANCE.is_final(row.state):
            wanted.setdefault((row.cloud, row.settings), set()).add(offer(row))
    found: dict[tuple[str, str, Offer], float] = {}

    async def ask(kind: str, settings: str, offers: set[Offer]) -> None:
        try:
            answer = await known[kind]()(settings, offers, here)
        except Exception as error:  # whatever it is: a table without prices is better than none
            log.info("no prices of %s: %s", kind, error)
        else:
            found.update({(kind, settings, each): price for each, price in answer.items()})

    try:
        async with asyncio.timeout(LIMIT):
            await asyncio.gather(*(ask(kind, settings, offers) for (kind, settings), offers in wanted.items()))
    except TimeoutError:
        log.info("prices did not come within %g s", LIMIT)
    return Prices(known=known, by_offer=found)
