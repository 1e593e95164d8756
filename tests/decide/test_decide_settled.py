"""What is left to do: what moves by itself, and what waits for somebody."""

from attrs import evolve

from reconciler.decide.settled import standing
from reconciler.lifecycle.instance import USER_STOP
from reconciler.spec.values import Size
from tests.decide.decide_cases import POOL, case, instance, submission

ONE = evolve(POOL, size={"small": Size(low=0, high=1)})


def stands(*instances, pool=ONE):
    given = case(instances=instances, queue=[submission("one")], pool=pool)
    return standing(given.desired, given.recorded)


def test_a_queue_behind_machines_that_the_user_stopped_waits_for_the_user():
    found = stands(instance("a", "stopped", reason=USER_STOP))
    assert found.settled
    assert found.set_aside == (f"1 queued for pool cpu: a: {USER_STOP}",)


def test_it_goes_on_by_itself_where_another_may_be_bought_or_was_stopped_for_being_idle():
    two = evolve(POOL, size={"small": Size(low=0, high=2)})
    assert not stands(instance("a", "stopped", reason=USER_STOP), pool=two).settled
    assert not stands(instance("a", "stopped", reason="idle")).settled
    assert not stands(instance("a", "stopped", reason=USER_STOP), instance("b")).settled
