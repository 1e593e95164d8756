"""Machines that somebody else bought: taken in by name, used, given back, and never ended."""

from attrs import evolve

from reconciler.decide import decide
from reconciler.decide.adopting import ADOPTED
from reconciler.decide.holds import adoption_scope
from reconciler.decide.instances import setup_job
from reconciler.model.change import Delete, Insert, Replace, Update
from reconciler.model.job import JobReport, JobState
from reconciler.model.offer import Listing
from reconciler.model.rows import Attempt, Hold, Instance
from reconciler.spec.values import Idle, Size
from tests.decide.decide_cases import NOW, PLACE, POOL, births, case, heard, instance, machine, moves, submission, types

NAMING = evolve(POOL, adopt=("m-a",))
TAKEN = instance("a", adopted=True, type=ADOPTED)


def test_a_machine_that_the_pool_names_is_born_bound_and_the_pools_version_bumped():
    (step,) = decide(case(pool=NAMING)).steps
    pool, born, bound, _ = step.writes
    assert pool == Update(table="pools", id="cpu", version=1)
    assert isinstance(born, Insert)
    assert born.row.adopted
    assert (bound.event, bound.target, bound.sets) == ("bound", "booting", {"cloud_id": "m-a"})


def test_it_is_taken_in_once_and_after_a_failure_later_each_time():
    assert births(decide(case(instances=[TAKEN], pool=NAMING)), Instance) == []
    hold = Hold(adoption_scope("cpu", "m-a"), "", "", "", NOW + 1.0, 1, "")
    assert births(decide(case(pool=NAMING, recorded={"holds": (hold,)})), Instance) == []
    (step,) = decide(case(pool=NAMING, recorded={"holds": (evolve(hold, until=NOW),)})).steps
    (longer,) = [write.row for write in step.writes if isinstance(write, Replace)]
    assert (longer.strikes, longer.until) == (2, NOW + 120.0)


def test_where_its_host_answers_is_looked_up():
    row = instance("a", "booting", adopted=True, address="")
    observed = {"listings": (Listing(place=PLACE),), "lookups": {"m-a": machine(row, address="10.0.0.7", token="")}}
    assert moves(decide(case(instances=[row], pool=NAMING, observed=observed))) == {"a": ("located", "booting")}


def test_size_idleness_and_drift_leave_it_alone():
    pool = evolve(NAMING, size={"small": Size(low=0, high=0)}, idle=Idle(terminate=1.0))
    assert moves(decide(case(instances=[TAKEN], pool=pool, spec_hash="v2", settle=True))) == {}


def test_it_serves_the_queue_before_anything_is_bought_but_not_those_that_name_a_type():
    assert births(decide(case(instances=[TAKEN], pool=NAMING, queue=[submission("one")])), Instance) == []
    decision = decide(case(instances=[TAKEN], pool=NAMING, queue=[submission("one")]))
    assert [attempt.instance_id for attempt in births(decision, Attempt)] == ["a"]
    picky = decide(case(instances=[TAKEN], pool=NAMING, queue=[submission("one", types=types("small"))]))
    assert [row.type for row in births(picky, Instance)] == ["small"]


def test_one_that_failed_before_keeps_nobody_waiting_until_it_is_ready():
    row = evolve(TAKEN, state="booting")
    hold = Hold(adoption_scope("cpu", "m-a"), "", "", "", NOW + 99.0, 2, "")
    for strikes, bought in ((1, []), (2, ["small"])):
        given = {"holds": (evolve(hold, strikes=strikes),)}
        decision = decide(case(instances=[row], pool=NAMING, queue=[submission("one")], recorded=given))
        assert [born.type for born in births(decision, Instance)] == bought


def test_it_is_given_back_when_it_is_no_longer_named():
    assert moves(decide(case(instances=[TAKEN]))) == {"a": ("drain", "draining")}


def test_a_machine_that_became_ready_is_taken_in_at_once_the_next_time():
    row = evolve(TAKEN, state="preparing")
    hold = Hold(adoption_scope("cpu", "m-a"), "", "", "", NOW + 99.0, 4, "")
    done = JobReport(job=setup_job(row), state=JobState.EXITED, exit_code=0)
    decision = decide(
        case(instances=[row], pool=NAMING, recorded={"holds": (hold,)}, observed={"hosts": {"a": heard(row, done)}})
    )
    assert [write.row for step in decision.steps for write in step.writes if isinstance(write, Delete)] == [hold]
