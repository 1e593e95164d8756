"""Ends, stops and starts machines, all those of one place in one call."""

from collections.abc import Sequence

from reconciler.act.base import World
from reconciler.model.offer import MachineState
from reconciler.model.rows import Instance
from reconciler.model.snapshot import Done, Failed


async def terminate(rows: Sequence[Instance], world: World) -> Sequence[Done | Failed]:
    """End machines, and say which the cloud calls terminated already. An unbound row waits to be found by its token."""
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
