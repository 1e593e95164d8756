"""Each pool's size: what the queue needs, what the spec allows, and the difference to what is there."""

from functools import partial

from reconciler.decide.adopting import Buying, adopt
from reconciler.decide.case import Case, Draft
from reconciler.decide.demand import wanted
from reconciler.decide.holds import request_scope, scopes_of, setup_scope
from reconciler.decide.letting_go import let_go
from reconciler.decide.moves import move_instance
from reconciler.decide.sightings import scope_of
from reconciler.lifecycle.instance import INSTANCE, USER_STOP
from reconciler.model.change import Insert, Step, Update
from reconciler.model.offer import LaunchRequest, Market, Offer
from reconciler.model.rows import Instance, Launch
from reconciler.model.tags import CONTROLLER, DATABASE, POOL, SPEC, TOKEN
from reconciler.spec.places import cloud_settings, place, zones

MOST_IN_A_LAUNCH = 50  # machines asked for by one token


def pools(case: Case, draft: Draft) -> None:
    """Buy, start, drain and let go, pool by pool: one that starves delays no other."""
    rows: dict[str, list[Instance]] = {}
    for row in case.recorded.instances.values():
        if not INSTANCE.is_final(row.state):
            rows.setdefault(row.pool, []).append(row)
    for name in sorted(rows.keys() | case.desired.pools.keys()):
        draft.decide("sizes", name, partial(_size, case, draft, name, rows.get(name, [])))


def _size(case: Case, draft: Draft, name: str, rows: list[Instance]) -> None:
    let_go(case, draft, name, rows)
    pool_row = case.recorded.pools.get(name)
    wish = case.desired.pools.get(name)
    if wish and pool_row and draft.is_free("pools", name):
        config = case.desired.config
        where, settings = place(wish.pool, config), cloud_settings(wish.pool, config)
        buying = Buying(pool_row, wish.pool, wish.spec_hash, where, settings)
        if buying.place not in draft.halted:
            version = adopt(case, draft, buying, rows)
            _grow(case, draft, buying, rows, version)


def _grow(case: Case, draft: Draft, buying: Buying, rows: list[Instance], version: int) -> None:
    """Start stopped machines, then buy what is still missing: one launch for each offering."""
    if _held(case, (setup_scope(buying.row.name, buying.spec_hash),), Offer(type="")):
        return
    offers = {kind: _offer(case, buying, kind) for kind in buying.pool.size}
    startable = [row for row in rows if _may_start(case, row)]
    for need in wanted(case, buying.pool, rows, startable, lambda kind: offers[kind] is not None):
        missing = need.count
        for row in startable:
            if missing and row.type == need.type and draft.is_free("instances", row.id):
                start = move_instance(case, row, "start", reason="")
                draft.add(Step((start,), f"{row.id}: started again"), ("instances", row.id))
                missing -= 1
        offer = offers[need.type]
        count = min(missing, need.buyable, MOST_IN_A_LAUNCH)
        if offer and count > 0:
            draft.add(_launch(case, buying, offer, count, version), ("pools", buying.row.name))
            version += 1


def _may_start(case: Case, row: Instance) -> bool:
    """Whether it is stopped, not by the user, and the cloud did not just refuse to start one like it."""
    offer = Offer(type=row.type, market=Market(row.market), zone=row.zone)
    return row.state == "stopped" and row.reason != USER_STOP and not _held(case, scopes_of(row), offer)


def _offer(case: Case, buying: Buying, kind: str) -> Offer | None:
    """The first market, in the pool's order, and in it the first zone in which this type is not held back."""
    scopes = (scope_of(buying.place), request_scope(buying.row.name, buying.settings, buying.spec_hash))
    offers = (
        Offer(type=kind, market=market, zone=zone) for market in buying.pool.market for zone in zones(buying.pool)
    )
    return next((offer for offer in offers if not _held(case, scopes, offer)), None)


def _held(case: Case, scopes: tuple[str, ...], offer: Offer) -> bool:
    return any(
        hold.scope in scopes and hold.until > case.now and (hold.type, hold.market, hold.zone) in _keys(offer)
        for hold in case.recorded.holds
    )


def _keys(offer: Offer) -> tuple[tuple[str, str, str], ...]:
    return ((offer.type, str(offer.market), offer.zone), ("", "", ""))


def _launch(case: Case, buying: Buying, offer: Offer, count: int, version: int) -> Step:
    """The intent: token, frozen request and rows, committed together.

    The pool's version is bumped, so that two reconcilers cannot both fill the same gap.
    """
    owner, pool = case.recorded.identity, buying.pool.pool
    token = f"{pool[:20]}-{case.new_id()}{case.new_id()}"
    request = LaunchRequest(
        token=token, offer=offer, count=count, settings=buying.settings,
        tags={CONTROLLER: owner.controller, DATABASE: owner.database_id, POOL: pool, TOKEN: token,
              SPEC: buying.spec_hash, "Name": f"{owner.controller}/{pool}"},
    )  # fmt: skip
    born = [
        Insert(table="instances", row=_instance(case, buying, request, index), why="wanted") for index in range(count)
    ]
    return Step(
        (
            Update(table="pools", id=pool, version=version),
            Insert(table="launches", row=Launch(token, pool, case.now, request.to_json())),
            *born,
        ),
        f"pool {pool}: {count} x {offer.type} ({offer.market}) wanted",
    )


def _instance(case: Case, buying: Buying, request: LaunchRequest, index: int) -> Instance:
    offer = request.offer
    return Instance(
        id=f"{buying.pool.pool}-{case.new_id()}", version=1, pool=buying.pool.pool, token=request.token, index=index,
        type=offer.type, market=str(offer.market), zone=offer.zone, cloud=buying.place.cloud,
        place=buying.place.settings, settings=request.settings, spec_hash=buying.spec_hash, state=INSTANCE.initial,
        reason="", since=case.now, born=case.now, cloud_id="", address="", boot_id="", host_key="", adopted=False,
        strikes=0, strikes_since=0.0, not_before=0.0, last_error="", claim_by="", claim_until=0.0,
    )  # fmt: skip
