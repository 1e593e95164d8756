"""The checks of who may do what: whether a security group lets us in, and whether our keys may launch and end."""

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.clouds.base import Check, CloudError, Found
from reconciler.clouds.ec2_errors import code_of
from reconciler.clouds.ec2_looking import Look, judged, refused
from reconciler.clouds.ec2_lookups import find, find_groups, prepared
from reconciler.clouds.ec2_request import GROUP
from reconciler.model.offer import Fault, LaunchRequest, Offer
from reconciler.model.tags import CONTROLLER, DATABASE, POOL
from reconciler.spec.canonical import to_json

_NOBODY = "i-00000000000000000"  # an id that no machine has
_ALL = "-1"  # every protocol
TCP = frozenset({"tcp", "6", _ALL})


async def security_groups(look: Look) -> Sequence[Check]:
    """That each group is there, and that one of them lets SSH in from somewhere."""
    wanted = look.options.security_group or tuple(look.specification.keys.get("SecurityGroupIds", ()))
    if not wanted:
        text = "none is named: the default group lets nobody in from outside; write security_group:"
        return [Check(what="security group", found=Found.UNKNOWN, text=text)]
    subnet = next(iter(look.options.subnets), "")
    groups, names = await find_groups(look.account, wanted, subnet)
    found = [each for part in await _groups(look, groups, names) for each in part["SecurityGroups"]]
    missing = [each for each in wanted if not any(each in (group["GroupId"], group["GroupName"]) for group in found)]
    if missing:
        text = f"there is no security group {', '.join(missing)}: check the name and the region"
        return [judged("security group", False, text)]
    port = look.options.port
    sources = sorted({source for group in found for source in sources_of(group.get("IpPermissions", ()), port)})
    names = tuple(str(group["GroupName"]) for group in found)
    if not sources:
        text = f"{', '.join(names)} lets nobody in at port {port}: add a rule for TCP {port} from your address"
        return [judged("security group", False, text)]
    return [judged("security group", True, f"{', '.join(names)}: port {port} from {', '.join(sources)}")]


async def _groups(look: Look, groups: Sequence[str], names: Sequence[str]) -> Sequence[Any]:
    asked = []
    if ids := [each for each in groups if each.startswith(GROUP)]:
        asked.append(await look.account.call("describe_security_groups", GroupIds=ids))
    if names:
        filters = [{"Name": "group-name", "Values": list(names)}]
        asked.append(await look.account.call("describe_security_groups", Filters=filters))
    return asked


def sources_of(permissions: Sequence[Mapping[str, Any]], port: int) -> set[str]:
    """From where a TCP port can be reached: addresses, prefix lists, other groups."""
    open_ones = [
        each
        for each in permissions
        if str(each.get("IpProtocol")) in TCP
        and (str(each["IpProtocol"]) == _ALL or int(each.get("FromPort", 0)) <= port <= int(each.get("ToPort", 65535)))
    ]
    named = (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6"), ("PrefixListIds", "PrefixListId"),
             ("UserIdGroupPairs", "GroupId"))  # fmt: skip
    return {
        str(source[key]) for each in open_ones for kind, key in named for source in each.get(kind, ()) if key in source
    }


async def subnets(look: Look) -> Sequence[Check]:
    """That each subnet is there, and has addresses for the pool's machines."""
    if not look.options.subnets:
        return []
    answer = await look.account.call("describe_subnets", SubnetIds=list(look.options.subnets))
    most = sum(size.high for size in look.pool.size.values())
    checks = []
    for each in answer["Subnets"]:
        free, usable = int(each.get("AvailableIpAddressCount", 0)), each.get("State") == "available"
        text = f"{each['SubnetId']} in {each.get('AvailabilityZone', '?')}, {each.get('State')}, {free} free addresses"
        good = usable and free > 0
        checks.append(judged("subnet", good, text if good else f"{text}: name another in subnets:"))
    free = sum(int(each.get("AvailableIpAddressCount", 0)) for each in answer["Subnets"])
    if free < most:
        text = f"{free} free addresses for {most} machines: add a subnet, or make the pool smaller"
        checks.append(judged("subnet", False, text))
    return checks


async def permissions(look: Look) -> Sequence[Check]:
    """That we may do what the loop will do: asked by DryRun, which does nothing."""
    try:
        ours = await find(look.account, f"tag:{CONTROLLER}", look.here.owner.controller)
        checks, empty = [judged("permission", True, "DescribeInstances")], not ours
    except CloudError as error:
        ours, checks, empty = (), [_denied("DescribeInstances", error)], False
    one = str(ours[0]["InstanceId"]) if ours else _NOBODY
    by_id = ["terminate_instances"]
    by_id += ["stop_instances", "start_instances"] if look.pool.idle.stop is not None else []
    for operation in by_id:
        check = await _may(look, operation, InstanceIds=[one])
        checks.append(_by_tags(operation) if empty and check.found is Found.PROBLEM else check)
    checks.append(await _may(look, "describe_instance_status"))
    checks.append(await _may(look, "get_console_output", InstanceId=one))
    try:
        asked = await prepared(look.account, _sample(look), look.options)
    except CloudError as error:
        return [*checks, refused("permission", error)]
    del asked["ClientToken"]  # each look is a request of its own
    return [*checks, await _may(look, "run_instances", **asked)]


def _sample(look: Look) -> LaunchRequest:
    """A launch of one machine, as the pool's first would be."""
    owner, pool = look.here.owner, look.pool
    offer = Offer(type=next(iter(pool.size)), market=pool.market[0])
    tags = {CONTROLLER: owner.controller, DATABASE: owner.database_id, POOL: pool.pool}
    return LaunchRequest(token="doctor", offer=offer, count=1, settings=to_json(look.options), tags=tags)  # noqa: S106


async def _may(look: Look, operation: str, **asked: Any) -> Check:
    """Whether an operation is allowed."""
    name = _action(operation)
    try:
        await look.account.call(operation, DryRun=True, **asked)
    except CloudError as error:
        if error.__cause__ is not None and code_of(error.__cause__) == "DryRunOperation":
            return judged("permission", True, name)
        return _denied(name, error)
    return Check(what="permission", found=Found.UNKNOWN, text=f"{name} answered without DryRun")


def _action(operation: str) -> str:
    """What a policy calls boto3's operation."""
    return "".join(part.capitalize() for part in operation.split("_"))


def _by_tags(operation: str) -> Check:
    """A refusal while no machine is ours proves nothing: a policy that goes by tags refuses an id without any."""
    text = f"{_action(operation)} is refused without a machine of ours: ask again when there is one"
    return Check(what="permission", found=Found.UNKNOWN, text=text)


def _denied(name: str, error: CloudError) -> Check:
    if error.fault is Fault.DENIED:
        return judged("permission", False, f"{name} is not allowed: {error.message}: add ec2:{name} to the policy")
    if error.fault is Fault.NOT_FOUND:  # it may depend on tags, and there is no machine of ours to ask about
        return Check(what="permission", found=Found.UNKNOWN, text=f"{name} without a machine of ours")
    check = refused("permission", error)
    return Check(what=check.what, found=check.found, text=f"{name}: {check.text}")
