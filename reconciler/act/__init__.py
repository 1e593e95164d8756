"""Effects: one small file for each, and the table that says which intent state each belongs to."""

from collections.abc import Hashable

from reconciler.act.base import Effect
from reconciler.act.collect import cancel, collect
from reconciler.act.deliver import deliver
from reconciler.act.going import start, stop, terminate
from reconciler.act.launch import launch
from reconciler.act.prepare import prepare
from reconciler.act.stage import stage
from reconciler.decide.sightings import place_of
from reconciler.model.rows import Delivery
from reconciler.spec.sinks import SCORES


def _told_together(row: Delivery) -> Hashable:
    """A score table is written once for all its news; a slow hook keeps nobody else's news waiting."""
    return (row.sink, row.pool) if row.sink == SCORES else row.id


# In the order in which due effects start: what frees or fills a slot first.
EFFECTS: tuple[Effect, ...] = (
    Effect(table="instances", state="launching", run=launch, together=lambda row: row.token),
    Effect(table="submissions", state="staging", run=stage),
    Effect(table="submissions", state="cancelling", run=cancel),
    Effect(table="submissions", state="collecting", run=collect),
    Effect(table="instances", state="preparing", run=prepare),
    Effect(table="instances", state="starting", run=start, together=place_of),
    Effect(table="instances", state="stopping", run=stop, together=place_of),
    Effect(table="instances", state="terminating", run=terminate, together=place_of),
    Effect(table="deliveries", state="pending", run=deliver, together=_told_together),
)
