"""What the checks of EC2 share: what they look at, and what a refusal means for a check."""

from collections.abc import Awaitable, Sequence

from attrs import frozen

from reconciler.clouds.base import Check, CloudError, Found, Here
from reconciler.clouds.ec2_account import Account
from reconciler.clouds.ec2_specification import Specification
from reconciler.model.offer import Fault
from reconciler.spec.options import Ec2Cloud
from reconciler.spec.values import Pool

# Faults that say something about what was asked for; all others say that it could not be asked.
TELLING = frozenset({Fault.REFUSED, Fault.NOT_FOUND})


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
        return Check(what=what, found=Found.PROBLEM, text=error.message)
    return Check(what=what, found=Found.UNKNOWN, text=f"could not check: {error.message}")


def judged(what: str, good: bool, text: str) -> Check:
    """OK, or a problem."""
    return Check(what=what, found=Found.OK if good else Found.PROBLEM, text=text)
