"""The ssh cloud: machines that are simply there. Launching is claiming one, terminating is letting go of it.

Its truth is the owner file on each machine (ssh_owner.py). A machine that does not answer makes a listing incomplete,
and takes nothing from the others: they are claimed, used and let go of meanwhile. Machines that we did not buy get no
watch, and are never stopped.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from attrs import frozen

from reconciler.clouds.base import CloudError, Here, Owner
from reconciler.clouds.ssh_owner import Claim, Owned, claim, claim_of, release, scan
from reconciler.clouds.ssh_ways import FILE, Site, add_pins, read_pins, sites
from reconciler.hosts.agent import AgentHost
from reconciler.hosts.base import Host, HostRefusedError, UnreachableError
from reconciler.hosts.ssh import SshTransport
from reconciler.hosts.transport import Result, Transport
from reconciler.model.offer import Fault, LaunchRequest, Listing, Machine, MachineState, Place
from reconciler.spec import options
from reconciler.spec.canonical import UnreadableSpec, settings_from_json

_LONGEST_TOKEN = 64  # ASCII characters
_MOST_SAID = 3  # machines that an error names

_T = TypeVar("_T")


class SshCloud:
    """The machines that one pool's settings name. All words to one machine go over one connection."""

    def __init__(self, place: Place, here: Here, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` tells seconds since the epoch. Raises CloudError for settings or pins that cannot be read."""
        self.place = place
        self._here = here
        self._clock = clock
        try:
            settings = settings_from_json(place.settings, options.SshCloud)
            self._pins = dict(read_pins(here.folder))
        except UnreadableSpec as error:
            raise CloudError(Fault.REFUSED, f"the place's cloud settings are unreadable: {error}") from error
        except OSError as error:
            raise CloudError(Fault.OURS, f"cannot read {here.folder / FILE}: {error.strerror}") from error
        self._sites: Mapping[str, Site] = {site.name: site for site in sites(settings)}
        self._transports: dict[tuple[str, str], SshTransport] = {}  # by name, and key where a row pins another
        self._pinning = settings.known_hosts is None

    async def listing(self, owner: Owner) -> Listing:
        """The owner files of all machines. One machine that does not answer leaves the listing incomplete."""
        answers, silent = await self._ask(self._sites, scan)
        found = [
            said.claim.machine(self._sites[name].address, name, MachineState.RUNNING)
            for name, said in answers.items()
            if said.claim is not None and said.claim.controller == owner.controller
        ]
        return Listing(place=self.place, machines=tuple(found), complete=not silent, error=_told(silent))

    async def lookup(self, cloud_ids: Sequence[str]) -> Mapping[str, Machine | None]:
        """Machines by id, by their owner file or its tombstone. An id whose machine does not answer is left out."""
        found, silent = await self._find(cloud_ids)
        if silent and not found:
            raise CloudError(Fault.UNREACHABLE, _told(silent))
        return found

    async def launch(self, request: LaunchRequest) -> Sequence[Machine]:
        """Claim up to `count` free machines, in the order of the settings. A token that has claimed claims no more."""
        _check(request)
        answers, silent = await self._ask(self._sites, partial(scan, tokens=[request.token]))
        if silent and not answers:
            raise CloudError(Fault.UNREACHABLE, _told(silent))
        claimed = self._claimed_before(request, answers)
        if not claimed:
            claimed, refused = await self._claim(request, [name for name, said in answers.items() if said.free])
            silent = {**silent, **refused}
        if not claimed:
            more = f"; {_told(silent)}" if silent else ""
            raise CloudError(Fault.CAPACITY, f"none of {len(self._sites)} machines is free{more}")
        return claimed

    async def terminate(self, cloud_ids: Sequence[str]) -> None:
        """End every job on the machines, then let go of them. Raises CloudError(NOT_FOUND) before ending any."""
        found = await self._known(cloud_ids)
        live = {_split(each.cloud_id)[0]: each for each in found if each.state is MachineState.RUNNING}

        _, silent = await self._each({name: partial(_end, machine=machine) for name, machine in live.items()})
        if silent:
            raise CloudError(Fault.UNREACHABLE, _told(silent))

    async def stop(self, cloud_ids: Sequence[str]) -> None:
        """Refused: whoever switches such a machine off would have to switch it on again by hand."""
        await self._known(cloud_ids)
        raise CloudError(Fault.REFUSED, "machines that are simply there are not stopped: say `idle: terminate after …`")

    async def start(self, cloud_ids: Sequence[str]) -> None:
        """Refused, as stopping is."""
        await self._known(cloud_ids)
        raise CloudError(Fault.REFUSED, "machines that are simply there are not started")

    def host(self, machine: Machine, settings: str) -> Host:  # noqa: ARG002 (the place's settings are all there are)
        """A way into the machine, over the connection that its owner file is read by."""
        name = next((site.name for site in self._sites.values() if site.address == machine.address), "")
        name = name or _split(machine.cloud_id)[0]
        if name not in self._sites:
            raise CloudError(
                Fault.NOT_FOUND, f"{machine.address or machine.cloud_id} is not among this place's machines"
            )
        return AgentHost(_Shared(self._transport(name, machine.host_key)))

    async def close(self) -> None:
        """Let go of connections. Jobs go on, and machines stay ours."""
        await asyncio.gather(*(transport.close() for transport in self._transports.values()))

    def _transport(self, name: str, pinned: str = "") -> SshTransport:
        """The machine's one connection; another only where a row pins another key than the one that is known here."""
        known = self._transports.get((name, ""))
        believed = (known.host_key if known else "") or self._pins.get(name, "")
        key = (name, pinned if pinned and believed and pinned != believed else "")
        if key not in self._transports:
            way = self._sites[name].way(pinned or believed)
            self._transports[key] = SshTransport(way, handshakes=self._here.handshakes)
        return self._transports[key]

    async def _ask(
        self, names: Iterable[str], question: Callable[[Transport], Awaitable[_T]]
    ) -> tuple[Mapping[str, _T], Mapping[str, str]]:
        """The same of several machines."""
        return await self._each(dict.fromkeys(names, question))

    async def _each(
        self, works: Mapping[str, Callable[[Transport], Awaitable[_T]]]
    ) -> tuple[Mapping[str, _T], Mapping[str, str]]:
        """What came of each, all at the same time, and why nothing came of the others."""
        answers: dict[str, _T] = {}
        silent: dict[str, str] = {}

        async def one(name: str) -> None:
            try:
                answers[name] = await works[name](self._transport(name))
            except (UnreachableError, HostRefusedError) as error:
                silent[name] = str(error)

        await asyncio.gather(*map(one, works))
        await self._remember_keys()
        ordered = {name: answers[name] for name in works if name in answers}
        return ordered, silent

    async def _remember_keys(self) -> None:
        seen = {name: transport.host_key for (name, _), transport in self._transports.items()}
        new = {name: key for name, key in seen.items() if key and name not in self._pins} if self._pinning else {}
        if new:
            self._pins |= new
            try:
                await asyncio.to_thread(add_pins, self._here.folder, new)
            except OSError as error:
                raise CloudError(Fault.OURS, f"cannot write {self._here.folder / FILE}: {error.strerror}") from error

    async def _find(self, cloud_ids: Sequence[str]) -> tuple[dict[str, Machine | None], Mapping[str, str]]:
        tokens: dict[str, list[str]] = {}
        for name, token in map(_split, cloud_ids):
            if name in self._sites:
                tokens.setdefault(name, []).append(token)
        answers, silent = await self._each({name: partial(scan, tokens=asked) for name, asked in tokens.items()})
        seen = {name: self._machines(name, said) for name, said in answers.items()}
        unknown: Mapping[str, Machine] = {}
        return {
            cloud_id: seen.get(name, unknown).get(cloud_id)
            for cloud_id, (name, _) in zip(cloud_ids, map(_split, cloud_ids), strict=True)
            if name not in silent
        }, silent

    async def _known(self, cloud_ids: Sequence[str]) -> Sequence[Machine]:
        """The machines, all of which there are or were. Raises CloudError."""
        found, silent = await self._find(cloud_ids)
        for cloud_id in cloud_ids:
            if cloud_id in found and found[cloud_id] is None:
                raise CloudError(Fault.NOT_FOUND, f"there is no machine {cloud_id} that this controller claimed")
        if silent:
            raise CloudError(Fault.UNREACHABLE, _told(silent))
        return [machine for machine in found.values() if machine is not None]

    def _machines(self, name: str, said: Owned) -> Mapping[str, Machine]:
        """Every claim of our controller that the machine told of; the present one goes over a tombstone of it."""
        ours = self._here.owner.controller
        claims: list[tuple[Claim, MachineState]] = [(each, MachineState.TERMINATED) for each in said.released]
        claims += [(said.claim, MachineState.RUNNING)] if said.claim else []
        machines = (
            each.machine(self._sites[name].address, name, state) for each, state in claims if each.controller == ours
        )
        return {machine.cloud_id: machine for machine in machines}

    def _claimed_before(self, request: LaunchRequest, answers: Mapping[str, Owned]) -> Sequence[Machine]:
        """What the token claimed already, live or let go of. Raises CloudError where it was another request's."""
        digest = claim_of(request, 0, 0.0).digest
        found: dict[int, Machine] = {}
        for name, said in answers.items():
            claims = (*said.released, *([said.claim] if said.claim else []))
            for each in claims:
                if (each.controller, each.token) != (self._here.owner.controller, request.token):
                    continue
                if each.digest != digest:
                    raise CloudError(Fault.REFUSED, f"the token {request.token} was used for another request")
                machine = self._machines(name, said)[f"{name}/{each.token}.{each.index}"]
                if found.get(each.index, machine).state is not MachineState.TERMINATED or each.index not in found:
                    found[each.index] = machine
        return [found[index] for index in sorted(found)]

    async def _claim(self, request: LaunchRequest, free: Sequence[str]) -> tuple[Sequence[Machine], Mapping[str, str]]:
        """Claim free machines, round after round: others may be quicker, and machines may fail, which is told."""
        got: dict[int, Machine] = {}
        refused: dict[str, str] = {}
        left = list(free)
        while left and len(got) < request.count:
            missing = [index for index in range(request.count) if index not in got]
            wanted = {name: claim_of(request, index, self._clock()) for name, index in zip(left, missing, strict=False)}
            left = left[len(wanted) :]
            answers, failed = await self._each({name: partial(claim, wanted=mine) for name, mine in wanted.items()})
            refused |= failed
            for name, said in answers.items():
                # Also one that another process claimed for this very launch a moment ago.
                if said.claim is not None and said.claim.same_launch(wanted[name]):
                    machine = said.claim.machine(self._sites[name].address, name, MachineState.RUNNING)
                    got.setdefault(machine.index, machine)
        return [got[index] for index in sorted(got)], refused


@frozen
class _Shared:
    """A connection that is the cloud's, and outlives the host that uses it."""

    inner: SshTransport

    @property
    def host_key(self) -> str:
        return self.inner.host_key

    async def run(
        self, argv: Sequence[str], *, stdin: AsyncIterator[bytes] | bytes = b"", timeout: float = 60.0
    ) -> Result:
        return await self.inner.run(argv, stdin=stdin, timeout=timeout)

    def stream(self, argv: Sequence[str]) -> AsyncGenerator[bytes, None]:
        return self.inner.stream(argv)

    async def close(self) -> None:
        """The cloud closes it."""


def _check(request: LaunchRequest) -> None:
    token = request.token
    if request.count < 1 or not 1 <= len(token) <= _LONGEST_TOKEN or not token.isascii():
        raise CloudError(Fault.REFUSED, "a launch takes a count from 1 and a token of 1 to 64 ASCII characters")
    try:
        settings_from_json(request.settings, options.SshCloud)
        claim_of(request, 0, 0.0).line()
    except UnreadableSpec as error:
        raise CloudError(Fault.REFUSED, f"the launch's cloud settings are unreadable: {error}") from error
    except (KeyError, ValueError) as error:
        raise CloudError(Fault.REFUSED, f"an owner file cannot say who this launch is for: {error}") from error


async def _end(transport: Transport, machine: Machine) -> None:
    """End every job, free its disk for whoever comes next, and let go."""
    host = AgentHost(transport)
    await host.release()
    for job in (await host.report()).jobs:
        await host.forget(job)
    await release(transport, machine.token, machine.index)


def _split(cloud_id: str) -> tuple[str, str]:
    """The machine's name, and the token under which it was claimed."""
    name, _, rest = cloud_id.partition("/")
    return name, rest.rpartition(".")[0]


def _told(silent: Mapping[str, str]) -> str:
    """Which machines did not answer, and why, as far as one line holds it."""
    said = [f"{name}: {why}" for name, why in list(silent.items())[:_MOST_SAID]]
    more = len(silent) - len(said)
    return "; ".join([*said, f"and {more} more"] if more else said)
