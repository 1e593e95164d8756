"""What the rest of the program asks of a cloud. The truth about machines is the cloud's, not the database's."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from attrs import frozen

from reconciler.hosts.base import Host
from reconciler.model.offer import Fault, LaunchRequest, Listing, Machine, Place


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
