"""Prepares a machine: the agent, the pool's files, and its setup as a job of the agent."""

from collections.abc import Sequence

from reconciler.act.base import World
from reconciler.decide.instances import setup_job
from reconciler.model.job import Folder, Job
from reconciler.model.offer import Fault
from reconciler.model.rows import Instance
from reconciler.model.snapshot import Done, Failed

# A setup is never forgotten as other jobs are: a machine that boots again is ready by the agent's word on it. So its
# environment, which may hold secrets, goes once it has been read: the agent reads it once, and starts in the home.
# `command -p`: the pool may have set PATH.
_SHED = 'command -p rm -rf ".reconciler/jobs/$RECONCILER_ATTEMPT/spec/env"'


async def prepare(rows: Sequence[Instance], world: World) -> Sequence[Done | Failed]:
    """Bring everything and start the setup, once for a machine and spec: its end is seen in a report."""
    (row,) = rows
    wish = world.desired.pools.get(row.pool)
    if wish is None:
        return [Failed(fault=Fault.REFUSED, message=f"no such pool: {row.pool}")]
    pool, host = wish.pool, world.tools.host(row)
    await host.install()
    if pool.files:
        await host.put(pool.files)
    setup = Job(
        id=setup_job(row),
        command="\n".join((_SHED, "set -e", *pool.setup)),
        env=world.filled(pool.env),
        limit=pool.deadlines.setup,
        runs_in=Folder.HOME,
    )
    return [Done(job=await host.start(setup, boot_id=row.boot_id))]
