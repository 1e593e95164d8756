"""Uploads a submission and starts it, as one idempotent whole keyed by the attempt's id."""

from collections.abc import Sequence

from reconciler.act.base import World
from reconciler.model.rows import Submission
from reconciler.model.snapshot import Done, Failed


async def stage(rows: Sequence[Submission], world: World) -> Sequence[Done | Failed]:
    """Start the attempt on the boot that it was meant for. The answer is what the agent says of it."""
    (row,) = rows
    attempt, instance, orders = world.work(row)
    workload = world.tools.workload(orders.workload, orders.settings)
    job = workload.job(orders, world.tools.content / orders.content)
    return [Done(job=await world.tools.host(instance).start(job, boot_id=attempt.boot_id))]
