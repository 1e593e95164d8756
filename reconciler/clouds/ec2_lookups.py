"""What has to be asked of AWS before a purchase: which image a name means, its root disk, the ids of groups."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.clouds.base import CloudError
from reconciler.clouds.ec2_account import Account
from reconciler.clouds.ec2_machines import instances_of
from reconciler.clouds.ec2_request import GROUP, Found, parameters, placed
from reconciler.clouds.ec2_specification import EMPTY, Specification, read_specification
from reconciler.clouds.ec2_user_data import user_data
from reconciler.model.offer import Fault, LaunchRequest
from reconciler.spec.options import Ec2Cloud

IMAGE = "ami-"


async def prepared(account: Account, request: LaunchRequest, options: Ec2Cloud) -> dict[str, Any]:
    """RunInstances' parameters for a request. Raises CloudError."""
    specification, own = await asyncio.to_thread(files_of, options)
    image = await find_image(account, options, specification)
    subnet = _subnet(request, options, specification)
    groups, names = await find_groups(account, options.security_group, subnet)
    found = Found(
        image=str(image["ImageId"]), root_device=str(image.get("RootDeviceName") or ""), groups=groups,
        group_names=names,
    )  # fmt: skip
    return parameters(request, options, specification, found, user_data(options.lease, options.user, own))


def _subnet(request: LaunchRequest, options: Ec2Cloud, specification: Specification) -> str:
    """The subnet that the machines will be in, where one is named: names of groups mean those of its VPC."""
    subnet, zone = placed(request, options)
    if subnet or zone:
        return subnet
    interfaces: Sequence[Mapping[str, Any]] = specification.keys.get("NetworkInterfaces", ())
    places = (specification.keys, *interfaces)
    return next((str(each["SubnetId"]) for each in places if each.get("SubnetId")), "")


def files_of(options: Ec2Cloud) -> tuple[Specification, bytes]:
    """The specification and the user's user data, from this computer. Raises CloudError(REFUSED)."""
    path = options.launch_specification
    specification = read_specification(path) if path else EMPTY
    return specification, _read(options.user_data) if options.user_data else specification.user_data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CloudError(Fault.REFUSED, f"{path}: cannot be read: {error.strerror}") from error


async def find_image(account: Account, options: Ec2Cloud, specification: Specification) -> Mapping[str, Any]:
    """The image, with no more than its id where nothing else of it is needed. Raises CloudError(REFUSED)."""
    wanted = options.image or str(specification.keys.get("ImageId", ""))
    if not wanted:
        raise CloudError(Fault.REFUSED, "no image is named: write image: with an id (ami-…) or a name")
    if wanted.startswith(IMAGE):
        if not (options.volume_size or options.volume_type):
            return {"ImageId": wanted}
        return (await images(account, ImageIds=[wanted]))[-1]
    filters = [{"Name": "name", "Values": [f"{wanted}*"]}, {"Name": "state", "Values": ["available"]}]
    found = await images(account, Owners=list(options.owners), Filters=filters)
    if not found:
        hint = "check its name and region, or write owners:"
        raise CloudError(
            Fault.REFUSED, f"no image of {', '.join(options.owners)} has a name that begins with {wanted}: {hint}"
        )
    return found[-1]


async def images(account: Account, **asked: Any) -> Sequence[Mapping[str, Any]]:
    """Images, the newest last."""
    found = [each async for page in account.pages("describe_images", **asked) for each in page["Images"]]
    return sorted(found, key=lambda image: (str(image.get("CreationDate", "")), str(image["ImageId"])))


async def find_groups(account: Account, wanted: Sequence[str], subnet: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids of security groups, and names. Names alone will do where there is no subnet: they mean the default VPC's."""
    names = [each for each in wanted if not each.startswith(GROUP)]
    if not names:
        return tuple(wanted), ()
    if not subnet and len(names) == len(wanted):
        return (), tuple(wanted)
    filters = [{"Name": "group-name", "Values": names}]
    if subnet:
        answer = await account.call("describe_subnets", SubnetIds=[subnet])
        filters.append({"Name": "vpc-id", "Values": [answer["Subnets"][0]["VpcId"]]})
    pages = account.pages("describe_security_groups", Filters=filters)
    ids = {str(each["GroupName"]): str(each["GroupId"]) async for page in pages for each in page["SecurityGroups"]}
    missing = [name for name in names if name not in ids]
    if missing:
        where = f" in the VPC of {subnet}" if subnet else ""
        raise CloudError(Fault.REFUSED, f"there is no security group {', '.join(missing)}{where}: check the name")
    return tuple(ids.get(each, each) for each in wanted), ()


async def find(account: Account, name: str, value: str) -> Sequence[Mapping[str, Any]]:
    """Instances by one filter."""
    filters = [{"Name": name, "Values": [value]}]
    pages = account.pages("describe_instances", Filters=filters)
    return [instance async for page in pages for instance in instances_of(page)]
