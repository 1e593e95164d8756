"""Ends, stops and starts machines, all those of one place in one call. What somebody else bought is only let go of."""

import asyncio
from collections.abc import Sequence

from reconciler.act.base import World
from reconciler.hosts.base import HostRefusedError, UnreachableError
from reconciler.lifecycle.instance import BY_USER
from reconciler.model.offer import Fault, MachineState
from reconciler.model.rows import Instance
from reconciler.model.snapshot import Done, Failed


async def terminate(rows: Sequence[Instance], world: World) -> Sequence[Done | Failed]:
    """End machines, and say which the cloud calls terminated already. An unbound row waits to be found by its token.

    An adopted machine is ended only where the user said so by its name.
    """
    released = [row for row in rows if row.adopted and row.reason != BY_USER]
    ours = [row for row in rows if row not in released]
    answers = await asyncio.gather(*(_release(row, world) for row in released))
    ended = await _terminate(ours, world) if ours else ()
    by_id = dict(zip((row.id for row in (*released, *ours)), (*answers, *ended), strict=True))
    return [by_id[row.id] for row in rows]


async def _release(row: Instance, world: World) -> Done | Failed:
    """Nothing of ours is left on it: for us, it is gone."""
    try:
        await world.tools.host(row).release()
    except UnreachableError as error:
        return Failed(fault=Fault.UNREACHABLE, message=str(error))
    except HostRefusedError as error:
        return Failed(fault=Fault.REFUSED, message=str(error))
    return Done(event="gone")


async def _terminate(rows: Sequence[Instance], world: World) -> Sequence[Done | Failed]:
    cloud, _ = world.place(rows[0])
    ids = [row.cloud_id for row in rows if row.cloud_id]
    if not ids:
        return [Done() for _ in rows]
    await cloud.terminate(ids)
    found = await cloud.lookup(ids)
    ended = {cloud_id for cloud_id, machine in found.items() if machine and machine.state is MachineState.TERMINATED}
    return [Done(event="gone" if row.cloud_id in ended else "") for row in rows]


async def stop(rows: Sequence[Instance], world: World) -> Sequence[Done | Failed]:
    """Stop machines; that they are stopped is seen in a listing."""
    cloud, _ = world.place(rows[0])
    await cloud.stop([row.cloud_id for row in rows])
    return [Done() for _ in rows]


async def start(rows: Sequence[Instance], world: World) -> Sequence[Done | Failed]:
    """Start stopped machines; that they run is seen in a listing."""
    cloud, _ = world.place(rows[0])
    await cloud.start([row.cloud_id for row in rows])
    return [Done() for _ in rows]
