"""From a frozen launch request to RunInstances' parameters. Pure: equal arguments always give equal parameters."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from attrs import frozen

from reconciler.clouds.ec2_machines import PRIVATE
from reconciler.clouds.ec2_specification import Specification
from reconciler.model.offer import LaunchRequest, Market
from reconciler.model.tags import ADDRESS, REQUEST
from reconciler.spec.options import Ec2Cloud

SUBNET = "subnet-"
GROUP = "sg-"


@frozen(kw_only=True)
class Found:
    """What had to be asked of AWS before the purchase."""

    image: str = ""  # the image's id
    root_device: str = ""  # the name of its root disk; where it is not needed, empty
    groups: tuple[str, ...] = ()  # ids of security groups
    group_names: tuple[str, ...] = ()  # names, where RunInstances can find them by itself


def placed(request: LaunchRequest, options: Ec2Cloud) -> tuple[str, str]:
    """A subnet's id and a zone's name, one of them or none: the offer's, else the first that is configured."""
    where = request.offer.zone or next(iter((*options.subnets, *options.zones)), "")
    return (where, "") if where.startswith(SUBNET) else ("", where)


def fingerprint(request: LaunchRequest) -> str:
    """Tells one frozen request from another, on the machines that it bought."""
    return sha256(request.to_json().encode()).hexdigest()[:16]


def parameters(
    request: LaunchRequest, options: Ec2Cloud, specification: Specification, found: Found, user_data: str
) -> dict[str, Any]:
    """RunInstances' parameters: the specification's keys, the options over them, what is ours over both."""
    given = dict(specification.keys)
    given.update(_named(options, found))
    _place(given, request, options, found)
    _disk(given, options, found)
    _tags(given, request, options)
    given["MetadataOptions"] = {**given.get("MetadataOptions", {}), "HttpTokens": "required", "HttpEndpoint": "enabled"}
    return given | _market(request, options) | {
        "MinCount": 1, "MaxCount": request.count, "ClientToken": request.token, "InstanceType": request.offer.type,
        "InstanceInitiatedShutdownBehavior": "terminate", "UserData": user_data,
    }  # fmt: skip


def _named(options: Ec2Cloud, found: Found) -> dict[str, Any]:
    """What is one key here and one key there."""
    named: dict[str, Any] = {}
    if found.image:
        named["ImageId"] = found.image
    if options.key_name:
        named["KeyName"] = options.key_name
    if options.instance_profile:
        key = "Arn" if options.instance_profile.startswith("arn:") else "Name"
        named["IamInstanceProfile"] = {key: options.instance_profile}
    return named


def _place(given: dict[str, Any], request: LaunchRequest, options: Ec2Cloud, found: Found) -> None:
    """Subnet, zone and groups. With network interfaces in the specification, subnet and groups are the first one's."""
    subnet, zone = placed(request, options)
    interfaces = [dict(each) for each in given.get("NetworkInterfaces", ())]
    target = interfaces[0] if interfaces else given
    if subnet:
        target["SubnetId"] = subnet
        given["Placement"] = {k: v for k, v in given.get("Placement", {}).items() if k != "AvailabilityZone"}
    if zone:
        given.pop("SubnetId", None)
        given["Placement"] = {**given.get("Placement", {}), "AvailabilityZone": zone}
    if found.groups or found.group_names:
        given.pop("SecurityGroups", None)
        given.pop("SecurityGroupIds", None)
    if found.groups:
        target["Groups" if interfaces else "SecurityGroupIds"] = list(found.groups)
    if found.group_names:
        given["SecurityGroups"] = list(found.group_names)
    if interfaces:
        given["NetworkInterfaces"] = interfaces
    if not given.get("Placement", True):
        del given["Placement"]


def _disk(given: dict[str, Any], options: Ec2Cloud, found: Found) -> None:
    """The root disk, where it is to be another than the image's."""
    size, kind = options.volume_size, options.volume_type
    if not (size or kind) or not found.root_device:
        return
    mappings = list(given.get("BlockDeviceMappings", ()))
    before: dict[str, Any] = next((each for each in mappings if each.get("DeviceName") == found.root_device), {})
    ebs = {**before.get("Ebs", {}), "DeleteOnTermination": True}
    ebs |= ({"VolumeSize": size} if size else {}) | ({"VolumeType": kind} if kind else {})
    others = [each for each in mappings if each is not before]
    given["BlockDeviceMappings"] = [{**before, "DeviceName": found.root_device, "Ebs": ebs}, *others]


def _tags(given: dict[str, Any], request: LaunchRequest, options: Ec2Cloud) -> None:
    """Tags of machine and disks: the specification's, the user's, and ours over both. `Name` is theirs to change."""
    name = {"Name": request.tags["Name"]} if "Name" in request.tags else {}
    ours = {key: value for key, value in request.tags.items() if key != "Name"} | {REQUEST: fingerprint(request)}
    if options.address == PRIVATE:
        ours[ADDRESS] = PRIVATE
    before: Sequence[Mapping[str, Any]] = given.get("TagSpecifications", ())
    specifications: list[Mapping[str, Any]] = [
        each for each in before if each.get("ResourceType") not in ("instance", "volume")
    ]
    for kind in ("instance", "volume"):
        tags = name | _tags_for(kind, before) | dict(options.tags) | ours
        pairs = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
        specifications.append({"ResourceType": kind, "Tags": pairs})
    given["TagSpecifications"] = specifications


def _tags_for(kind: str, specifications: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    found = (each.get("Tags", ()) for each in specifications if each.get("ResourceType") == kind)
    return {tag["Key"]: tag.get("Value", "") for tags in found for tag in tags}


def _market(request: LaunchRequest, options: Ec2Cloud) -> dict[str, Any]:
    """Spot is asked for once, and taken back by termination: nothing of ours would start it again."""
    if request.offer.market is not Market.SPOT:
        return {}
    spot: dict[str, Any] = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    if options.max_price is not None:
        spot["MaxPrice"] = f"{options.max_price:.6f}".rstrip("0").rstrip(".")
    return {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": spot}}
