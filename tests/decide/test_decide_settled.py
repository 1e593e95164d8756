"""What is left to do: what moves by itself, and what waits for somebody."""

from attrs import evolve

from reconciler.decide.settled import standing
from reconciler.lifecycle.instance import USER_STOP
from reconciler.spec.values import Size
from tests.decide.decide_cases import POOL, case, instance, submission, types

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


def test_what_names_a_type_that_its_pool_does_not_have_waits_for_somebody_and_keeps_nobody_from_going_on():
    queue = [submission("one", types=types("huge")), submission("two", types=types("huge")), submission("three")]
    given = case(queue=queue, pool=ONE)
    found = standing(given.desired, given.recorded)
    assert found.in_flight == ("1 queued for pool cpu",)
    assert found.set_aside == ("2 queued for pool cpu: it names huge, and pool cpu has small only",)
    assert found.queued_aside == {"cpu": 2}
    given = case(queue=queue[:2], pool=ONE)
    assert standing(given.desired, given.recorded).settled
    given = case(queue=[submission("one", types=types("huge", "small"))], pool=ONE)
    assert not standing(given.desired, given.recorded).set_aside
