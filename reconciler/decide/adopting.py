"""Machines that somebody else bought and a pool names: used like any other, let go of in the end, never ended."""

from attrs import frozen

from reconciler.decide.case import Case, Draft
from reconciler.decide.deadlines import backoff
from reconciler.decide.demand import ADOPTED
from reconciler.decide.holds import adoption_scope
from reconciler.lifecycle.instance import INSTANCE
from reconciler.model.change import Insert, Replace, Step, Update
from reconciler.model.offer import Market, Place
from reconciler.model.rows import Hold, Instance, PoolRow
from reconciler.spec.values import Pool

AGAIN = 60.0  # seconds before a machine that could not be used, or went, is tried again; doubles
AGAIN_MOST = 3600.0


@frozen
class Buying:
    """What a new machine of one pool is made of."""

    row: PoolRow
    pool: Pool
    spec_hash: str
    place: Place
    settings: str  # the pool's cloud settings, as its machines keep them


def adopt(case: Case, draft: Draft, buying: Buying, rows: list[Instance]) -> int:
    """A row for each machine that the pool names and that has none; answers with the pool's version after that.

    The pool's version is bumped, so that two reconcilers cannot both take a machine in.
    """
    version = buying.row.version
    taken = {row.cloud_id for row in rows}
    for cloud_id in buying.pool.adopt:
        hold = _hold(case, buying, cloud_id)
        if cloud_id in taken:
            continue
        if hold is not None and hold.until > case.now:
            draft.due(hold.until)
            continue
        draft.add(_adopted(case, buying, cloud_id, hold, version), ("pools", buying.row.name))
        version += 1
    return version


def _hold(case: Case, buying: Buying, cloud_id: str) -> Hold | None:
    scope = adoption_scope(buying.pool.pool, cloud_id)
    return next((hold for hold in case.recorded.holds if hold.scope == scope), None)


def _adopted(case: Case, buying: Buying, cloud_id: str, before: Hold | None, version: int) -> Step:
    """Born bound: its id is all that is known of it; where its host answers is looked up."""
    pool = buying.pool.pool
    row = Instance(
        id=f"{pool}-{case.new_id()}", version=1, pool=pool, token=f"adopted-{cloud_id}-{case.new_id()}", index=0,
        type=ADOPTED, market=str(Market.ON_DEMAND), zone="", cloud=buying.place.cloud, place=buying.place.settings,
        settings=buying.settings, spec_hash=buying.spec_hash, state=INSTANCE.initial,
        reason="", since=case.now, born=case.now, cloud_id="", address="", boot_id="", host_key="", adopted=True,
        strikes=0, strikes_since=0.0, not_before=0.0, last_error="", claim_by="", claim_until=0.0,
    )  # fmt: skip
    bound = Update(
        table="instances", id=row.id, version=1, event="bound", source="launching", target="booting",
        sets={"cloud_id": cloud_id},
    )  # fmt: skip
    strikes = before.strikes + 1 if before else 1
    until = case.now + backoff(strikes, AGAIN, AGAIN_MOST)
    hold = Hold(adoption_scope(pool, cloud_id), "", "", "", until, strikes, f"{cloud_id} was taken in and went")
    return Step(
        (
            Update(table="pools", id=pool, version=version),
            Insert(table="instances", row=row, why="adopted"),
            bound,
            Replace("holds", hold),
        ),
        f"{row.id}: adopted {cloud_id}",
    )
