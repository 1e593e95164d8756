"""One submission of RAMP's, trained by the loop in a small deployment of its own beside the event's.

Its own database, so that it resumes when it is killed; its own controller's name, so that it never meddles with the
machines of a training loop. Its config lies with it, so that every command works on it.
"""

import copy
import re
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path

from attrs import evolve, frozen

from reconciler.api import RequestError, checked, enqueue, retry
from reconciler.compat.draft import Draft
from reconciler.compat.ramp_config import RampDeployment
from reconciler.compat.ramp_specs import RampSpecs
from reconciler.compat.translated import translated
from reconciler.lifecycle.submission import SUBMISSION
from reconciler.model.rows import Submission
from reconciler.queues.content import check_name
from reconciler.spec.values import Config, Size
from reconciler.store.store import Store
from reconciler.wiring import open_store

LONGEST = 63  # characters of a controller's name
FOLDER = "train"  # within the event's state folder: a folder a submission

Run = Callable[[Config, RampSpecs, Store], None]  # serves a deployment until it is settled


@frozen(kw_only=True)
class Wanted:
    """Which submission it is about: by RAMP's id, by team and name, or by its folder alone."""

    submission_id: int | None = None
    team: str = ""
    name: str = ""
    folder: str = ""  # within RAMP's folder of submissions: no database hears of it
    instance_id: str = ""  # trained on this machine, which is never ended; empty: on a new one, ended afterwards


def train(deployment: RampDeployment, wanted: Wanted, run: Run, environ: MutableMapping[str, str]) -> Submission | None:
    """Train one submission, and answer with what became of it; None where nothing was taken in.

    Killed and asked for again, it goes on; asked for after its end, it is trained once more. The secrets of RAMP's
    files are put into `environ`, which has to be the one of this process. Raises RequestError for a submission that is
    not there, InvalidSubmissionError for a bad folder, StoreError for a database.
    """
    key = _key(deployment, wanted)
    mine = alone(deployment, key, wanted)
    translated(mine, environ)
    specs = RampSpecs(deployment=mine, again=lambda known: known)
    store = open_store(mine.config)
    try:
        _ask_again(mine.config, store, deployment.submissions / wanted.folder if wanted.folder else None, specs)
        run(mine.config, specs, store)
        rows = store.submissions()
        return _latest(rows) if rows else None
    finally:
        store.close()


def controller_of(config: Config, key: str) -> str:
    """The controller's name of one submission's deployment, by the name of its folder."""
    own = re.sub(r"[^a-z0-9._-]+", "-", key.lower())
    return f"{config.controller[: max(1, LONGEST - len(own) - 1)]}.{own}"[:LONGEST]


def alone(deployment: RampDeployment, key: str, wanted: Wanted) -> RampDeployment:
    """The event's deployment for one submission: one machine, new or the one that is named."""
    config, (pool,) = deployment.config, deployment.pools
    state = config.state / FOLDER / key
    kind = next(iter(pool.size))
    config = evolve(
        config, controller=controller_of(config, key), database=f"sqlite:///{state / 'reconciler.db'}",
        results=state / "results", state=state,
        ramp=() if wanted.folder else (evolve(config.ramp[0], only=(int(key),)),),
    )  # fmt: skip
    ours, theirs = _copied(deployment.config_draft), _copied(deployment.pool_draft)
    for name in ("controller", "database", "results", "state"):
        ours.put(name, value=str(getattr(config, name)))
    if wanted.folder:
        ours.tree.pop("ramp", None)
    else:
        ours.tree["ramp"][0]["only"] = [int(key)]
    most = 0 if wanted.instance_id else 1
    theirs.put("size", kind, value=f"0..{most}", why="one submission")
    if wanted.instance_id:
        theirs.put("adopt", value=[wanted.instance_id])
    adopted = (wanted.instance_id,) if wanted.instance_id else ()
    pool = evolve(pool, size={kind: Size(low=0, high=most)}, adopt=adopted)
    return evolve(deployment, config=config, pools=(pool,), config_draft=ours, pool_draft=theirs)


def _copied(draft: Draft) -> Draft:
    return Draft(tree=copy.deepcopy(draft.tree), comments=dict(draft.comments))


def _key(deployment: RampDeployment, wanted: Wanted) -> str:
    """The name of the submission's own folder. Raises InvalidSubmissionError, RequestError."""
    if wanted.folder:
        check_name(wanted.folder)
        if not (deployment.submissions / wanted.folder).is_dir():
            raise RequestError(f"there is no submission {wanted.folder} in {deployment.submissions}: name its folder")
        return wanted.folder
    return str(_id(deployment, wanted))


def _id(deployment: RampDeployment, wanted: Wanted) -> int:
    """RAMP's id of the submission. Raises RequestError where there is none."""
    if not deployment.config.ramp:
        raise RequestError(f"{deployment.config.source} names no database: add its sqlalchemy: section")
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
        raise RequestError(f"event {deployment.event} has no {what}")
    return found[-1]


def _ask_again(config: Config, store: Store, folder: Path | None, specs: RampSpecs) -> None:
    """One that an earlier command trained is trained once more; one that it had begun goes on."""
    rows = store.submissions()
    if any(not SUBMISSION.is_final(row.state) for row in rows):
        return
    if folder is not None:
        enqueue(config, store, folder, checked(config, specs.desired().pools, folder, asked={}))
    elif rows and _latest(rows).content:
        retry(config, store, _latest(rows))


def _latest(rows: Sequence[Submission]) -> Submission:
    return max(rows, key=lambda row: row.created)
