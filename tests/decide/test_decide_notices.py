"""What a machine hears of its own end, what its cloud's checks say of it, and whether it can end itself."""

import pytest
from attrs import evolve

from reconciler.decide import decide
from reconciler.decide.instances import IMPAIRED, POWERLESS, SILENT, setup_job
from reconciler.model.change import Replace, Update
from reconciler.model.job import JobReport, JobState, Notice, Watch
from reconciler.model.offer import Listing
from reconciler.model.rows import Hold
from reconciler.model.snapshot import Silence
from tests.decide.decide_cases import NOW, PLACE, at_work, case, heard, instance, machine, moves

RUNNING = JobReport(job="w.1", state=JobState.RUNNING)


def told(row, notice=Notice.NONE, *jobs, boot_id=None, **changes):
    said = heard(row, *jobs, boot_id=boot_id)
    return {"hosts": {row.id: evolve(said, report=evolve(said.report, notice=notice, **changes))}}


def notes(decision, row):
    return [
        write.sets
        for step in decision.steps
        for write in step.writes
        if isinstance(write, Update) and (write.table, write.id, write.event) == ("instances", row.id, "")
    ]


def listed(*machines):
    return {"listings": (Listing(place=PLACE, machines=machines),)}


def test_an_eviction_that_the_machine_itself_hears_of_stops_new_work_and_then_what_runs():
    row = instance("a")
    decision = decide(case(instances=[row], work=[at_work("w", "a")], observed=told(row, Notice.EVICTION, RUNNING)))
    assert moves(decision) == {"a": ("notice", "draining")}
    evicted = instance("a", "draining", reason="evicted")
    after = decide(
        case(instances=[evicted], work=[at_work("w", "a")], observed=told(evicted, Notice.EVICTION, RUNNING))
    )
    assert moves(after) == {}
    assert moves(after, "submissions") == {"w": ("notice", "collecting")}


def test_a_recommendation_to_rebalance_stops_new_work_and_lets_what_runs_go_on():
    row = instance("a", market="spot")
    decision = decide(case(instances=[row], work=[at_work("w", "a")], observed=told(row, Notice.REBALANCE, RUNNING)))
    assert moves(decision) == {"a": ("drain", "draining")}
    (hold,) = [w.row for step in decision.steps for w in step.writes if isinstance(w, Replace)]
    assert isinstance(hold, Hold)
    assert (hold.type, hold.market) == ("small", "spot")
    draining = instance("a", "draining", reason="rebalance")
    after = decide(
        case(instances=[draining], work=[at_work("w", "a")], observed=told(draining, Notice.REBALANCE, RUNNING))
    )
    assert moves(after, "submissions") == {}


def test_what_another_boot_was_told_means_nothing():
    row = instance("a", "booting", boot_id="b-a")
    assert moves(decide(case(instances=[row], observed=told(row, Notice.EVICTION, boot_id="b-2")))) == {
        "a": ("answered", "preparing")
    }


def test_the_first_answer_pins_the_host_key():
    row = instance("a", "booting")
    decision = decide(case(instances=[row], observed=told(row, host_key="ssh-ed25519 AAAA")))
    (sets,) = [
        w.sets for step in decision.steps for w in step.writes if isinstance(w, Update) and w.event == "answered"
    ]
    assert sets["host_key"] == "ssh-ed25519 AAAA"


@pytest.mark.parametrize(("watch", "reason"), [(Watch.ARMED, ""), (Watch.NONE, ""), (Watch.POWERLESS, POWERLESS)])
def test_a_machine_that_may_not_end_itself_says_so_in_its_reason(watch, reason):
    row = instance("a", "preparing")
    done = JobReport(job=setup_job(row), state=JobState.EXITED, exit_code=0)
    decision = decide(case(instances=[row], observed=told(row, Notice.NONE, done, watch=watch)))
    (sets,) = [
        w.sets for step in decision.steps for w in step.writes if isinstance(w, Update) and w.event == "prepared"
    ]
    assert sets["reason"] == reason


@pytest.mark.parametrize(
    ("says", "noted", "expected"),
    [
        ("instance: impaired", "", [{"last_error": f"{IMPAIRED}instance: impaired"}]),
        ("instance: impaired", f"{IMPAIRED}instance: impaired", []),
        ("", f"{IMPAIRED}instance: impaired", [{"last_error": ""}]),
        ("instance: impaired", f"{SILENT}no answer", []),  # what is worse is shown
        ("", "", []),
    ],
)
def test_what_the_clouds_own_checks_say_is_shown_once(says, noted, expected):
    row = instance("a", last_error=noted)
    decision = decide(case(instances=[row], observed=listed(machine(row, impaired=says))))
    assert notes(decision, row) == expected


def test_why_a_booting_machine_cannot_be_entered_is_shown_once_and_never_delays_its_deadline():
    row = instance("a", "booting")
    silence = {"hosts": {"a": Silence(error="another host key", at=NOW)}}
    decision = decide(case(instances=[row], observed=silence))
    assert notes(decision, row) == [{"last_error": f"{SILENT}another host key"}]
    known = evolve(row, last_error=f"{SILENT}another host key")
    assert notes(decide(case(instances=[known], observed=silence)), known) == []
    late = evolve(row, since=NOW - 10_000.0)
    assert moves(decide(case(instances=[late], observed=silence))) == {"a": ("overdue", "terminating")}
