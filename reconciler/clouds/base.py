"""What the rest of the program asks of a cloud. The truth about machines is the cloud's, not the database's."""

from asyncio import Semaphore
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from attrs import frozen

from reconciler.hosts.base import Host
from reconciler.model.offer import Fault, LaunchRequest, Listing, Machine, Offer, Place
from reconciler.spec.values import Pool


class CloudError(Exception):
    """A cloud refused or did not answer; `fault` says which policy applies."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message


@frozen(kw_only=True)
class Owner:
    """Who we are, as tags on machines tell it."""

    controller: str
    database_id: str


@frozen(kw_only=True)
class Here:
    """Our own process, as clouds need to know it."""

    owner: Owner
    environ: Mapping[str, str]  # where secrets that settings only name are found
    folder: Path  # what is kept beside the database
    handshakes: Semaphore  # so many machines are connected to at a time


class Found(StrEnum):
    """What came of a check."""

    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "could not check"


@frozen(kw_only=True)
class Check:
    """One thing that a launch will need, looked at before money is spent."""

    what: str
    found: Found
    text: str  # what was found; for a problem also what to do


class Examine(Protocol):
    """Looks at what a pool's launches will need of its cloud, and changes nothing. Never raises CloudError."""

    def __call__(self, pool: Pool, here: Here) -> AsyncIterator[Check]:
        """Each check as it is done."""
        ...


class Price(Protocol):
    """Asks what machines cost."""

    async def __call__(self, settings: str, offers: Collection[Offer], here: Here) -> Mapping[Offer, float]:
        """US dollars an hour for the offers of which it can be known. Never raises CloudError."""
        ...


class Cloud(Protocol):
    """One place with machines in it. Raises CloudError from every call but `listing`, which answers with it."""

    place: Place

    async def listing(self, owner: Owner) -> Listing:
        """Every machine of this controller here, whichever database bought it; the terminated ones while shown."""
        ...

    async def lookup(self, cloud_ids: Sequence[str]) -> Mapping[str, Machine | None]:
        """Machines asked for by id, in one call; None for an id that the cloud says it does not know."""
        ...

    async def launch(self, request: LaunchRequest) -> Sequence[Machine]:
        """Buy between one and `count` machines. The same token gives the same machines, also when they have ended."""
        ...

    async def terminate(self, cloud_ids: Sequence[str]) -> None:
        """End machines and everything on them. Ending what has ended is no error. The ids are never empty."""
        ...

    async def stop(self, cloud_ids: Sequence[str]) -> None:
        """Stop machines, keeping their disks."""
        ...

    async def start(self, cloud_ids: Sequence[str]) -> None:
        """Start stopped machines."""
        ...

    def host(self, machine: Machine, settings: str) -> Host:
        """A way into the machine, by the cloud settings that it was born with. Connects when first used."""
        ...

    async def close(self) -> None:
        """Let go of connections. Machines go on."""
        ...
