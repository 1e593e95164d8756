"""What RAMP's commands do: the same loop, on the deployments that RAMP's files say.

A command about one submission has a small deployment of its own beside the event's: its own database, so that it
resumes when it is killed, and its own controller's name, so that it never meddles with the machines of a training loop.
"""

import asyncio
import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from attrs import evolve, frozen

from reconciler.cli.deployment import Deployment
from reconciler.cli.failing import FAILED, USAGE, Stop
from reconciler.cli.progress import progress
from reconciler.cli.run import Mode, Served, run_all, run_served
from reconciler.cli.summary import summary
from reconciler.compat.ramp_config import RampDeployment
from reconciler.compat.ramp_specs import RampSpecs
from reconciler.lifecycle.submission import SUBMISSION
from reconciler.model.rows import Submission
from reconciler.spec.values import Config, Pool, Size
from reconciler.store.store import Store
from reconciler.wiring import open_store

LONGEST = 63  # characters of a controller's name


class Until(StrEnum):
    """When a command of RAMP's is over."""

    STOPPED = "stopped"  # by a signal
    SETTLED = "settled"  # all that was new is trained


@frozen(kw_only=True)
class Wanted:
    """Which submission a command is about: by RAMP's id, by team and name, or by its folder alone."""

    submission_id: int | None = None
    team: str = ""
    name: str = ""
    folder: str = ""  # within RAMP's folder of submissions: no database hears of it
    instance_id: str = ""  # trained on this machine, which is never ended; empty: on a new one, ended afterwards


def serve(deployments: Sequence[RampDeployment], until: Until) -> int:
    """Serve the events in this process until it is over; the exit status."""
    return run_all(deployments, Mode.FOREVER if until is Until.STOPPED else Mode.UNTIL_SETTLED, quiet=False)


def train(deployment: RampDeployment, wanted: Wanted) -> int:
    """Train one submission; exit status 1 where it did not succeed. Killed and asked for again, it goes on."""
    os.environ.update(deployment.environ)
    key = wanted.folder or str(_id(deployment, wanted))
    config, pool = _alone(deployment, key, wanted)
    specs = RampSpecs(deployment=evolve(deployment, config=config, pools=(pool,)), again=lambda known: known)
    store = open_store(config)
    try:
        _ask_again(config, store, deployment.submissions / wanted.folder if wanted.folder else None, specs)
        with progress(quiet=False, controller=config.controller, done={}) as shown:
            asyncio.run(run_served(Mode.UNTIL_SETTLED, [Served(config, specs, store)], [shown]))
        return _status(config, specs, store)
    finally:
        store.close()


def _id(deployment: RampDeployment, wanted: Wanted) -> int:
    """RAMP's id of the submission. Ends the command where there is none."""
    if not deployment.config.ramp:
        raise Stop(USAGE, f"{deployment.config.source} names no database: add its sqlalchemy: section")
    from reconciler.rampdb.access import Ramp

    ramp = Ramp.open(deployment.config.ramp[0])
    try:
        with ramp.reading() as connection:
            rows = ramp.submissions(connection, ramp.row(connection))
    finally:
        ramp.close()
    if wanted.submission_id is not None:
        found = [row.id for row in rows if row.id == wanted.submission_id]
        what = f"submission {wanted.submission_id}"
    else:
        found = [row.id for row in rows if (row.team, row.name) == (wanted.team, wanted.name)]
        what = f"submission {wanted.name!r} of team {wanted.team!r}"
    if not found:
        raise Stop(USAGE, f"event {deployment.event} has no {what}")
    return found[-1]


def _alone(deployment: RampDeployment, key: str, wanted: Wanted) -> tuple[Config, Pool]:
    """The event's config and pool for one submission: one machine, new or the one that is named."""
    config, (pool,) = deployment.config, deployment.pools
    state = config.state / "train" / key
    kind = next(iter(pool.size))
    config = evolve(
        config, controller=f"{config.controller[: LONGEST - len(key) - 1]}.{key.lower()}"[:LONGEST],
        database=f"sqlite:///{state / 'reconciler.db'}", results=state / "results", state=state,
        ramp=() if wanted.folder else (evolve(config.ramp[0], only=(int(key),)),),
    )  # fmt: skip
    if wanted.instance_id:
        return config, evolve(pool, size={kind: Size(low=0, high=0)}, adopt=(wanted.instance_id,))
    return config, evolve(pool, size={kind: Size(low=0, high=1)})


def _ask_again(config: Config, store: Store, folder: Path | None, specs: RampSpecs) -> None:
    """One that an earlier command trained is trained once more; one that it had begun goes on."""
    from reconciler.api import checked, enqueue, retry

    rows = store.submissions()
    if any(not SUBMISSION.is_final(row.state) for row in rows):
        return
    if folder is not None:
        enqueue(config, store, folder, checked(config, specs.desired().pools, folder, asked={}))
    elif rows and _latest(rows).content:
        retry(config, store, _latest(rows))


def _latest(rows: Sequence[Submission]) -> Submission:
    return max(rows, key=lambda row: row.created)


def _status(config: Config, specs: RampSpecs, store: Store) -> int:
    rows = store.submissions()
    if not rows:
        raise Stop(FAILED, "nothing was trained")
    summary(Deployment(config=config, desired=specs.desired(), store=store))
    return 0 if _latest(rows).state == "succeeded" else FAILED
