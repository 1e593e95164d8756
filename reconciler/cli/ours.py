"""Every machine of one controller, found by its tags alone, and ended: what `destroy` does. Needs no database.

Several places are asked side by side; each ends its machines in one call.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from attrs import field, frozen

from reconciler.cli.summary import near
from reconciler.clouds.base import Cloud, CloudError, Here, Owner
from reconciler.model.offer import Machine, MachineState, Place
from reconciler.model.rows import Instance
from reconciler.spec.places import cloud_settings, place
from reconciler.spec.values import Config, Pool

GOING = frozenset({MachineState.SHUTTING_DOWN, MachineState.TERMINATED})

Makers = Mapping[str, Callable[[Place, str, Here], Cloud]]


@frozen(kw_only=True)
class Seen:
    """One machine and where it is."""

    place: Place
    machine: Machine


@frozen(kw_only=True)
class Look:
    """What all places said at one time."""

    machines: tuple[Seen, ...] = ()
    blind: Mapping[Place, str] = field(factory=dict)  # what could not be looked at, and why

    @property
    def living(self) -> tuple[Seen, ...]:
        """Those that still cost money."""
        return tuple(seen for seen in self.machines if seen.machine.state not in GOING)


@frozen(kw_only=True)
class Patience:
    """How long to wait for machines to go, and by which clock."""

    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    total: float = 300.0  # seconds
    pause: float = 5.0  # seconds between looks


@frozen(kw_only=True)
class Ours:
    """The places of one controller. `adopted`: ids of machines that somebody else bought, which are never ended."""

    owner: Owner
    clouds: Mapping[Place, Cloud]
    adopted: frozenset[str] = frozenset()

    async def look(self) -> Look:
        """Ask every place once."""
        listings = await asyncio.gather(*(cloud.listing(self.owner) for cloud in self.clouds.values()))
        found = [Seen(place=each.place, machine=machine) for each in listings for machine in each.machines]
        return Look(
            machines=tuple(seen for seen in found if seen.machine.cloud_id not in self.adopted),
            blind={each.place: each.error or "the list is not whole" for each in listings if not each.complete},
        )

    async def end(self, look: Look, patience: Patience) -> Look:
        """End what lives, as often as it takes; answers with what is left when all is going, or time is up.

        A place that could not be looked at is waited for only where machines of it were to end.
        """
        until, concerned = patience.clock() + patience.total, {seen.place for seen in look.living}
        wanted = look.living
        while True:
            refused = await self._terminate(wanted)
            look = await self._after(wanted)
            if not look.living and concerned.isdisjoint(look.blind):
                return look
            if patience.clock() >= until:
                return Look(machines=look.machines, blind={**refused, **look.blind})
            wanted = look.living or wanted
            await patience.sleep(patience.pause)

    async def close(self) -> None:
        """Let go of connections."""
        for cloud in self.clouds.values():
            await cloud.close()

    async def _terminate(self, wanted: Sequence[Seen]) -> Mapping[Place, str]:
        """One call a place. What is refused is tried again after the next look; here it is only told."""
        refused: dict[Place, str] = {}

        async def at(where: Place, ids: list[str]) -> None:
            try:
                await self.clouds[where].terminate(ids)
            except CloudError as error:
                refused[where] = error.message

        await asyncio.gather(*(at(where, ids) for where, ids in _by_place(wanted).items()))
        return refused

    async def _after(self, wanted: Sequence[Seen]) -> Look:
        """Look again. What a listing no longer shows is asked for by id: absence alone is no evidence."""
        look = await self.look()
        there = {(seen.place, seen.machine.cloud_id) for seen in look.machines}
        missing = [seen for seen in wanted if (seen.place, seen.machine.cloud_id) not in there]
        found: list[Seen] = []
        blind: dict[Place, str] = {}
        for where, ids in _by_place(missing).items():
            try:
                answer = await self.clouds[where].lookup(ids)
            except CloudError as error:
                blind[where] = error.message
            else:
                found += [Seen(place=where, machine=machine) for machine in answer.values() if machine is not None]
                silent = [cloud_id for cloud_id in ids if cloud_id not in answer]
                blind |= {where: f"nothing is known of {', '.join(silent)}"} if silent else {}
        return Look(machines=(*look.machines, *found), blind={**look.blind, **blind})


def places(config: Config, pools: Iterable[Pool], rows: Iterable[Instance]) -> Mapping[Place, str]:
    """Where machines may be: what the pools say today, and where each known machine was born. With cloud settings."""
    found = {place(pool, config): cloud_settings(pool, config) for pool in pools}
    for row in rows:
        found.setdefault(Place(cloud=row.cloud, settings=row.place), row.settings)
    return found


def reach(where: Mapping[Place, str], here: Here, makers: Makers) -> tuple[Mapping[Place, Cloud], Sequence[str]]:
    """A cloud for each place; and the places, a line each, that no cloud of this version can be made for."""
    clouds: dict[Place, Cloud] = {}
    problems = []
    for each, settings in where.items():
        if each.cloud not in makers:
            problems.append(f"{named(each)}: this version has no such cloud")
            continue
        try:
            clouds[each] = makers[each.cloud](each, settings, here)
        except (ValueError, KeyError, TypeError) as error:  # written by another version, or damaged
            problems.append(f"{named(each)}: it makes no sense: {error}")
        except CloudError as error:
            problems.append(f"{named(each)}: {error.message}")
    return clouds, problems


# What the words for a place are, of those of its settings that are given; secrets are names of variables there.
WORDS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "local": (("folder", "{}"),),
        "ec2": (
            ("region", "{}"),
            ("profile", "profile {}"),
            ("access_key_id", "keys of {}"),
            ("endpoint_url", "at {}"),
        ),
        "ssh": (("machines", "{}"),),
    }
)


def named(where: Place) -> str:
    """A place as people know it; as it is written where it is not understood."""
    try:
        settings = json.loads(where.settings)
        said = [form.format(_said(settings[key])) for key, form in WORDS[where.cloud] if settings.get(key)]
    except (ValueError, KeyError, TypeError, AttributeError):
        said = []
    return f"{where.cloud} {', '.join(said) or where.settings}"


def _said(value: object) -> str:
    """A setting in words: a path as one would type it here, a list without its brackets."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(near(Path(value)) if isinstance(value, str) and value.startswith("/") else value)


def _by_place(machines: Iterable[Seen]) -> Mapping[Place, list[str]]:
    found: dict[Place, list[str]] = {}
    for seen in machines:
        found.setdefault(seen.place, []).append(seen.machine.cloud_id)
    return found
