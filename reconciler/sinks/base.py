"""What the rest of the program asks of a sink. Deliveries come at least once, so a sink bears the same news twice."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from attrs import frozen

from reconciler.model.rows import Attempt, Delivery, Submission
from reconciler.model.snapshot import Done, Failed


@frozen(kw_only=True)
class News:
    """One delivery, with what it tells of."""

    delivery: Delivery
    submission: Submission
    attempt: Attempt | None  # None before the first is placed
    results: Path | None  # where its results lie, once home


class Sink(Protocol):
    """One receiver of news."""

    async def deliver(self, news: Sequence[News]) -> Sequence[Done | Failed]:
        """Take the news of one pool, and answer for each in order. Never raises for what the receiver does."""
        ...
