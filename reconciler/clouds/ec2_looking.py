"""What the checks of EC2 share: what they look at, and what a refusal means for a check."""

from collections.abc import Awaitable, Mapping, Sequence
from types import MappingProxyType

from attrs import frozen

from reconciler.clouds.base import Check, CloudError, Found, Here
from reconciler.clouds.ec2_account import Account
from reconciler.clouds.ec2_errors import code_of
from reconciler.clouds.ec2_specification import Specification
from reconciler.model.offer import Fault
from reconciler.spec.options import Ec2Cloud
from reconciler.spec.values import Pool

# Faults that say something about what was asked for; all others say that it could not be asked.
TELLING = frozenset({Fault.REFUSED, Fault.NOT_FOUND})

# What is looked at → what to do where AWS refuses it. Refusals of our own say that themselves.
ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "image": "check image: and region:",
        "key pair": "check key_name: and region:, or make the key pair in the EC2 console",
        "security group": "check security_group:, subnets: and region:",
        "subnet": "check subnets: and region:",
        "quota": "check the types in size:",
        "permission": "a launch would be refused so: mend that in the pool's file",
    }
)


@frozen(kw_only=True)
class Look:
    """One pool, and the account that it buys in."""

    account: Account
    pool: Pool
    options: Ec2Cloud
    specification: Specification
    here: Here


async def checks_of(what: str, checks: Awaitable[Sequence[Check]]) -> Sequence[Check]:
    """A check's findings; one that AWS would not let us make fails nothing."""
    try:
        return await checks
    except CloudError as error:
        return [refused(what, error)]


def refused(what: str, error: CloudError) -> Check:
    """What a refusal says of the thing that was looked at."""
    if error.fault in TELLING:
        hint = ADVICE.get(what, "") if error.__cause__ is not None and code_of(error.__cause__) else ""
        text = f"{error.message.rstrip('.')}; {hint}" if hint else error.message
        return Check(what=what, found=Found.PROBLEM, text=text)
    return Check(what=what, found=Found.UNKNOWN, text=error.message)


def judged(what: str, good: bool, text: str) -> Check:
    """OK, or a problem."""
    return Check(what=what, found=Found.OK if good else Found.PROBLEM, text=text)
