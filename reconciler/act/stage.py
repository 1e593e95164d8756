"""Uploads a submission and starts it, as one idempotent whole keyed by the attempt's id."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve

from reconciler.act.base import World
from reconciler.model.papers import Papers
from reconciler.model.rows import Submission
from reconciler.model.snapshot import Done, Failed


async def stage(rows: Sequence[Submission], world: World) -> Sequence[Done | Failed]:
    """Start the attempt on the boot that it was meant for. The answer is what the agent says of it."""
    (row,) = rows
    attempt, instance, orders = world.work(row)
    workload = world.tools.workload(orders.workload, orders.settings)
    orders = evolve(orders, env={**world.filled(orders.templates), **orders.env})
    job = workload.job(orders, world.tools.content / orders.content)
    job = evolve(job, papers=Papers(submission=row, attempt=attempt).to_json())
    if job.checkpoint and attempt.number > 1:
        earlier = [world.tools.results / row.label / str(number) for number in range(attempt.number - 1, 0, -1)]
        job = evolve(job, resume=await asyncio.to_thread(_left_behind, earlier, job.checkpoint))
    return [Done(job=await world.tools.host(instance).start(job, boot_id=attempt.boot_id))]


def _left_behind(earlier: Sequence[Path], checkpoint: str) -> Path | None:
    """The checkpoint of the latest attempt that brought one home."""
    return next((home / checkpoint for home in earlier if (home / checkpoint).is_dir()), None)
