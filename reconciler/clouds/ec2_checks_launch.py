"""The checks of what is bought: image, keys, profile, instance types, quotas."""

import stat
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from reconciler.clouds.base import Check, CloudError, Found
from reconciler.clouds.ec2_looking import Look, judged, refused
from reconciler.clouds.ec2_lookups import find_image, images
from reconciler.model.offer import Market

# Family of an instance type, by its first letters → code of the quota of vCPUs, on-demand and spot
# (Service Quotas console, "Amazon EC2"). The longest beginning that fits counts.
QUOTAS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "": ("L-1216C47A", "L-34B43A08"),  # Standard: A, C, D, H, I, M, R, T, Z
        "dl": ("L-6E869C2A", "L-85EED4F7"),
        "f": ("L-74FC7D96", "L-88CF9481"),
        "g": ("L-DB2E81BA", "L-3819A6DF"),  # G and VT
        "vt": ("L-DB2E81BA", "L-3819A6DF"),
        "inf": ("L-1945791B", "L-B5D1601B"),
        "p": ("L-417A185B", "L-7212CCBC"),
        "trn": ("L-2C3B7624", "L-6B0D517C"),
        "x": ("L-7295265B", "L-E3A00192"),
    }
)


async def image(look: Look) -> Sequence[Check]:
    """That there is one, and that it can be used."""
    found = await find_image(look.account, look.options, look.specification)
    (found,) = await images(look.account, ImageIds=[str(found["ImageId"])])
    state = str(found.get("State", ""))
    text = f"{found['ImageId']} ({found.get('Name', 'without a name')}), {state}"
    return [judged("image", state == "available", text if state == "available" else f"{text}: choose another")]


async def key_pair(look: Look) -> Sequence[Check]:
    """That EC2 has the key pair."""
    name = look.options.key_name or look.specification.keys.get("KeyName")
    if not name:
        text = "none is named: the image itself must let your key in; else write key_name:"
        return [Check(what="key pair", found=Found.UNKNOWN, text=text)]
    await look.account.call("describe_key_pairs", KeyNames=[name])
    return [judged("key pair", True, str(name))]


async def private_key(look: Look) -> Sequence[Check]:
    """That the key's file is there, and ours alone."""
    path = look.options.key_path
    if path is None:
        return [judged("private key", True, "those of ~/.ssh")]
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        path.open("rb").close()
    except OSError as error:
        return [judged("private key", False, f"{path}: {error.strerror}: check key_path:")]
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return [judged("private key", False, f"{path} can be read by others (mode {mode:o}): chmod 600 {path}")]
    return [judged("private key", True, f"{path}, mode {mode:o}")]


async def instance_profile(look: Look) -> Sequence[Check]:
    """That IAM has it."""
    name = look.options.instance_profile
    if not name:
        return []
    try:
        await look.account.call("get_instance_profile", service="iam", InstanceProfileName=name.rpartition("/")[2])
    except CloudError as error:
        if error.message.startswith("NoSuchEntity"):
            return [judged("instance profile", False, f"IAM has no instance profile {name}: check the name")]
        return [refused("instance profile", error)]
    return [judged("instance profile", True, name)]


async def offerings(look: Look) -> Sequence[Check]:
    """That each type is sold in the region, and in the zones where that is asked for."""
    zones, types = set(look.options.zones), sorted(look.pool.size)
    kind = "availability-zone" if zones else "region"
    filters = [{"Name": "instance-type", "Values": types}]
    pages = look.account.pages("describe_instance_type_offerings", LocationType=kind, Filters=filters)
    sold = defaultdict(set)
    async for page in pages:
        for each in page["InstanceTypeOfferings"]:
            sold[str(each["InstanceType"])].add(str(each["Location"]))
    wanted = zones or {look.account.region}
    return [_offered(name, wanted, sold[name] & wanted) for name in types]


def _offered(name: str, wanted: set[str], sold: set[str]) -> Check:
    missing = ", ".join(sorted(wanted - sold))
    if sold and missing:
        return judged("instance types", True, f"{name} in {', '.join(sorted(sold))}, not in {missing}")
    if missing:
        return judged("instance types", False, f"{name} is not sold in {missing}: take another type or zone")
    return judged("instance types", True, f"{name} in {', '.join(sorted(sold))}")


async def quotas(look: Look) -> Sequence[Check]:
    """That the account may have as many vCPUs as the pool's maxima come to."""
    sizes = {name: size.high for name, size in look.pool.size.items() if size.high}
    if not sizes:
        return []
    answer = await look.account.call("describe_instance_types", InstanceTypes=sorted(sizes))
    cores = {str(each["InstanceType"]): int(each["VCpuInfo"]["DefaultVCpus"]) for each in answer["InstanceTypes"]}
    wanted = vcpus_by_quota(sizes, cores, look.pool.market)
    checks = []
    for (code, market), count in sorted(wanted.items()):
        answer = await look.account.call(
            "get_service_quota", service="service-quotas", ServiceCode="ec2", QuotaCode=code
        )
        most = int(answer["Quota"]["Value"])
        text = f"{market}: {count} vCPUs at most, of {most} that the account may have ({code})"
        hint = "" if count <= most else ": ask for more in the Service Quotas console, or make the pool smaller"
        checks.append(judged("quota", count <= most, text + hint))
    return checks


def vcpus_by_quota(
    sizes: Mapping[str, int], cores: Mapping[str, int], markets: Iterable[Market]
) -> dict[tuple[str, str], int]:
    """(quota's code, market) → vCPUs, with every type at its maximum."""
    total: dict[tuple[str, str], int] = defaultdict(int)
    for name, most in sizes.items():
        family = max((each for each in QUOTAS if name.startswith(each)), key=len)
        for market in markets:
            code = QUOTAS[family][market is Market.SPOT]
            total[code, str(market)] += most * cores.get(name, 0)
    return dict(total)
