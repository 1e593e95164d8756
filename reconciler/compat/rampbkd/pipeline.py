"""rampbkd's whole pipelines: the loop of `reconcile`, on one submission or on all that are new.

Nothing in them lives in this process alone: killed and called again they go on where they were. They write what they do
to the log of `reconciler`.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from reconciler.compat.ramp_specs import RampSpecs
from reconciler.compat.ramp_train import Wanted, train
from reconciler.compat.rampbkd.config import deployment_of
from reconciler.compat.translated import translated
from reconciler.hosts.local import watched_by_pidfd
from reconciler.spec.values import Config
from reconciler.store.store import Store
from reconciler.wiring import assembled, awake, open_store

Values = Mapping[str, Any]


def train_loop(config: Values, event_name: str | None = None) -> None:
    """Train every new submission of the event, until this process is ended; jobs and machines go on without it.

    `event_name` goes over the config's. Raises RequestError, SpecError, StoreError.
    """
    deployment = deployment_of(config, event_name)
    translated(deployment, os.environ)
    store = open_store(deployment.config)
    try:
        asyncio.run(_serve(deployment.config, RampSpecs(deployment=deployment), store, settle=False))
    finally:
        store.close()


def launch_ec2_instance_and_train(config: Values, submission_id: int) -> bool:
    """Train one submission on a new machine, which is ended afterwards; says whether the training succeeded.

    It launches the machine, waits until it is ready, uploads the submission, trains it, brings predictions and log
    home, stores scores in RAMP's database, and terminates the machine, also after a failure. Raises RequestError,
    StoreError.
    """
    return _train(config, Wanted(submission_id=submission_id))


def train_on_existing_ec2_instance(config: Values, instance_id: str, submission_id: int) -> bool:
    """The same on a machine that runs already, and that is never ended. Raises RequestError, StoreError."""
    return _train(config, Wanted(submission_id=submission_id, instance_id=instance_id))


def _train(config: Values, wanted: Wanted) -> bool:
    last = train(deployment_of(config), wanted, _settle, os.environ)
    return last is not None and last.state == "succeeded"


def _settle(config: Config, specs: RampSpecs, store: Store) -> None:
    asyncio.run(_serve(config, specs, store, settle=True))


async def _serve(config: Config, specs: RampSpecs, store: Store, *, settle: bool) -> None:
    with watched_by_pidfd():
        async with assembled(config, specs, store, lambda _: None) as loop, awake(loop, config, store):
            await (loop.until_settled() if settle else loop.forever())
