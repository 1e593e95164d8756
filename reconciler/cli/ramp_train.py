"""What RAMP's commands do: the same loop, on the deployments that RAMP's files say, with what people see of it."""

import asyncio
import os
from collections.abc import Sequence
from enum import StrEnum

from reconciler.cli.deployment import Deployment
from reconciler.cli.failing import FAILED, Stop
from reconciler.cli.progress import progress
from reconciler.cli.run import Mode, Served, run_all, run_served
from reconciler.cli.summary import summary
from reconciler.compat import ramp_train
from reconciler.compat.ramp_config import RampDeployment
from reconciler.compat.ramp_specs import RampSpecs
from reconciler.compat.ramp_train import Wanted
from reconciler.spec.values import Config
from reconciler.store.store import Store

__all__ = ["Until", "Wanted", "serve", "train"]


class Until(StrEnum):
    """When a command of RAMP's is over."""

    STOPPED = "stopped"  # by a signal
    SETTLED = "settled"  # all that was new is trained


def serve(deployments: Sequence[RampDeployment], until: Until) -> int:
    """Serve the events in this process until it is over; the exit status."""
    return run_all(deployments, Mode.FOREVER if until is Until.STOPPED else Mode.UNTIL_SETTLED, quiet=False)


def train(deployment: RampDeployment, wanted: Wanted) -> int:
    """Train one submission; exit status 1 where it did not succeed. Killed and asked for again, it goes on."""
    last = ramp_train.train(deployment, wanted, _run, os.environ)
    if last is None:
        raise Stop(FAILED, "nothing was trained")
    return 0 if last.state == "succeeded" else FAILED


def _run(config: Config, specs: RampSpecs, store: Store) -> None:
    """Until it is settled, or a signal ends it; then what came of it."""
    with progress(quiet=False, controller=config.controller, done={}) as shown:
        asyncio.run(run_served(Mode.UNTIL_SETTLED, [Served(config, specs, store)], [shown]))
    if store.submissions():
        summary(Deployment(config=config, desired=specs.desired(), store=store))
