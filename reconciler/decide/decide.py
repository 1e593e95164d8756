"""One decision: what each room of this package has to say, in an order in which the outside world comes first."""

from reconciler.decide.case import Case, Decision, Draft
from reconciler.decide.holds import forget
from reconciler.decide.instances import instances
from reconciler.decide.orphans import orphans
from reconciler.decide.placement import placement
from reconciler.decide.pools import pools
from reconciler.decide.specs import specs
from reconciler.decide.submissions import submissions
from reconciler.decide.telling import deliveries


def decide(case: Case) -> Decision:
    """The steps that bring recorded and desired closer to each other. Pure; a converged case gives no steps.

    A row moves at most once in a pass, so what happened outside is decided before what we want.
    """
    draft = Draft(now=case.now)
    instances(case, draft)
    submissions(case, draft)
    deliveries(case, draft)
    orphans(case, draft)
    specs(case, draft)
    placement(case, draft)
    pools(case, draft)
    forget(case, draft)
    for waiting in case.recorded.waiting.values():
        if waiting.next_due is not None:
            draft.due(waiting.next_due)
    return Decision(
        steps=tuple(draft.steps),
        orphans=tuple(draft.orphans),
        halted=frozenset(draft.halted),
        wake_at=draft.wake_at,
        broken=tuple(draft.broken),
    )
