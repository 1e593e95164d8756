"""Which clouds there are. A new one is its file, a line here, and its options in spec/options.py.

Each is imported when it is first asked for, so that nobody waits for an AWS library that is not needed.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from reconciler.clouds.base import Cloud, Examine, Here, Price
from reconciler.model.offer import Place


def _local(place: Place, settings: str, here: Here) -> Cloud:  # noqa: ARG001 (a folder needs no keys to get in)
    from reconciler.clouds.local import LocalCloud
    from reconciler.spec import options
    from reconciler.spec.canonical import settings_from_json

    return LocalCloud(place, delay=settings_from_json(settings, options.LocalCloud).delay if settings else 0.0)


def _ssh(place: Place, settings: str, here: Here) -> Cloud:  # noqa: ARG001 (the place says it all)
    from reconciler.clouds.ssh import SshCloud

    return SshCloud(place, here)


def _examine_ssh() -> Examine:
    from reconciler.clouds.ssh_examine import examine

    return examine


def _ec2(place: Place, settings: str, here: Here) -> Cloud:  # noqa: ARG001 (a place's settings tell how to get in)
    from reconciler.clouds.ec2 import Ec2Cloud

    return Ec2Cloud(place, here)


def _ec2_checks() -> Examine:
    from reconciler.clouds.ec2_checks import examine

    return examine


def _ec2_prices() -> Price:
    from reconciler.clouds.ec2_prices import price

    return price


# Kind → a cloud at a place, reached by cloud settings (canonical JSON; empty where only the place is known).
CLOUDS: Mapping[str, Callable[[Place, str, Here], Cloud]] = MappingProxyType(
    {"local": _local, "ec2": _ec2, "ssh": _ssh}
)

# Kind → what `doctor` asks of it, where there is something to ask.
CHECKS: Mapping[str, Callable[[], Examine]] = MappingProxyType({"ec2": _ec2_checks, "ssh": _examine_ssh})

# Kind → what its machines cost, where they cost something.
PRICES: Mapping[str, Callable[[], Price]] = MappingProxyType({"ec2": _ec2_prices})
