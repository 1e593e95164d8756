"""What `doctor` looks at before money is spent on EC2. Nothing is changed, and nothing but AWS's read calls is made."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from reconciler.clouds import ec2_checks_access as access
from reconciler.clouds import ec2_checks_launch as launch
from reconciler.clouds.base import Check, CloudError, Found, Here
from reconciler.clouds.ec2_account import Account, UnknownRegionError
from reconciler.clouds.ec2_looking import Look, checks_of
from reconciler.clouds.ec2_lookups import files_of
from reconciler.clouds.ec2_specification import EMPTY
from reconciler.model.offer import Fault
from reconciler.spec.canonical import to_json
from reconciler.spec.values import Pool

SKEW = 120.0  # seconds; AWS refuses signatures that are more than five minutes off
One = Callable[[Look], Awaitable[Sequence[Check]]]


async def examine(pool: Pool, here: Here) -> AsyncIterator[Check]:
    """Each check as it is done. Without a region, or working credentials, there is only that one."""
    options: Any = pool.cloud.settings
    account = Account(json.loads(to_json(options)), here.environ)
    look = Look(account=account, pool=pool, options=options, specification=EMPTY, here=here)
    try:
        async for check in _identity(account):
            yield check
            if check.what != "clock" and check.found is not Found.OK:
                return
        try:
            specification, _ = files_of(options)
            look = Look(account=account, pool=pool, options=options, specification=specification, here=here)
        except CloudError as error:
            yield Check(what="files", found=Found.PROBLEM, text=error.message)
        for what, one in CHECKS:
            for check in await checks_of(what, one(look)):
                yield check
    finally:
        await account.close()


async def _identity(account: Account) -> AsyncIterator[Check]:
    """Who we are, and how far apart the clocks are."""
    began = time.time()
    try:
        answer = await account.call("get_caller_identity", service="sts")
    except UnknownRegionError as error:
        yield Check(what="region", found=Found.PROBLEM, text=error.message)
        return
    except CloudError as error:
        denied = error.fault in (Fault.DENIED, Fault.REFUSED)
        hint = "; check profile: or the keys, and this computer's clock" if denied else ""
        found = Found.PROBLEM if denied else Found.UNKNOWN
        yield Check(what="credentials", found=found, text=f"{error.message}{hint}")
        return
    yield Check(what="credentials", found=Found.OK, text=f"account {answer['Account']} as {answer['Arn']}")
    yield clock_check(answer, (began + time.time()) / 2)


def clock_check(answer: dict[str, Any], now: float) -> Check:
    """How far our clock, `now` in seconds since the epoch, is from the one that an answer's Date header tells."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        theirs = parsedate_to_datetime(date).astimezone(UTC)
    except (ValueError, TypeError):
        return Check(what="clock", found=Found.UNKNOWN, text="AWS's answer has no readable date")
    apart = (datetime.fromtimestamp(now, UTC) - theirs).total_seconds()
    if abs(apart) <= SKEW:
        return Check(what="clock", found=Found.OK, text=f"within {SKEW:.0f} s of AWS's")
    way = "ahead of" if apart > 0 else "behind"
    text = f"{abs(apart):.0f} s {way} AWS's: set it (timedatectl set-ntp true); AWS refuses what is 5 minutes off"
    return Check(what="clock", found=Found.PROBLEM, text=text)


async def _region(look: Look) -> Sequence[Check]:
    answer = await look.account.call("describe_regions", RegionNames=[look.account.region], AllRegions=True)
    status = answer["Regions"][0].get("OptInStatus", "")
    if status == "not-opted-in":
        text = f"{look.account.region} is not enabled for this account: enable it in the console, under Account"
        return [Check(what="region", found=Found.PROBLEM, text=text)]
    return [Check(what="region", found=Found.OK, text=look.account.region)]


# In the order in which they are told; the permissions last, because a launch that is wrong otherwise fails there too.
CHECKS: tuple[tuple[str, One], ...] = (
    ("region", _region),
    ("image", launch.image),
    ("key pair", launch.key_pair),
    ("private key", launch.private_key),
    ("security group", access.security_groups),
    ("subnet", access.subnets),
    ("instance profile", launch.instance_profile),
    ("instance types", launch.offerings),
    ("quota", launch.quotas),
    ("permissions", access.permissions),
)
