"""What RAMP's commands ask for, and the one call that does it: the same loop as `reconcile`'s."""

from collections.abc import Sequence
from enum import StrEnum

from attrs import frozen

from reconciler.compat.ramp_config import RampDeployment


class Until(StrEnum):
    """When a command of RAMP's is over."""

    STOPPED = "stopped"  # by a signal
    SETTLED = "settled"  # all that was new is trained
    TRAINED = "trained"  # the one submission that it names has ended; exit status 1 when it did not succeed


@frozen(kw_only=True)
class Wanted:
    """Which submission a command is about: by RAMP's id, by team and name, or by the name of its folder alone."""

    submission_id: int | None = None
    team: str = ""
    name: str = ""
    folder: str = ""  # ramp-launch worker: in RAMP's folder of submissions, without any database
    instance_id: str = ""  # trained on this machine, which is never ended; empty: on a new one, ended afterwards


def run(deployments: Sequence[RampDeployment], until: Until, wanted: Wanted | None = None) -> int:
    """Serve the deployments in this process until it is over; the exit status. Raises what the loop raises."""
    raise NotImplementedError
