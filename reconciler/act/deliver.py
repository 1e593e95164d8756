"""Tells one sink the news of one pool."""

from collections.abc import Sequence

from reconciler.act.base import World
from reconciler.model.offer import Fault
from reconciler.model.rows import Delivery
from reconciler.model.snapshot import Done, Failed
from reconciler.sinks.base import News


async def deliver(rows: Sequence[Delivery], world: World) -> Sequence[Done | Failed]:
    """Hand the news over in the order in which it happened. At least once: a sink bears the same news twice."""
    tools = world.tools
    sink = tools.sinks.get(rows[0].sink)
    if sink is None:
        return [Failed(fault=Fault.REFUSED, message=f"no sink {rows[0].sink} is configured any more") for _ in rows]
    found = await tools.db(tools.reader.submissions, named={row.submission_id for row in rows})
    submissions = {row.id: row for row in found}
    attempts = await tools.db(tools.reader.attempts, {row.attempt_id for row in rows if row.attempt_id})
    news = []
    for row in rows:
        attempt = attempts.get(row.attempt_id)
        home = tools.results / attempt.results if attempt and attempt.results else None
        told = News(delivery=row, submission=submissions[row.submission_id], attempt=attempt, results=home)
        news.append(told)
    return await sink.deliver(news)
