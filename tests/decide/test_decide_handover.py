"""A slot changes hands within one pass: whoever leaves by its host's word and whoever comes stand or fall together."""

import pytest
from attrs import evolve

from reconciler.decide import decide
from reconciler.decide.placement import room
from reconciler.model.change import Update
from reconciler.model.job import Cause, JobReport, JobState
from reconciler.model.rows import Attempt
from tests.decide.decide_cases import NOW, POOL, at_work, births, case, heard, instance, moves, submission

WHERE = instance("a")
OVER = JobReport(job="w.1", state=JobState.EXITED, exit_code=0)
QUEUE = [submission("one"), submission("two")]


def handover(*jobs, work=None, slots=1, where=WHERE, queue=QUEUE):
    return case(
        instances=[where],
        work=[at_work("w", "a")] if work is None else work,
        queue=queue,
        pool=evolve(POOL, slots=slots),
        observed={"hosts": {"a": heard(where, *jobs)}},
    )


def placed(decision):
    return [attempt.submission_id for attempt in births(decision, Attempt)]


def guards(decision, submission_id):
    """What the step that places a submission demands of other rows."""
    for step in decision.steps:
        writes = [write for write in step.writes if isinstance(write, Update)]
        if any((write.id, write.event) == (submission_id, "place") for write in writes):
            return [(write.table, write.id, write.version) for write in writes if not write.event]
    raise AssertionError(f"{submission_id} is not placed")


@pytest.mark.parametrize(
    "job", [OVER, JobReport(job="w.1", state=JobState.KILLED, cause=Cause.TIMEOUT), evolve(OVER, exit_code=3)]
)
def test_the_next_takes_the_slot_in_the_pass_that_hears_of_the_end(job):
    decision = decide(handover(job))
    assert moves(decision, "submissions") == {"w": ("over", "collecting"), "one": ("place", "staging")}
    assert placed(decision) == ["one"]


def test_it_comes_only_if_the_other_left():
    assert guards(decide(handover(OVER)), "one") == [("submissions", "w", 2), ("instances", "a", 1)]


def test_a_slot_that_was_free_is_taken_first_and_asks_nobody_to_leave():
    decision = decide(handover(OVER, slots=2))
    assert placed(decision) == ["one", "two"]
    assert guards(decision, "one") == [("instances", "a", 1)]
    assert guards(decision, "two") == [("submissions", "w", 2), ("instances", "a", 2)]


def test_a_running_job_keeps_its_slot():
    assert placed(decide(handover(JobReport(job="w.1", state=JobState.RUNNING)))) == []


def test_one_that_is_stopped_before_it_is_over_frees_nothing_yet():
    late = at_work("w", "a", clock=NOW - 10_000.0)
    decision = decide(handover(JobReport(job="w.1", state=JobState.RUNNING), work=[late]))
    assert moves(decision, "submissions") == {"w": ("overdue", "collecting")}


def test_where_slots_became_fewer_nobody_comes_for_one_that_leaves():
    assert placed(decide(handover(OVER, work=[at_work("w", "a"), at_work("v", "a")]))) == []


def test_a_machine_that_takes_no_work_hands_nothing_over():
    for where in (evolve(WHERE, state="draining", reason="size"), evolve(WHERE, strikes=1)):
        assert "one" not in placed(decide(handover(OVER, where=where)))


def test_as_many_heads_are_read_as_slots_may_be_handed_over():
    full = handover(OVER)
    assert room(full.desired, full.recorded, full.observed.hosts) == {("cpu", WHERE.type): 1}
    assert room(full.desired, full.recorded, {}) == {}
