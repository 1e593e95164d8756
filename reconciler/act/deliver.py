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
    news = []
    for row in rows:
        submission = await tools.db(tools.reader.submission, row.submission_id)
        attempt = await tools.db(tools.reader.attempt, row.attempt_id) if row.attempt_id else None
        home = tools.results / attempt.results if attempt and attempt.results else None
        news.append(News(delivery=row, submission=submission, attempt=attempt, results=home))
    return await sink.deliver(news)
