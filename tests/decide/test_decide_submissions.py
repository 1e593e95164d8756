"""What becomes of an attempt: the evidence that closes it, the budget of each outcome, and what is asked for."""

import json

import pytest
from attrs import evolve

from reconciler.decide import decide
from reconciler.decide.deadlines import MARGIN
from reconciler.decide.outcomes import final, may_retry
from reconciler.model.change import Update
from reconciler.model.job import Cause, JobReport, JobState
from reconciler.model.offer import Fault
from reconciler.model.rows import Outcome
from reconciler.model.snapshot import Answer, Done, Failed, Verdict
from reconciler.spec.values import Deadlines, Retries
from tests.decide.decide_cases import NOW, POOL, at_work, case, heard, instance, moves, submission

EXITED = JobReport(job="w.1", state=JobState.EXITED, exit_code=0)
FAILED = JobReport(job="w.1", state=JobState.EXITED, exit_code=1)
RUNNING = JobReport(job="w.1", state=JobState.RUNNING)
KILLED = JobReport(job="w.1", state=JobState.KILLED, cause=Cause.REQUEST)


def decided(state, *, on="ready", result=None, jobs=None, pool=POOL, machine=None, asked=NOW, **changes):
    """The one move of a submission in a state."""
    row, attempt = at_work("w", "a", state, **changes)
    where = instance("a", on, **(machine or {}))
    observed = {}
    if result is not None:
        answer = Answer(table="submissions", id="w", state=state, since=row.since, result=result)
        observed["answers"] = (answer,)
    if jobs is not None:
        observed["hosts"] = {"a": heard(where, *jobs, asked=asked)}
    return decide(case(instances=[where], work=[(row, attempt)], pool=pool, observed=observed))


def move(*args, **kwargs):
    return moves(decided(*args, **kwargs), "submissions").get("w")


def closing(decision):
    """What the attempt closes with, and what the submission is told."""
    (step,) = [
        step for step in decision.steps if any(getattr(write, "table", "") == "attempts" for write in step.writes)
    ]
    (closed,) = [write for write in step.writes if isinstance(write, Update) and write.table == "attempts"]
    (told,) = [write for write in step.writes if isinstance(write, Update) and write.table == "submissions"]
    return closed.sets, told


@pytest.mark.parametrize("state", ["staging", "running"])
@pytest.mark.parametrize("job", [EXITED, FAILED, KILLED, evolve(KILLED, state=JobState.GONE)])
def test_what_is_over_is_brought_home_before_anything_closes(state, job):
    assert move(state, jobs=[job]) == ("over", "collecting")


def test_staging_becomes_running_by_an_answer_or_by_a_report():
    assert move("staging", result=Done(job=RUNNING)) == ("started", "running")
    assert move("staging", jobs=[RUNNING]) == ("started", "running")
    assert move("staging", jobs=[]) is None, "the start may not have arrived yet"


def test_a_running_job_is_missing_only_by_a_report_taken_since():
    assert move("running", jobs=[], asked=NOW) == ("missing", "collecting")
    assert move("running", jobs=[], asked=NOW - 61.0) is None


@pytest.mark.parametrize(
    ("verdict", "job", "target", "reason"),
    [
        (Outcome.SUCCEEDED, EXITED, "succeeded", ""),
        (Outcome.EXIT_CODE, FAILED, "failed", "exit code"),
        (Outcome.INVALID, EXITED, "failed", "invalid"),
        (Outcome.TIMEOUT, evolve(KILLED, cause=Cause.TIMEOUT), "failed", "timeout"),
        (Outcome.LOST, KILLED, "queued", "lost"),
    ],
)
def test_the_verdict_and_the_budget_decide_what_follows(verdict, job, target, reason):
    decision = decided("collecting", result=Done(job=job, verdict=Verdict(outcome=verdict, results="w/1")))
    closed, told = closing(decision)
    assert (told.target, told.sets["reason"]) == (target, reason)
    assert (closed["closed"], closed["outcome"], closed["results"]) == (NOW, verdict, "w/1")


def test_a_budget_is_spent_one_attempt_after_the_other():
    def target(spent):
        result = Done(job=KILLED, verdict=Verdict(outcome=Outcome.LOST))
        return closing(decided("collecting", result=result, spent=json.dumps({"lost": spent})))[1].target

    assert [target(spent) for spent in range(5)] == ["queued", "queued", "queued", "failed", "failed"]


@pytest.mark.parametrize(
    ("outcome", "allowed"),
    [("exit code", 0), ("timeout", 0), ("lost", 3), ("never started", 3), ("evicted", None), ("invalid", 0)],
)
def test_each_outcome_has_its_own_budget(outcome, allowed):
    granted = [may_retry(Retries(), outcome, {outcome: count, "another": 9}) for count in range(1, 9)]
    assert granted == [allowed is None or count <= allowed for count in range(1, 9)]


def test_the_wait_before_the_next_attempt_doubles_and_an_eviction_waits_for_none():
    def wait(found, spent):
        row, attempt = at_work("w", "a", "collecting", spent=json.dumps(spent))
        result = Done(job=KILLED, verdict=Verdict(outcome=Outcome.LOST))
        answer = Answer(table="submissions", id="w", state="collecting", since=row.since, result=result)
        work = [(row, evolve(attempt, outcome=found))]
        told = closing(decide(case(instances=[instance("a")], work=work, observed={"answers": (answer,)})))[1]
        return told.sets["not_before"] - NOW

    assert [wait("lost", {"lost": spent}) for spent in range(3)] == [10.0, 20.0, 40.0]
    assert wait("evicted", {"evicted": 9}) == 0.0


@pytest.mark.parametrize(
    ("found", "job", "verdict", "outcome"),
    [
        ("evicted", EXITED, "succeeded", "succeeded"),  # it ended by itself after all
        ("evicted", KILLED, "lost", "evicted"),
        ("timeout", KILLED, "lost", "timeout"),
        ("timeout", evolve(KILLED, state=JobState.GONE, cause=None), "lost", "lost"),  # lost before it could be late
        ("", evolve(KILLED, cause=Cause.TIMEOUT), "lost", "timeout"),
        ("", KILLED, "invalid", "invalid"),
        ("lost", None, "succeeded", "lost"),
    ],
)
def test_what_was_found_before_stands_unless_the_job_ended_by_itself(found, job, verdict, outcome):
    assert final(found, job, verdict) == outcome


# --- evidence


@pytest.mark.parametrize("on", ["booting", "ready", "draining", "stopping", "terminating"])
@pytest.mark.parametrize("state", ["staging", "running", "collecting", "cancelling"])
def test_a_machine_that_may_still_run_closes_nothing(on, state):
    assert move(state, on=on) is None


@pytest.mark.parametrize("on", ["stopped", "terminated", "failed"])
@pytest.mark.parametrize(("state", "outcome"), [("staging", "never started"), ("running", "lost")])
def test_a_machine_that_is_off_closes_what_was_on_it(on, state, outcome):
    closed, told = closing(decided(state, on=on))
    assert (told.event, told.target, closed["outcome"]) == ("machine_gone", "queued", outcome)
    evicted, _ = closing(decided(state, on=on, machine={"reason": "evicted"}))
    assert evicted["outcome"] == "evicted"


def test_once_a_machine_is_gone_nobody_waits_until_it_answers():
    waiting = decided("collecting", on="terminated", not_before=NOW + 60.0)
    (step,) = waiting.steps
    assert step.writes == (
        Update(table="submissions", id="w", version=step.writes[0].version, sets={"not_before": 0.0}),
    )
    assert move("collecting", on="ready", not_before=NOW + 60.0) is None


def test_what_was_brought_home_before_the_machine_went_counts():
    assert move("collecting", on="terminated") is None, "its effect has to look first"
    assert move("collecting", on="terminated", result=Done(event="machine_gone")) == ("machine_gone", "queued")
    home = Done(job=EXITED, verdict=Verdict(outcome=Outcome.SUCCEEDED, results="w/1"))
    assert move("collecting", on="terminated", result=home) == ("collected", "succeeded")
    assert move("collecting", on="ready", result=Done(event="machine_gone")) is None


def test_time_alone_closes_nothing_on_a_machine_that_may_still_run():
    overdue = {"clock": NOW - 1e6}
    decision = decided("collecting", **overdue)
    assert moves(decision, "submissions") == {}
    assert moves(decision) == {"a": ("unreachable", "terminating")}, "its machine is ended instead"
    assert move("collecting", jobs=[RUNNING], **overdue) is None
    assert move("collecting", jobs=[KILLED], **overdue) == ("overdue", "queued")


@pytest.mark.parametrize(("state", "event"), [("collecting", "overdue"), ("cancelling", "killed")])
def test_where_a_machine_cannot_be_ended_its_own_limit_with_a_margin_is_evidence(state, event):
    ended = {"on": "terminating", "clock": NOW - 1e6}
    assert move(state, machine={"since": NOW - 600.0 - MARGIN + 1.0}, **ended) is None
    assert move(state, machine={"since": NOW - 600.0 - MARGIN}, **ended)[0] == event


def test_a_run_is_overdue_past_its_own_limit_and_a_margin():
    assert move("running", clock=NOW - 600.0 - MARGIN + 1.0) is None
    assert move("running", clock=NOW - 600.0 - MARGIN) == ("overdue", "collecting")


def test_a_fault_on_our_side_stops_the_clock():
    pool = evolve(POOL, deadlines=Deadlines(collect=100.0))
    full = decided("collecting", result=Failed(fault=Fault.OURS, message="disk full"), clock=NOW - 99.0, pool=pool)
    (step,) = [step for step in full.steps if "disk full" in step.why]
    assert step.writes[0].sets["clock"] == NOW
    away = decided("collecting", result=Failed(fault=Fault.UNREACHABLE, message="away"), clock=NOW - 99.0, pool=pool)
    (step,) = [step for step in away.steps if "away" in step.why]
    assert "clock" not in step.writes[0].sets


# --- what somebody asks for, and what the cloud announces


def test_a_wish_to_cancel_reaches_each_state_in_its_own_way():
    assert move("staging", cancel_wanted=True) == ("cancel", "cancelling")
    assert move("running", cancel_wanted=True) == ("cancel", "cancelling")
    assert move("collecting", cancel_wanted=True) is None
    lost = Done(job=KILLED, verdict=Verdict(outcome=Outcome.LOST))
    assert move("collecting", cancel_wanted=True, result=lost) == ("collected", "cancelled")
    assert move("cancelling", result=Done(job=KILLED)) == ("killed", "cancelled")
    wish = submission("q", cancel_wanted=True)
    assert moves(decide(case(recorded={"wishes": (wish,)})), "submissions") == {"q": ("cancel", "cancelled")}


@pytest.mark.parametrize("state", ["staging", "running"])
def test_an_eviction_brings_home_what_is_there(state):
    assert move(state, on="draining", machine={"reason": "evicted"}) == ("notice", "collecting")


def test_an_answer_from_an_earlier_stay_in_the_state_is_dropped():
    row, attempt = at_work("w", "a", "staging")
    old = Answer(table="submissions", id="w", state="staging", since=row.since - 1.0, result=Done(job=RUNNING))
    decision = decide(case(instances=[instance("a")], work=[(row, attempt)], observed={"answers": (old,)}))
    assert moves(decision, "submissions") == {}
