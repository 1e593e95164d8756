"""The EC2 cloud: machines of one region of one account, bought by token, seen by tag.

Facts of EC2 that this rests on (AWS documentation, "Ensuring idempotency in Amazon EC2 API requests", "Eventual
consistency"): a token with the same parameters answers with the same machines; a listing may lag behind a purchase.
"""

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from reconciler.clouds.base import CloudError, Here, Owner
from reconciler.clouds.ec2_account import PAGE, Account, UnknownRegionError
from reconciler.clouds.ec2_batches import Batch
from reconciler.clouds.ec2_errors import code_of, unknown_ids
from reconciler.clouds.ec2_lookups import find, prepared
from reconciler.clouds.ec2_machines import instances_of, machine_of
from reconciler.clouds.ec2_request import fingerprint
from reconciler.clouds.ec2_ssh import ssh_host
from reconciler.clouds.ec2_threads import Threads
from reconciler.hosts.base import Host
from reconciler.model.offer import Fault, LaunchRequest, Listing, Machine, MachineState, Place
from reconciler.model.tags import CONTROLLER, REQUEST
from reconciler.spec.canonical import UnreadableSpec, settings_from_json
from reconciler.spec.options import Ec2Cloud as Options

GATHER = 2.0  # seconds for which machines that are to end wait for others: for all of them it is one call
CHECKS_EVERY = 300.0  # seconds between looks at the status checks: two calls each time
_CHECKS = ("instance-status.status", "system-status.status")
_LONGEST_TOKEN = 64  # characters


class Ec2Cloud:
    """One place. What is remembered here is only what the last look at the status checks said."""

    def __init__(
        self, place: Place, here: Here, *, clock: Callable[[], float] = time.monotonic, threads: Threads | None = None
    ) -> None:
        """`clock` tells seconds, from any beginning; `threads` make the calls, without them a few of its own."""
        self.place = place
        self._here = here
        self._clock = clock
        self._account = Account(json.loads(place.settings), here.environ, threads=threads)
        self._ending = Batch(self._end, GATHER)
        self._looking = Batch(self._look_up, 0.0)  # whoever waited for the same call asks at the same time
        self._impaired: Mapping[str, str] = {}
        self._checked: float | None = None

    async def listing(self, owner: Owner) -> Listing:
        """Every machine of the controller, a call a page; a page that fails makes it incomplete.

        Where there is no such region, there is nothing.
        """
        found: list[Mapping[str, Any]] = []
        asked: dict[str, Any] = {"Filters": [_filter(f"tag:{CONTROLLER}", owner.controller)], "MaxResults": PAGE}
        try:
            async for page in self._account.pages("describe_instances", **asked):
                found += instances_of(page)
            if any(instance["State"]["Name"] == MachineState.RUNNING for instance in found):
                await self._look_at_checks()
            return Listing(place=self.place, machines=tuple(machine_of(each, self._impaired) for each in found))
        except UnknownRegionError:
            return Listing(place=self.place)
        except CloudError as error:
            return Listing(place=self.place, machines=_readable(found), complete=False, error=error.message)

    async def lookup(self, cloud_ids: Sequence[str]) -> Mapping[str, Machine | None]:
        """Machines by id. EC2 refuses a call that names an unknown one, so those are left out and it is asked again."""
        found = await self._looking(cloud_ids)
        return {each: found[each] for each in cloud_ids}

    async def _look_up(self, cloud_ids: Sequence[str]) -> Mapping[str, Machine | None]:
        found: dict[str, Machine | None] = dict.fromkeys(cloud_ids)
        async for asked in self._without_unknown("describe_instances", cloud_ids):
            for instance in instances_of(asked):
                machine = machine_of(instance, self._impaired)
                found[machine.cloud_id] = machine
        return found

    async def launch(self, request: LaunchRequest) -> Sequence[Machine]:
        """One RunInstances. What a token bought by an older form of the same request is found by the token."""
        options = _options(request)
        asked = await prepared(self._account, request, options)
        try:
            answer = await self._account.buy(**asked)
        except CloudError as error:
            if error.__cause__ is None or code_of(error.__cause__) != "IdempotentParameterMismatch":
                raise
            answer = {"Instances": await self._bought(request, error)}
        machines = [machine_of(instance) for instance in answer["Instances"]]
        return tuple(sorted(machines, key=lambda machine: machine.index))

    async def terminate(self, cloud_ids: Sequence[str]) -> None:
        """End machines. Those that EC2 no longer knows keep it from nothing, unless it knows none of them."""
        if not await self._ending(cloud_ids) & set(cloud_ids):
            raise _not_known(cloud_ids)

    async def _end(self, cloud_ids: Sequence[str]) -> set[str]:
        """Those of them that EC2 knows."""
        answers = [each async for each in self._without_unknown("terminate_instances", cloud_ids)]
        return {str(each["InstanceId"]) for answer in answers for each in answer["TerminatingInstances"]}

    async def stop(self, cloud_ids: Sequence[str]) -> None:
        """Stop machines; as for ending them."""
        await self._each("stop_instances", cloud_ids)

    async def start(self, cloud_ids: Sequence[str]) -> None:
        """Start stopped machines; as for ending them."""
        await self._each("start_instances", cloud_ids)

    def host(self, machine: Machine, settings: str) -> Host:
        """A way in over SSH, by the settings that the machine was born with."""
        return ssh_host(machine, settings_from_json(settings, Options), self._here, self._account)

    async def close(self) -> None:
        """Let go of connections."""
        await self._account.close()

    async def _each(self, operation: str, cloud_ids: Sequence[str]) -> None:
        done = 0
        async for _ in self._without_unknown(operation, cloud_ids):
            done += 1
        if not done:
            raise _not_known(cloud_ids)

    async def _without_unknown(self, operation: str, cloud_ids: Sequence[str]) -> AsyncIterator[Any]:
        """The answer for those ids that EC2 knows: one call, and one more each time that it names others."""
        left = list(dict.fromkeys(cloud_ids))
        while left:
            try:
                answer = await self._account.call(operation, InstanceIds=left)
            except CloudError as error:
                unknown = unknown_ids(error.__cause__, left) if isinstance(error.__cause__, Exception) else ()
                if not unknown:
                    raise
                left = [each for each in left if each not in unknown]
            else:
                yield answer
                return

    async def _bought(self, request: LaunchRequest, refusal: CloudError) -> Sequence[Mapping[str, Any]]:
        """What the token bought, if the same request did: the image's newest version or a file may have changed since.

        Raises REFUSED for another request's token, UNREACHABLE while the purchase is not listed yet.
        """
        found = await find(self._account, "client-token", request.token)
        if not found:
            raise CloudError(Fault.UNREACHABLE, f"{refusal.message} What it bought is not listed yet.") from refusal
        if any(_filter_tag(each, REQUEST) != fingerprint(request) for each in found):
            raise refusal
        return found

    async def _look_at_checks(self) -> None:
        """Which machines fail AWS's checks. To be refused here is no trouble of the listing's: `doctor` tells."""
        now = self._clock()
        if self._checked is not None and now - self._checked < CHECKS_EVERY:
            return
        self._checked = now
        impaired: dict[str, str] = {}
        try:
            for check in _CHECKS:
                asked: dict[str, Any] = {"Filters": [_filter(check, "impaired")], "MaxResults": PAGE}
                async for page in self._account.pages("describe_instance_status", **asked):
                    names = {str(each["InstanceId"]): check.partition(".")[0] for each in page["InstanceStatuses"]}
                    impaired |= {cloud_id: f"{name} check failed" for cloud_id, name in names.items()}
        except CloudError:
            return
        self._impaired = impaired


def _options(request: LaunchRequest) -> Options:
    """The frozen settings. Raises CloudError(REFUSED) for a request that makes no sense."""
    if request.count < 1 or not 1 <= len(request.token) <= _LONGEST_TOKEN or not request.token.isascii():
        raise CloudError(Fault.REFUSED, "a launch takes a count from 1 and a token of 1 to 64 ASCII characters")
    try:
        return settings_from_json(request.settings, Options)
    except UnreadableSpec as error:
        raise CloudError(Fault.REFUSED, f"the launch's cloud settings are unreadable: {error}") from error


def _not_known(cloud_ids: Sequence[str]) -> CloudError:
    return CloudError(Fault.NOT_FOUND, f"EC2 does not know {', '.join(cloud_ids[:5])}")


def _filter(name: str, value: str) -> dict[str, Any]:
    return {"Name": name, "Values": [value]}


def _filter_tag(instance: Mapping[str, Any], name: str) -> str:
    return next((str(tag["Value"]) for tag in instance.get("Tags", ()) if tag["Key"] == name), "")


def _readable(instances: Sequence[Mapping[str, Any]]) -> tuple[Machine, ...]:
    """The machines of a listing that is not whole, those left out that cannot be understood."""
    machines = []
    for instance in instances:
        try:
            machines.append(machine_of(instance))
        except CloudError:
            continue
    return tuple(machines)
