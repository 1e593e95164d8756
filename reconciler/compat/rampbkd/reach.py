"""The way from one call of rampbkd's to EC2 and to a machine there. Nothing but host keys is kept between two calls.

Machines carry the event's name and a database's id that no database has: a loop of the same event shows them as
strangers and ends none of them, and `reconcile destroy` finds them.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from reconciler.api import RequestError
from reconciler.clouds.base import Cloud
from reconciler.clouds.registry import CLOUDS
from reconciler.compat.ramp_config import RampDeployment
from reconciler.compat.rampbkd.config import deployment_of
from reconciler.hosts.base import Host, UnreachableError
from reconciler.model.job import Report
from reconciler.model.offer import Machine, MachineState
from reconciler.model.rows import Identity
from reconciler.model.tags import CONTROLLER, DATABASE
from reconciler.spec.places import cloud_settings, place
from reconciler.spec.values import Config, Pool
from reconciler.wiring import here

DATABASE_ID = "rampbkd"
AGAIN = 2.0  # seconds between looks at a machine that boots
ENDED = frozenset({MachineState.SHUTTING_DOWN, MachineState.TERMINATED})

log = logging.getLogger(__name__)


@frozen(kw_only=True)
class Reach:
    """The place of one event's machines, open for one call."""

    deployment: RampDeployment
    pool: Pool
    cloud: Cloud
    environ: Mapping[str, str]  # ours, with the secrets of RAMP's files

    @property
    def config(self) -> Config:
        """The event's."""
        return self.deployment.config

    @property
    def settings(self) -> str:
        """The pool's cloud settings, frozen."""
        return cloud_settings(self.pool, self.config)

    @property
    def folder(self) -> Path:
        """What these functions keep beside our database."""
        return self.config.state / "rampbkd"

    async def machine(self, instance_id: str) -> Machine:
        """A machine that lives. Raises RequestError for one that does not, or that a loop has in hand."""
        found = (await self.cloud.lookup([instance_id]))[instance_id]
        if found is None or found.state in ENDED:
            raise RequestError(f"there is no instance {instance_id} (any more): see list_ec2_instance_ids")
        tags = found.tags
        if CONTROLLER in tags and tags.get(DATABASE) != DATABASE_ID:
            what = f"{instance_id} is in the hands of reconcile's loop {tags[CONTROLLER]}, which may end it at any time"
            raise RequestError(f"{what}: use one from launch_ec2_instances, or one that you started yourself")
        return evolve(found, adopted=CONTROLLER not in tags, host_key=self._pinned(instance_id))

    @asynccontextmanager
    async def host(self, instance_id: str) -> AsyncIterator[tuple[Host, Report]]:
        """A way into a machine with our agent on it, and what it reports; waits until a young machine answers.

        Raises RequestError, HostRefusedError, and UnreachableError after the pool's boot deadline (15 minutes).
        """
        give_up = time.monotonic() + self.pool.deadlines.boot
        machine = await self.machine(instance_id)
        while machine.state is MachineState.PENDING and time.monotonic() < give_up:
            await asyncio.sleep(AGAIN)
            machine = await self.machine(instance_id)
        if machine.state is not MachineState.RUNNING:
            raise RequestError(f"{instance_id} is {machine.state}, so nothing can be done on it")
        host = self.cloud.host(machine, self.settings)
        try:
            key = (await _answer(host, instance_id, give_up)).host_key
            self._pin(instance_id, key)
            await host.install()
            yield host, await host.report()
        finally:
            await host.close()

    def forget(self, instance_id: str) -> None:
        """Keep nothing of a machine that is gone."""
        self._key_file(instance_id).unlink(missing_ok=True)

    def _key_file(self, instance_id: str) -> Path:
        return self.folder / f"{instance_id}.host_key"

    def _pinned(self, instance_id: str) -> str:
        file = self._key_file(instance_id)
        return file.read_text(encoding="ascii").strip() if file.is_file() else ""

    def _pin(self, instance_id: str, key: str) -> None:
        if key and not self._pinned(instance_id):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._key_file(instance_id).write_text(f"{key}\n", encoding="ascii")


async def _answer(host: Host, instance_id: str, give_up: float) -> Report:
    """The machine's first answer."""
    while True:
        try:
            return await host.report()
        except UnreachableError as error:
            if time.monotonic() > give_up:
                raise
            log.info("%s does not answer yet: %s", instance_id, error)
        await asyncio.sleep(AGAIN)


@asynccontextmanager
async def reached(config: Mapping[str, Any]) -> AsyncIterator[Reach]:
    """The place of a config's machines. Raises RequestError where it has none on EC2."""
    deployment = deployment_of(config)
    (pool,) = deployment.pools
    if pool.cloud.kind != "ec2":
        raise RequestError(f"{deployment.config.source} trains on this computer: it has no EC2 instances")
    environ = {**os.environ, **deployment.environ}
    identity = Identity(deployment.config.controller, DATABASE_ID, 0.0)
    mine = evolve(here(deployment.config, identity), environ=environ)
    where = place(pool, deployment.config)
    cloud = CLOUDS["ec2"](where, cloud_settings(pool, deployment.config), mine)
    try:
        yield Reach(deployment=deployment, pool=pool, cloud=cloud, environ=environ)
    finally:
        await cloud.close()
