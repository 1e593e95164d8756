"""Matches what the clouds list against recorded rows: which machine is whose, what is missing, what is nobody's."""

from collections.abc import Mapping

from attrs import field, frozen

from reconciler.decide.case import Case
from reconciler.model.offer import Machine, MachineState, Place
from reconciler.model.rows import Hold, Instance

# Seconds in which "not found" may only mean "not yet", where a place says no other: EC2 is eventually consistent.
# https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
GRACE = 300.0
MANY = 3  # rows that may vanish at once before a second answer is asked for …
SHARE = 0.2  # … or this share of a place's rows, whichever is more


def place_of(row: Instance) -> Place:
    """Where a machine was born, whatever its pool's spec says now."""
    return Place(cloud=row.cloud, settings=row.place)


def scope_of(place: Place) -> str:
    """The scope under which refusals of a place are remembered."""
    return f"{place.cloud} {place.settings}"


@frozen
class Sightings:
    """All listings and look-ups of a pass, by what they are asked for."""

    by_token: Mapping[tuple[str, int], Machine]
    by_id: Mapping[str, Machine]
    complete: frozenset[Place]
    grace: Mapping[Place, float]  # seconds since a birth in which a place's "not found" says nothing
    case: Case = field(repr=False, eq=False)

    def machine(self, row: Instance) -> Machine | None:
        """The machine of a row, as listed, or as looked up by its id."""
        if row.cloud_id:
            return self.by_id.get(row.cloud_id) or self.case.observed.lookups.get(row.cloud_id)
        return self.by_token.get((row.token, row.index))

    def is_unknown(self, row: Instance) -> bool:
        """Whether the cloud said, asked for this very id and past the grace, that it does not know it."""
        lookups = self.case.observed.lookups
        asked = bool(row.cloud_id) and row.cloud_id in lookups and row.cloud_id not in self.by_id
        grace = self.grace.get(place_of(row), GRACE)
        return asked and lookups[row.cloud_id] is None and self.case.now - row.born > grace

    def is_absent(self, row: Instance) -> bool:
        """Whether a complete listing, past the grace, has no machine of an unbound row's token."""
        return (
            not row.cloud_id
            and (row.token, row.index) not in self.by_token
            and place_of(row) in self.complete
            and self.case.now - row.since > GRACE
        )


def sight(case: Case) -> Sightings:
    """Index the pass's listings."""
    machines = [machine for listing in case.observed.listings for machine in listing.machines]
    return Sightings(
        {(machine.token, machine.index): machine for machine in machines if machine.token},
        {machine.cloud_id: machine for machine in machines},
        frozenset(listing.place for listing in case.observed.listings if listing.complete),
        {listing.place: listing.grace for listing in case.observed.listings if listing.grace is not None},
        case,
    )


def vanishing(case: Case, seen: Sightings) -> tuple[dict[Place, Hold], set[Place]]:
    """Places where too much is unknown at once: what to remember of it, and which of them two answers agree on."""
    rows: dict[Place, list[Instance]] = {}
    unknown: dict[Place, list[str]] = {}
    for row in case.recorded.instances.values():
        if row.cloud_id:
            rows.setdefault(place_of(row), []).append(row)
            if seen.is_unknown(row):
                unknown.setdefault(place_of(row), []).append(row.id)
    known = {(hold.scope, hold.type): hold for hold in case.recorded.holds}
    suspicious: dict[Place, Hold] = {}
    agreed: set[Place] = set()
    for place, ids in unknown.items():
        if len(ids) <= max(MANY, SHARE * len(rows[place])):
            continue
        scope, what = f"vanished {scope_of(place)}", ",".join(sorted(ids))
        before = known.get((scope, what))
        if before and before.until <= case.now:
            agreed.add(place)
        elif not before:
            suspicious[place] = Hold(scope, what, "", "", case.now + 1.0, 1, f"{len(ids)} machines vanished at once")
        else:
            suspicious[place] = before
    return suspicious, agreed


def is_over(machine: Machine | None) -> bool:
    """Whether the cloud's word is that the machine has ended."""
    return machine is not None and machine.state is MachineState.TERMINATED
