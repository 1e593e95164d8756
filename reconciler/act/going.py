"""Ends, stops and starts machines, all those of one place in one call. What somebody else bought is only let go of."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from attrs import evolve

from reconciler.act.base import World, all_failed
from reconciler.clouds.base import CloudError
from reconciler.decide.instances import setup_job
from reconciler.hosts.base import HostRefusedError, UnreachableError
from reconciler.lifecycle.instance import BY_USER
from reconciler.model.offer import Fault, MachineState
from reconciler.model.rows import Instance
from reconciler.model.snapshot import Done, Failed

GONE = Done(event="gone")
AT_REST = frozenset({MachineState.STOPPED, MachineState.TERMINATED})  # no process of ours can be left


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
    if not row.address:
        return GONE  # nothing of ours was ever put there
    host = world.tools.host(row)
    try:
        with suppress(HostRefusedError):  # there is no agent, and nothing of ours
            await host.kill(setup_job(row))  # also one that has not come yet: a late start finds that it is over
        await host.release()
    except UnreachableError as error:
        return await _release_elsewhere(row, world, str(error))
    except HostRefusedError as error:
        return Failed(fault=Fault.REFUSED, message=str(error))
    return GONE


async def _release_elsewhere(row: Instance, world: World, why: str) -> Done | Failed:
    """It does not answer where it was: it may have ended, be stopped, or have another address by now."""
    cloud, _ = world.place(row)
    try:
        machine = (await cloud.lookup([row.cloud_id])).get(row.cloud_id)
        if machine is None or machine.state in AT_REST:
            return GONE
        if machine.address not in ("", row.address):
            await world.tools.host(evolve(row, address=machine.address)).release()
            return GONE
    except (CloudError, UnreachableError, HostRefusedError) as error:
        why = str(error)
    return Failed(fault=Fault.UNREACHABLE, message=why)


async def _terminate(rows: Sequence[Instance], world: World) -> Sequence[Done | Failed]:
    try:
        return await _end(rows, world)
    except CloudError as error:  # which says nothing of those that were let go of
        return all_failed(rows, error.fault, error.message)


async def _end(rows: Sequence[Instance], world: World) -> Sequence[Done | Failed]:
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
