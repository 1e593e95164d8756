"""What is left alone for a while because it was refused or failed: made, made longer, and forgotten."""

from hashlib import sha256

from reconciler.decide.case import Case, Desired, Draft
from reconciler.decide.deadlines import backoff
from reconciler.decide.faults import POLICIES, held_until
from reconciler.decide.sightings import place_of, scope_of
from reconciler.model.change import Delete, Replace, Step
from reconciler.model.offer import Fault
from reconciler.model.rows import Hold, Instance
from reconciler.model.snapshot import Recorded
from reconciler.spec.places import cloud_settings, place, zones

SETUP_HOLD = 60.0  # seconds before another machine is bought after one never became ready; doubles
SETUP_HOLD_MOST = 3600.0
FORGOTTEN = 86400.0  # seconds after its end in which a hold still makes the next one longer


def setup_scope(pool: str, spec_hash: str) -> str:
    """The scope under which machines that never became ready are remembered; an edited spec starts afresh."""
    return f"pool:{pool}:{spec_hash}"


def adoption_scope(pool: str, cloud_id: str) -> str:
    """The scope under which a machine that was taken in is remembered until it is ready."""
    return f"adopt:{pool}:{cloud_id}"


def request_scope(pool: str, settings: str, spec_hash: str) -> str:
    """The scope under which it is remembered that a pool's request was wrong: an edited one is another request."""
    return f"{_requests(pool)}{sha256(f'{spec_hash} {settings}'.encode()).hexdigest()[:12]}"


def _requests(pool: str) -> str:
    return f"request:{pool}:"


def scopes_of(row: Instance) -> tuple[str, str]:
    """Where refusals of a machine's offer are remembered: with its place, and with its pool's request."""
    return scope_of(place_of(row)), request_scope(row.pool, row.settings, row.spec_hash)


def refused(case: Case, row: Instance, fault: Fault, why: str) -> Replace:
    """Remember that an offer was refused; an earlier refusal makes the hold longer."""
    at_place, of_request = scopes_of(row)
    key = (of_request if POLICIES[fault].of_request else at_place, row.type, row.market, row.zone)
    before = next((h for h in case.recorded.holds if (h.scope, h.type, h.market, h.zone) == key), None)
    recent = before is not None and case.now < before.until + POLICIES[fault].hold_most
    strikes = before.strikes + 1 if before and recent else 1
    return Replace("holds", Hold(*key, held_until(fault, strikes, case.now), strikes, f"{fault}: {why}"))


def never_ready(case: Case, row: Instance, why: str) -> Replace:
    """A machine of this very spec never became ready: what failed once would fail again, and cost money each time."""
    scope = setup_scope(row.pool, row.spec_hash)
    before = next((hold for hold in case.recorded.holds if hold.scope == scope), None)
    strikes = before.strikes + 1 if before else 1
    until = case.now + backoff(strikes, SETUP_HOLD, SETUP_HOLD_MOST)
    return Replace("holds", Hold(scope, "", "", "", until, strikes, why))


def became_ready(case: Case, row: Instance) -> list[Delete]:
    """A machine of this spec is ready: earlier failures are forgiven."""
    scopes = (setup_scope(row.pool, row.spec_hash), adoption_scope(row.pool, row.cloud_id))
    return [Delete("holds", hold) for hold in case.recorded.holds if hold.scope in scopes]


def asked_anew(case: Case, pool: str) -> list[Delete]:
    """The pool was edited: that its requests were wrong says nothing any more."""
    return [Delete("holds", hold) for hold in case.recorded.holds if hold.scope.startswith(_requests(pool))]


def concerning(desired: Desired, recorded: Recorded, name: str) -> list[Hold]:
    """What is held back now of all that a pool may ask for, as its spec is."""
    wish = desired.pools[name]
    pool, where = wish.pool, place(wish.pool, desired.config)
    whole = {setup_scope(name, wish.spec_hash), *(adoption_scope(name, cloud_id) for cloud_id in pool.adopt)}
    scopes = {scope_of(where), request_scope(name, cloud_settings(pool, desired.config), wish.spec_hash)}
    offers = {(kind, str(market), zone) for kind in pool.size for market in pool.market for zone in zones(pool)}
    return [
        hold
        for hold in recorded.holds
        if hold.until > recorded.now
        and (hold.scope in whole or (hold.scope in scopes and (hold.type, hold.market, hold.zone) in offers))
    ]


def named(hold: Hold) -> str:
    """What is held back, in words: an offer, or a pool."""
    offer = " ".join(part for part in (hold.type, hold.market, hold.zone) if part)
    return offer or hold.scope.partition(":")[2].partition(":")[0] or hold.scope


def forget(case: Case, draft: Draft) -> None:
    """Drop holds that ended long ago."""
    for hold in case.recorded.holds:
        if hold.until + FORGOTTEN < case.now:
            draft.add(Step((Delete("holds", hold),), f"{hold.scope}: {hold.reason}: forgotten"))
