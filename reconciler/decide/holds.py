"""What is left alone for a while because it was refused or failed: made, made longer, and forgotten."""

from reconciler.decide.case import Case, Draft
from reconciler.decide.deadlines import backoff
from reconciler.decide.faults import POLICIES, held_until
from reconciler.decide.sightings import place_of, scope_of
from reconciler.model.change import Delete, Replace, Step
from reconciler.model.offer import Fault
from reconciler.model.rows import Hold, Instance

SETUP_HOLD = 60.0  # seconds before another machine is bought after one never became ready; doubles
SETUP_HOLD_MOST = 3600.0
FORGOTTEN = 86400.0  # seconds after its end in which a hold still makes the next one longer


def setup_scope(pool: str, spec_hash: str) -> str:
    """The scope under which machines that never became ready are remembered; an edited spec starts afresh."""
    return f"pool:{pool}:{spec_hash}"


def adoption_scope(pool: str, cloud_id: str) -> str:
    """The scope under which a machine that was taken in is remembered until it is ready."""
    return f"adopt:{pool}:{cloud_id}"


def refused(case: Case, row: Instance, fault: Fault, why: str) -> Replace:
    """Remember that an offer was refused at a place; an earlier refusal makes the hold longer."""
    key = (scope_of(place_of(row)), row.type, row.market, row.zone)
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


def forget(case: Case, draft: Draft) -> None:
    """Drop holds that ended long ago."""
    for hold in case.recorded.holds:
        if hold.until + FORGOTTEN < case.now:
            draft.add(Step((Delete("holds", hold),), f"{hold.scope}: {hold.reason}: forgotten"))
