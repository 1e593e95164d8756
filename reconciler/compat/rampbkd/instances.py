"""rampbkd's functions on machines: launch, list, look, end. Each machine carries our tags from birth.

A machine from `launch_ec2_instances` guards itself: it ends when no call has reached it for an hour and nothing is
trained on it; with results on it a day later.
"""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from reconciler.api import RequestError
from reconciler.clouds.base import CloudError, Owner
from reconciler.compat.ramp_train import FOLDER, controller_of
from reconciler.compat.rampbkd.reach import DATABASE_ID, Reach, reached
from reconciler.model.offer import Fault, LaunchRequest, Machine, MachineState, Offer
from reconciler.model.tags import CONTROLLER, DATABASE, POOL, SPEC, TOKEN
from reconciler.spec.canonical import spec_hash
from reconciler.spec.places import place, zones
from reconciler.wiring import new_id

TRIES = 3  # of one purchase, by one token, where no answer came
PAUSE = 1.0  # seconds before the next of them, and twice as many before the third
_ELSEWHERE = frozenset({Fault.CAPACITY, Fault.QUOTA})  # another zone or market may have what this one has not

Values = Mapping[str, Any]


@frozen(kw_only=True)
class Ec2Instance:
    """A machine, with the names that boto3 has for the same."""

    id: str
    instance_type: str
    state: str

    @property
    def instance_id(self) -> str:
        """The same as `id`."""
        return self.id


def launch_ec2_instances(config: Values, nb: int = 1) -> list[Ec2Instance]:
    """Launch `nb` machines as the config says, or none: then CloudError tells why. They may still boot."""
    if nb < 1:
        raise RequestError(f"nb={nb}: launch one or more")
    return asyncio.run(_launch(config, nb))


def terminate_ec2_instance(config: Values, instance_id: str) -> None:
    """End a machine, whoever started it. One that has ended already is no error. Raises CloudError."""
    asyncio.run(_terminate(config, instance_id))


def list_ec2_instance_ids(config: Values) -> list[str]:
    """Every machine of this event that runs or boots: the loop's, those of single submissions, and those launched here.

    Raises CloudError where not all of them could be listed.
    """
    return asyncio.run(_list(config))


def status_of_ec2_instance(config: Values, instance_id: str) -> dict[str, Any] | None:
    """What EC2's DescribeInstanceStatus says of it (InstanceState, InstanceStatus, SystemStatus).

    None while there is no status yet, and for a machine that does not run. Raises CloudError.
    """
    return asyncio.run(_status(config, instance_id))


def release_ec2_instance(config: Values, instance_id: str) -> None:
    """End all trainings on a machine that you started yourself, and take our mark off. RAMP had no such function."""
    asyncio.run(_release(config, instance_id))


async def _launch(config: Values, count: int) -> list[Ec2Instance]:
    bought: list[Machine] = []
    async with reached(config) as reach:
        try:
            while len(bought) < count:
                bought += await _some(reach, count - len(bought))
        except CloudError:
            if bought:
                await reach.cloud.terminate([each.cloud_id for each in bought])
            raise
    return [Ec2Instance(id=each.cloud_id, instance_type=each.type, state=str(each.state)) for each in bought]


async def _some(reach: Reach, count: int) -> Sequence[Machine]:
    """Between one and `count` machines, of the first market and zone that have any."""
    kind = next(iter(reach.pool.size))
    offers = [Offer(type=kind, market=market, zone=zone) for market in reach.pool.market for zone in zones(reach.pool)]
    for offer in offers[:-1]:
        try:
            return await _buy(reach, offer, count)
        except CloudError as error:
            if error.fault not in _ELSEWHERE:
                raise
    return await _buy(reach, offers[-1], count)


async def _buy(reach: Reach, offer: Offer, count: int) -> Sequence[Machine]:
    """One purchase by one token: where no answer came, the same token is sent again, and buys nothing twice."""
    config, pool = reach.config, reach.pool.pool
    token = f"{pool[:20]}-{new_id()}{new_id()}"
    tags = {
        CONTROLLER: config.controller, DATABASE: DATABASE_ID, POOL: pool, TOKEN: token, SPEC: spec_hash(reach.pool),
        "Name": f"{config.controller}/{pool}",
    }  # fmt: skip
    request = LaunchRequest(token=token, offer=offer, count=count, settings=reach.settings, tags=tags)
    for number in range(1, TRIES):
        try:
            return await reach.cloud.launch(request)
        except CloudError as error:
            if error.fault not in (Fault.UNREACHABLE, Fault.THROTTLED):
                raise
        await asyncio.sleep(PAUSE * number)
    return await reach.cloud.launch(request)


async def _terminate(config: Values, instance_id: str) -> None:
    async with reached(config) as reach:
        try:
            await reach.cloud.terminate([instance_id])
        except CloudError as error:
            if error.fault is not Fault.NOT_FOUND:
                raise
        reach.forget(instance_id)


async def _list(config: Values) -> list[str]:
    """One listing: EC2's filters know `*`, and what else it finds is left out by name."""
    async with reached(config) as reach:
        trained = (reach.config.state / FOLDER).glob("*")
        names = {reach.config.controller, *(controller_of(reach.config, each.name) for each in trained)}
        stem = os.path.commonprefix(sorted(names))  # noqa: RUF071  names, no paths
        listing = await reach.cloud.listing(Owner(controller=f"{stem}*", database_id=DATABASE_ID))
    if not listing.complete:
        raise CloudError(Fault.UNREACHABLE, f"not every machine could be listed: {listing.error}")
    living = (MachineState.PENDING, MachineState.RUNNING)
    return sorted(
        each.cloud_id for each in listing.machines if each.tags.get(CONTROLLER) in names and each.state in living
    )


async def _status(config: Values, instance_id: str) -> dict[str, Any] | None:
    from reconciler.clouds.ec2_account import Account

    async with reached(config) as reach:
        account = Account(json.loads(place(reach.pool, reach.config).settings), reach.environ)
        try:
            answer = await account.call("describe_instance_status", InstanceIds=[instance_id])
        finally:
            await account.close()
    return next(iter(answer["InstanceStatuses"]), None)


async def _release(config: Values, instance_id: str) -> None:
    async with reached(config) as reach, reach.host(instance_id) as (host, _):
        await host.release()
        reach.forget(instance_id)
