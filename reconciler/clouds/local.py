"""The local cloud: machines that are folders on this computer, for trying things out and for small work.

Its truth is in the file system, as EC2's is in EC2, and never in our database. A machine's processes carry
RECONCILER_MACHINE in their environment; ending it ends them all, and also a shell that somebody left in its folder.
"""

import asyncio
import functools
import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from attrs import frozen

from reconciler.clouds.base import CloudError, Owner
from reconciler.clouds.local_folders import (
    CLOUD_ID,
    BrokenError,
    Folders,
    FullError,
    MismatchError,
    VanishedError,
)
from reconciler.clouds.local_groups import end_groups, remove_groups
from reconciler.clouds.local_lock import BusyError
from reconciler.clouds.local_processes import ProcessesLeftError, end_processes
from reconciler.clouds.local_record import Record
from reconciler.clouds.local_turns import Turns
from reconciler.hosts.agent import AgentHost
from reconciler.hosts.base import Host, UnreachableError
from reconciler.hosts.local import LocalTransport
from reconciler.hosts.transport import Result, Transport
from reconciler.model.offer import Fault, LaunchRequest, Listing, Machine, MachineState, Place
from reconciler.model.tags import CONTROLLER
from reconciler.spec import options
from reconciler.spec.canonical import UnreadableSpec, settings_from_json

COLLECTIONS = 2  # jobs of which results are brought home at a time: others start on this very computer meanwhile

_T = TypeVar("_T")
_FAULTS: tuple[tuple[type[Exception], Fault], ...] = (
    (FullError, Fault.CAPACITY),
    (MismatchError, Fault.REFUSED),
    (VanishedError, Fault.UNREACHABLE),
    (BrokenError, Fault.UNREACHABLE),
    (BusyError, Fault.UNREACHABLE),
    (ProcessesLeftError, Fault.OURS),
    (OSError, Fault.OURS),
)


def local_place(folder: Path) -> Place:
    """The place of machines below an absolute folder."""
    return Place(cloud="local", settings=json.dumps({"folder": str(folder)}, sort_keys=True, separators=(",", ":")))


class LocalCloud:
    """The machines below one folder. The frozen settings of a launch say its boot time, capacity and delay."""

    def __init__(self, place: Place, *, delay: float = 0.0, clock: Callable[[], float] = time.time) -> None:
        """`delay` is how late other answers than a launch's come, in seconds; `clock` tells seconds since the epoch."""
        self.place = place
        self._folders = Folders(Path(json.loads(place.settings)["folder"]), clock)
        self._delay = delay
        self._clock = clock
        self._turns = Turns(starts=os.cpu_count() or 1, collections=COLLECTIONS)

    async def listing(self, owner: Owner) -> Listing:
        """Every machine of the controller; what cannot be read makes the listing incomplete, and not smaller."""
        try:
            scan = await self._do(self._folders.scan)
        except CloudError as error:
            return Listing(place=self.place, complete=False, error=error.message)
        # What these folders say holds at once.
        ours = [record for record in scan.live + scan.ended if record.tags.get(CONTROLLER) == owner.controller]
        return Listing(
            place=self.place,
            machines=tuple(self._machine(record) for record in ours),
            complete=not scan.broken,
            error="; ".join(scan.broken[:3]),
            grace=0.0,
        )

    async def lookup(self, cloud_ids: Sequence[str]) -> Mapping[str, Machine | None]:
        """Machines by id, also those that ended long ago while their tombstones are kept.

        Of one whose folder somebody removed, the processes that still stand in it are ended: nobody else would.
        """
        found = await self._do(lambda: {cloud_id: self._find(cloud_id) for cloud_id in cloud_ids})
        return {cloud_id: self._machine(record) if record else None for cloud_id, record in found.items()}

    async def launch(self, request: LaunchRequest) -> Sequence[Machine]:
        """Make up to `count` folders at once, all of them or, when killed in between, none."""
        if request.count < 1 or not 1 <= len(request.token) <= 64 or not request.token.isascii():
            raise CloudError(Fault.REFUSED, "a launch takes a count from 1 and a token of 1 to 64 ASCII characters")
        try:
            settings = settings_from_json(request.settings, options.LocalCloud)
        except UnreadableSpec as error:
            raise CloudError(Fault.REFUSED, f"the launch's cloud settings are unreadable: {error}") from error
        launch = functools.partial(self._folders.launch, boot=settings.boot, capacity=settings.capacity)
        records = await self._do(lambda: launch(request), delay=max(self._delay, settings.delay))
        return tuple(self._machine(record) for record in records)

    async def terminate(self, cloud_ids: Sequence[str]) -> None:
        """End every process of the machines, then their folders. Raises CloudError(NOT_FOUND) before ending any."""
        await self._do(lambda: self._terminate(cloud_ids))

    async def stop(self, cloud_ids: Sequence[str]) -> None:
        """End every process of the machines and keep their folders."""
        await self._do(lambda: self._stop(cloud_ids))

    async def start(self, cloud_ids: Sequence[str]) -> None:
        """Let stopped machines run again, after their boot time."""
        await self._do(lambda: self._start(cloud_ids))

    def host(self, machine: Machine, settings: str) -> Host:  # noqa: ARG002 (a folder needs no keys to get in)
        """A way into the machine, which is unreachable whenever the machine does not run."""
        cloud_id = machine.cloud_id
        transport = LocalTransport(
            self._folders.home(cloud_id),
            self._folders.mark(cloud_id),
            boot_id_file=self._folders.boot_id(cloud_id),
        )
        gate, turns = _Gate(transport, lambda: self._enter(cloud_id)), self._turns
        return AgentHost(gate, confined=True, starting=turns.starting, gently=turns.gently)

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _find(self, cloud_id: str) -> Record | None:
        record = self._folders.find(cloud_id)
        if record is None and CLOUD_ID.fullmatch(cloud_id):
            end_processes({cloud_id: (self._folders.root / cloud_id,)})
        return record

    def _machine(self, record: Record) -> Machine:
        return record.machine(self._clock(), self._folders.home(record.cloud_id))

    async def _do(self, work: Callable[[], _T], *, delay: float | None = None) -> _T:
        """Blocking work in a thread, its refusals as faults; the answer comes late where that is asked for."""
        late = self._delay if delay is None else delay
        try:
            answer = await asyncio.to_thread(work)
        except tuple(kind for kind, _ in _FAULTS) as error:
            await asyncio.sleep(late)
            fault = next(fault for kind, fault in _FAULTS if isinstance(error, kind))
            raise CloudError(fault, str(error)) from error
        await asyncio.sleep(late)
        return answer

    def _terminate(self, cloud_ids: Sequence[str]) -> None:
        live = [cloud_id for cloud_id in self._known(cloud_ids) if self._shut(cloud_id)]
        self._end_processes(live)
        for cloud_id in live:
            self._folders.bury(cloud_id)
        self._folders.prune()

    def _shut(self, cloud_id: str) -> bool:
        """Let nothing in any more, where the machine still lives."""
        return self._folders.turn(cloud_id, MachineState.SHUTTING_DOWN, "terminated by request") is not None

    def _stop(self, cloud_ids: Sequence[str]) -> None:
        going = self._alive(cloud_ids)
        for cloud_id in going:
            self._folders.turn(cloud_id, MachineState.STOPPING, "stopped by request")
        self._end_processes(going)
        for cloud_id in going:
            self._folders.turn(cloud_id, MachineState.STOPPED, "stopped by request")

    def _start(self, cloud_ids: Sequence[str]) -> None:
        for cloud_id in self._alive(cloud_ids):
            record = self._folders.find(cloud_id)
            if record and record.state == MachineState.STOPPING:
                raise CloudError(Fault.REFUSED, f"{cloud_id} is being stopped; start it when that is done")
            self._folders.turn(cloud_id, MachineState.RUNNING)

    def _end_processes(self, cloud_ids: Sequence[str]) -> None:
        marks = {self._folders.mark(cloud_id): (self._folders.root / cloud_id,) for cloud_id in cloud_ids}
        for mark in marks:
            end_groups(mark)
        end_processes(marks)
        for mark in marks:
            remove_groups(mark)

    def _known(self, cloud_ids: Sequence[str]) -> Sequence[str]:
        """The ids, all of which there is or was a machine of."""
        for cloud_id in cloud_ids:
            if not (self._folders.is_live(cloud_id) or self._folders.find(cloud_id)):
                raise CloudError(Fault.NOT_FOUND, f"there is no machine {cloud_id} in {self._folders.root}")
        return cloud_ids

    def _alive(self, cloud_ids: Sequence[str]) -> Sequence[str]:
        """The ids, all of which are live machines that are not being ended."""
        for cloud_id in cloud_ids:
            record = self._folders.find(cloud_id)
            if record is None or record.state == MachineState.TERMINATED:
                raise CloudError(Fault.NOT_FOUND, f"there is no machine {cloud_id} in {self._folders.root}")
            if record.state == MachineState.SHUTTING_DOWN:
                raise CloudError(Fault.REFUSED, f"{cloud_id} is being terminated")
        return cloud_ids

    def _enter(self, cloud_id: str) -> None:
        """Raises UnreachableError unless the machine runs."""
        try:
            record = self._folders.find(cloud_id)
            state = record.seen(self._clock()) if record else "unknown"
            if record is None or state is not MachineState.RUNNING:
                raise UnreachableError(f"{cloud_id} is {state}")
            self._folders.write_boot_id(record)
        except (VanishedError, BrokenError, OSError) as error:
            raise UnreachableError(str(error)) from error


@frozen
class _Gate:
    """A transport that lets nothing in while its machine does not run."""

    inner: Transport
    check: Callable[[], None]  # raises UnreachableError
    host_key: str = ""

    async def run(
        self, argv: Sequence[str], *, stdin: AsyncIterator[bytes] | bytes = b"", timeout: float = 60.0
    ) -> Result:
        self.check()
        return await self.inner.run(argv, stdin=stdin, timeout=timeout)

    def stream(self, argv: Sequence[str]) -> AsyncGenerator[bytes, None]:
        self.check()
        return self.inner.stream(argv)

    async def close(self) -> None:
        await self.inner.close()
