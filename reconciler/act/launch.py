"""Buys what a launch asks for, by its token: sending it again buys nothing new."""

from collections.abc import Sequence

from reconciler.act.base import World
from reconciler.model.offer import Fault, LaunchRequest
from reconciler.model.rows import Instance
from reconciler.model.snapshot import Done, Failed


async def launch(rows: Sequence[Instance], world: World) -> Sequence[Done | Failed]:
    """Send one token; each row is bound to the machine of its index, or is left empty by the answer."""
    tools, first = world.tools, rows[0]
    record = await tools.db(tools.reader.launch, first.token)
    if record is None:
        return [Failed(fault=Fault.REFUSED, message=f"no launch is recorded for token {first.token}") for _ in rows]
    cloud, _ = world.place(first)
    machines = {machine.index: machine for machine in await cloud.launch(LaunchRequest.from_json(record.request))}
    return [
        Done(event="bound", sets={"cloud_id": machines[row.index].cloud_id, "address": machines[row.index].address})
        if row.index in machines
        else Done(event="unfilled")
        for row in rows
    ]
