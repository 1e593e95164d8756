"""Who is next: positions in the queue, as RAMP shows them to participants. Pure."""

from collections.abc import Mapping, Sequence

from reconciler.rampdb.access import SubmissionRow
from reconciler.rampdb.routes import pool_of
from reconciler.rampdb.states import NEW
from reconciler.spec.values import Route


def positions(routes: Sequence[Route], rows: Sequence[SubmissionRow]) -> Mapping[int, int]:
    """Submission → its place among those that wait for the same pool, in order of arrival; 1 is next."""
    found: dict[int, int] = {}
    counts: dict[str, int] = {}
    for row in rows:
        if row.state == NEW and row.is_valid is not False:
            pool = pool_of(routes, row.team, row.name)
            counts[pool] = found[row.id] = counts.get(pool, 0) + 1
    return found
