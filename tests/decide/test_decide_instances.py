"""What the clouds, the hosts and time do to machines; orphans, strangers, and much vanishing at once."""

import pytest
from attrs import evolve

from reconciler.decide import decide
from reconciler.decide.instances import SILENCE_COUNT, setup_job
from reconciler.decide.sightings import GRACE
from reconciler.model.change import Delete, Replace, Update
from reconciler.model.job import JobReport, JobState
from reconciler.model.offer import Fault, Listing, MachineState
from reconciler.model.rows import Hold, Instance
from reconciler.model.snapshot import Answer, Done, Failed, Silence
from reconciler.model.tags import DATABASE
from reconciler.model.tags import POOL as POOL_TAG
from reconciler.spec.values import Size
from tests.decide.decide_cases import NOW, PLACE, POOL, at_work, births, case, heard, instance, machine, moves

LONG_AGO = NOW - GRACE - 1.0
MANY = evolve(POOL, size={"small": Size(low=0, high=9)})


def listed(*machines, complete=True):
    return {"listings": (Listing(place=PLACE, machines=machines, complete=complete),)}


def answer(row, result):
    return {"answers": (Answer(table="instances", id=row.id, state=row.state, since=row.since, result=result),)}


def holds(decision):
    return [write.row for step in decision.steps for write in step.writes if isinstance(write, Replace)]


# --- absence is not evidence


def test_only_terminated_ends_a_row():
    row = instance("a")
    for state in MachineState:
        decided = moves(decide(case(instances=[row], observed=listed(machine(row, state)))))
        assert (decided.get("a") == ("gone", "terminated")) == (state is MachineState.TERMINATED)


def test_a_row_that_is_missing_from_a_listing_stays():
    for complete in (True, False):
        assert moves(decide(case(instances=[instance("a")], observed=listed(complete=complete)))) == {}


def test_not_found_when_asked_by_id_ends_a_row_past_the_grace_only():
    observed = {**listed(), "lookups": {"m-a": None}}
    assert moves(decide(case(instances=[instance("a", born=NOW - GRACE)], observed=observed))) == {}
    assert moves(decide(case(instances=[instance("a")], observed=observed))) == {"a": ("gone", "terminated")}


def test_where_an_answer_holds_at_once_there_is_no_grace():
    observed = {"listings": (Listing(place=PLACE, grace=0.0),), "lookups": {"m-a": None}}
    young = instance("a", born=NOW - 1.0)
    assert moves(decide(case(instances=[young], observed=observed))) == {"a": ("gone", "terminated")}


def test_an_unbound_row_ends_as_absent_only_when_a_complete_listing_past_the_grace_says_so():
    row = instance("a", "terminating", cloud_id="", since=LONG_AGO)
    assert moves(decide(case(instances=[row], observed=listed()))) == {"a": ("absent", "failed")}
    assert moves(decide(case(instances=[row], observed=listed(complete=False)))) == {}
    assert moves(decide(case(instances=[evolve(row, since=NOW - GRACE)], observed=listed()))) == {}
    found = machine(row, cloud_id="m-a")
    assert moves(decide(case(instances=[row], observed=listed(found)))) == {"a": ("bound", "terminating")}


def test_much_vanishing_at_once_halts_the_place_until_two_answers_agree():
    rows = [instance(f"i{number}") for number in range(5)]
    observed = {**listed(), "lookups": {row.cloud_id: None for row in rows}}
    first = decide(case(instances=rows, pool=MANY, observed=observed))
    assert moves(first) == {}
    assert first.halted == {PLACE}
    (hold,) = holds(first)
    again = {"holds": (evolve(hold, until=NOW - 1.0),)}
    assert len(moves(decide(case(instances=rows, pool=MANY, observed=observed, recorded=again)))) == 5
    others = {**observed, "lookups": {row.cloud_id: None for row in rows[:4]}}
    assert moves(decide(case(instances=rows, pool=MANY, observed=others, recorded=again))) == {}


def test_a_few_that_vanish_halt_nothing():
    rows = [instance(f"i{number}") for number in range(5)]
    observed = {**listed(*map(machine, rows[3:])), "lookups": {row.cloud_id: None for row in rows[:3]}}
    assert set(moves(decide(case(instances=rows, pool=MANY, observed=observed)))) == {"i0", "i1", "i2"}


# --- silence

ENOUGH = SILENCE_COUNT - 1  # strikes before the last one


@pytest.mark.parametrize(
    ("strikes", "seconds", "ends"),
    [
        (0, 0.0, False),
        (ENOUGH, 299.0, False),
        (ENOUGH - 1, 9e9, False),
        (ENOUGH, 300.0, True),
    ],
)
def test_silence_ends_a_machine_by_a_count_and_a_time_together(strikes, seconds, ends):
    row = instance("a", strikes=strikes, strikes_since=NOW - seconds, last_error="silent: no")
    decided = moves(decide(case(instances=[row], observed={"hosts": {"a": Silence(error="no", at=NOW)}})))
    assert decided == ({"a": ("unreachable", "terminating")} if ends else {})


def test_one_answer_forgets_all_silence():
    row = instance("a", strikes=SILENCE_COUNT, strikes_since=0.0, last_error="silent: no")
    (step,) = decide(case(instances=[row], observed={"hosts": {"a": heard(row)}})).steps
    (write,) = step.writes
    assert write.sets == {"strikes": 0, "strikes_since": 0.0, "last_error": ""}


# --- hosts and effects


def test_an_old_answer_says_nothing_about_a_newer_row():
    row = instance("a", "booting", since=NOW)
    assert moves(decide(case(instances=[row], observed={"hosts": {"a": heard(row, asked=NOW - 1.0)}}))) == {}
    fresh = {"hosts": {"a": heard(row, asked=NOW)}}
    assert moves(decide(case(instances=[row], observed=fresh))) == {"a": ("answered", "preparing")}


@pytest.mark.parametrize(
    ("state", "code", "expected"),
    [
        (JobState.RUNNING, None, {}),
        (JobState.EXITED, 0, {"a": ("prepared", "ready")}),
        (JobState.EXITED, 1, {"a": ("setup_failed", "terminating")}),
        (JobState.GONE, None, {"a": ("setup_failed", "terminating")}),
    ],
)
def test_the_setup_decides(state, code, expected):
    row = instance("a", "preparing")
    said = heard(row, JobReport(job=setup_job(row), state=state, exit_code=code))
    assert moves(decide(case(instances=[row], observed={"hosts": {"a": said}}))) == expected


def test_a_failed_setup_is_remembered_longer_each_time():
    row = instance("a", "preparing")
    said = {"hosts": {"a": heard(row, JobReport(job=setup_job(row), state=JobState.EXITED, exit_code=1))}}
    (first,) = holds(decide(case(instances=[row], observed=said)))
    (second,) = holds(decide(case(instances=[row], observed=said, recorded={"holds": (first,)})))
    assert (first.strikes, second.strikes) == (1, 2)
    assert second.until - NOW == 2 * (first.until - NOW)


def test_rows_that_an_answer_left_empty_end_as_capacity_and_are_replaced_under_another_token():
    row = instance("a", "launching")
    decision = decide(case(instances=[row], observed=answer(row, Done(event="unfilled"))))
    assert moves(decision) == {"a": ("unfilled", "failed")}
    assert [hold.reason for hold in holds(decision)] == ["capacity: fewer machines than asked for"]


@pytest.mark.parametrize(
    ("fault", "ends"),
    [(Fault.CAPACITY, True), (Fault.QUOTA, True), (Fault.REFUSED, True), (Fault.DENIED, True),
     (Fault.THROTTLED, False), (Fault.UNREACHABLE, False)],
)  # fmt: skip
def test_each_fault_of_a_launch_has_its_policy(fault, ends):
    row = instance("a", "launching")
    decision = decide(case(instances=[row], observed=answer(row, Failed(fault=fault, message="no"))))
    assert moves(decision) == ({"a": ("refused", "failed")} if ends else {})
    (step,) = [step for step in decision.steps if any(getattr(write, "id", "") == "a" for write in step.writes)]
    (write,) = [write for write in step.writes if isinstance(write, Update)]
    assert ends or write.sets["strikes"] == 1


def test_a_launch_that_is_overdue_is_looked_for_before_it_may_end():
    row = instance("a", "launching", since=NOW - 600.0)
    assert moves(decide(case(instances=[row]))) == {"a": ("overdue", "terminating")}


def test_an_eviction_stops_new_work_at_once():
    row = instance("a")
    decided = decide(case(instances=[row], work=[at_work("w", "a")], observed=listed(machine(row, evicted=True))))
    assert moves(decided) == {"a": ("notice", "draining")}


# --- orphans and strangers

TAGS = {DATABASE: "d1", POOL_TAG: "cpu"}


def test_a_machine_whose_row_is_final_is_ended_after_a_grace():
    row = instance("a")
    lone = machine(row, tags=TAGS)

    def orphans(since, **changes):
        ended = {"ended": {(row.token, 0): ("terminated", since)}}
        return decide(case(observed=listed(evolve(lone, **changes)), recorded=ended)).orphans

    assert [orphan.cloud_id for orphan in orphans(NOW - 61.0)] == ["m-a"]
    assert orphans(NOW - 59.0) == ()
    assert orphans(0.0, state=MachineState.TERMINATED) == ()
    assert orphans(0.0, tags={**TAGS, DATABASE: "another"}) == ()


def test_a_machine_without_a_row_is_remembered_never_ended_and_forgotten_when_it_leaves():
    lone = machine(instance("a"), tags=TAGS)
    decision = decide(case(observed=listed(lone)))
    (stranger,) = holds(decision)
    assert (stranger.cloud_id, stranger.pool, decision.orphans) == ("m-a", "cpu", ())
    known = {"strangers": (stranger,)}
    assert decide(case(observed=listed(lone), recorded=known)).steps == ()
    assert decide(case(observed=listed(complete=False), recorded=known)).steps == ()
    (step,) = decide(case(observed=listed(), recorded=known)).steps
    assert step.writes == (Delete("strangers", stranger),)


def test_where_much_vanished_nothing_is_bought():
    rows = [instance(f"i{number}", type="old") for number in range(5)]
    observed = {**listed(), "lookups": {row.cloud_id: None for row in rows}}
    hold = Hold("vanished", "other", "", "", NOW, 1, "")
    decision = decide(case(instances=rows, observed=observed, recorded={"holds": (hold,)}))
    assert births(decision, Instance) == []
