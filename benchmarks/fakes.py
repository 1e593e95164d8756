"""A cloud and hosts in this process, for more machines than this computer has: they answer at once.

They say what a converged world says: every machine runs, every job on it runs.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NoReturn

from attrs import frozen

from reconciler.clouds.base import Owner
from reconciler.model.job import Report
from reconciler.model.offer import Listing, Machine, Place


@frozen
class FakeHost:
    """One machine's agent. A long poll that names this state of affairs is never answered, for nothing changes."""

    answer: Report

    async def report(self, *, wait: float = 0.0, mark: str = "") -> Report:
        if wait and mark == self.answer.mark:
            await asyncio.Event().wait()
        return self.answer

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"a converged pass asked a host to {name}")


@frozen
class FakeCloud:
    """One place and its machines."""

    place: Place
    machines: tuple[Machine, ...]

    async def listing(self, owner: Owner) -> Listing:  # noqa: ARG002 (all of them are ours)
        return Listing(place=self.place, machines=self.machines)

    async def lookup(self, cloud_ids: Sequence[str]) -> Mapping[str, Machine | None]:
        raise AssertionError(f"a converged pass looked for {len(cloud_ids)} machines that are listed")

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"a converged pass asked the cloud to {name}")
