"""Machines without a live row: ended where their row is final, shown and counted where there is none at all."""

from reconciler.decide.case import Case, Draft, Orphan
from reconciler.decide.sightings import is_over
from reconciler.model.change import Delete, Replace, Step
from reconciler.model.offer import Listing, Machine
from reconciler.model.rows import Stranger
from reconciler.model.tags import DATABASE, POOL

GRACE = 60.0  # seconds after a row's end in which its machine may still be on its way out


def orphans(case: Case, draft: Draft) -> None:
    """End machines whose rows are final; remember the strangers, forget those that left."""
    live = {(row.token, row.index) for row in case.recorded.instances.values()}
    bound = {row.cloud_id for row in case.recorded.instances.values() if row.cloud_id}
    known = {(s.cloud, s.place, s.cloud_id): s for s in case.recorded.strangers}
    present: set[tuple[str, str, str]] = set()
    for listing in case.observed.listings:
        for machine in listing.machines:
            if is_over(machine) or (machine.token, machine.index) in live or machine.cloud_id in bound:
                continue
            ended = case.recorded.ended.get((machine.token, machine.index))
            if ended and machine.tags.get(DATABASE) == case.recorded.identity.database_id:
                if case.now - ended[1] > GRACE and listing.place not in draft.halted:
                    draft.orphans.append(Orphan(place=listing.place, cloud_id=machine.cloud_id, why=f"row {ended[0]}"))
                continue
            key = (listing.place.cloud, listing.place.settings, machine.cloud_id)
            present.add(key)
            if key not in known:
                draft.add(_meet(case, listing, machine))
    complete = {(entry.place.cloud, entry.place.settings) for entry in case.observed.listings if entry.complete}
    for key, stranger in known.items():
        if key not in present and key[:2] in complete:
            draft.add(Step((Delete("strangers", stranger),), f"{stranger.cloud_id}: left"))


def _meet(case: Case, listing: Listing, machine: Machine) -> Step:
    stranger = Stranger(
        listing.place.cloud,
        listing.place.settings,
        machine.cloud_id,
        machine.tags.get(POOL, ""),
        machine.type,
        case.now,
    )
    return Step((Replace("strangers", stranger),), f"{machine.cloud_id}: has our tag and no row")
