"""Placement and sizes: who goes where, what is bought, what is let go, and what is left alone."""

import pytest
from attrs import evolve

from reconciler.decide import decide
from reconciler.decide.holds import concerning, named, request_scope, setup_scope
from reconciler.decide.sightings import scope_of
from reconciler.lifecycle.instance import USER_STOP
from reconciler.model.change import Delete
from reconciler.model.offer import Fault, Market
from reconciler.model.rows import Attempt, Hold, Instance, PoolRow, Stranger
from reconciler.model.snapshot import Answer, Failed, Waiting
from reconciler.spec.places import cloud_settings
from reconciler.spec.values import Idle, Size
from tests.decide.decide_cases import (
    CONFIG,
    HASH,
    NOW,
    PLACE,
    POOL,
    at_work,
    births,
    case,
    instance,
    moves,
    submission,
    types,
)

FIXED = evolve(POOL, size={"small": Size(low=2, high=2)})
TWO_TYPES = evolve(POOL, size={"small": Size(low=0, high=2), "large": Size(low=0, high=2)})
KEPT = evolve(POOL, idle=Idle(stop=60.0, terminate=600.0))


def placed(decision):
    return [(attempt.submission_id, attempt.instance_id) for attempt in births(decision, Attempt)]


def bought(decision):
    return [(row.type, row.market) for row in births(decision, Instance)]


# --- placement


def test_the_queue_is_placed_in_its_order_and_the_rest_waits():
    queue = [submission("first", priority=5), submission("second"), submission("third")]
    decision = decide(case(instances=[instance("a"), instance("b")], queue=queue))
    assert placed(decision) == [("first", "a"), ("second", "b")]


def test_the_preferred_type_is_filled_first_then_the_oldest_machine():
    rows = [instance("new", born=NOW - 10.0), instance("old"), instance("big", type="large", born=0.0)]
    queue = [submission(name) for name in ("one", "two", "three")]
    decision = decide(case(instances=rows, queue=queue, pool=TWO_TYPES))
    assert placed(decision) == [("one", "old"), ("two", "new"), ("three", "big")]


def test_one_that_names_its_types_waits_for_them_and_holds_up_nobody():
    queue = [submission("picky", types=types("large")), submission("easy")]
    assert placed(decide(case(instances=[instance("a")], queue=queue, pool=TWO_TYPES))) == [("easy", "a")]


@pytest.mark.parametrize(("state", "takes"), [("staging", 1), ("running", 1), ("cancelling", 1), ("collecting", 2)])
def test_collecting_holds_the_machine_but_not_the_slot(state, takes):
    pool = evolve(POOL, slots=2)
    queue = [submission("one"), submission("two")]
    decision = decide(case(instances=[instance("a")], work=[at_work("w", "a", state)], queue=queue, pool=pool))
    assert len(placed(decision)) == takes


def test_a_silent_machine_takes_no_work():
    assert placed(decide(case(instances=[instance("a", strikes=1)], queue=[submission("one")]))) == []


def test_two_on_one_machine_guard_on_versions_that_follow_each_other():
    pool = evolve(POOL, slots=2)
    decision = decide(case(instances=[instance("a")], queue=[submission("one"), submission("two")], pool=pool))
    versions = [write.version for step in decision.steps for write in step.writes if getattr(write, "id", "") == "a"]
    assert versions == [1, 2]


# --- what is bought


def test_a_fixed_size_is_bought_without_any_queue():
    assert bought(decide(case(pool=FIXED))) == [("small", "on-demand")] * 2


def test_what_the_queue_needs_is_bought_up_to_the_maximum():
    queue = [submission(f"s{number}") for number in range(5)]
    assert len(bought(decide(case(queue=queue[:1])))) == 1
    assert len(bought(decide(case(queue=queue)))) == 2


def test_slots_that_are_free_or_on_their_way_are_counted_first():
    rows = [instance("a", "booting")]
    assert bought(decide(case(instances=rows, queue=[submission("one")]))) == []
    assert len(bought(decide(case(instances=rows, queue=[submission("one"), submission("two")])))) == 1


def test_the_preferred_type_first_then_the_next():
    queue = [submission(f"s{number}") for number in range(3)]
    kinds = [kind for kind, _ in bought(decide(case(queue=queue, pool=TWO_TYPES)))]
    assert kinds == ["small", "small", "large"]


@pytest.mark.parametrize("state", ["terminating", "draining", "stopping"])
def test_a_machine_on_its_way_out_counts_against_the_maximum(state):
    pool = evolve(POOL, size={"small": Size(low=1, high=1)})
    assert bought(decide(case(instances=[instance("a", state, reason="drift")], pool=pool))) == []


def test_a_machine_without_a_row_and_one_that_cannot_be_read_count_too():
    stranger = Stranger(PLACE.cloud, PLACE.settings, "m9", "cpu", "small", NOW)
    strange = {"strangers": (stranger,), "unreadable_machines": {("cpu", "small"): 1}}
    assert bought(decide(case(pool=FIXED, recorded=strange))) == []


def test_a_stopped_machine_is_started_before_one_is_bought():
    decision = decide(case(instances=[instance("a", "stopped")], queue=[submission("one")]))
    assert moves(decision) == {"a": ("start", "starting")}
    assert bought(decision) == []


def test_an_offer_that_was_refused_is_left_alone_and_the_next_market_is_tried():
    pool = evolve(FIXED, market=(Market.SPOT, Market.ON_DEMAND))
    hold = Hold(scope_of(PLACE), "small", "spot", "", NOW + 9.0, 1, "capacity")
    assert bought(decide(case(pool=pool, recorded={"holds": (hold,)}))) == [("small", "on-demand")] * 2
    lapsed = evolve(hold, until=NOW - 1.0)
    assert bought(decide(case(pool=pool, recorded={"holds": (lapsed,)}))) == [("small", "spot")] * 2


def test_a_spec_whose_machines_never_became_ready_buys_none_and_an_edited_one_does():
    hold = Hold(setup_scope("cpu", HASH), "", "", "", NOW + 9.0, 1, "setup failed")
    assert bought(decide(case(pool=FIXED, recorded={"holds": (hold,)}))) == []
    assert len(bought(decide(case(pool=FIXED, spec_hash="v2", recorded={"holds": (hold,)})))) == 2


SETTINGS = cloud_settings(POOL, CONFIG)
WRONG = Hold(request_scope("cpu", SETTINGS, HASH), "small", "on-demand", "", NOW + 9.0, 1, "refused: no such image")
ROOM = Hold(scope_of(PLACE), "small", "on-demand", "", NOW + 9.0, 1, "capacity: none")


@pytest.mark.parametrize("scope", [("gpu", SETTINGS, HASH), ("cpu", "{}", HASH), ("cpu", SETTINGS, "v2")])
def test_a_wrong_request_is_held_back_and_neither_another_pools_nor_an_edited_one(scope):
    assert bought(decide(case(pool=FIXED, recorded={"holds": (WRONG,)}))) == []
    other = evolve(WRONG, scope=request_scope(*scope))
    assert len(bought(decide(case(pool=FIXED, recorded={"holds": (other,)})))) == 2


@pytest.mark.parametrize(
    ("fault", "scope"),
    [
        (Fault.REFUSED, WRONG.scope),
        (Fault.DENIED, WRONG.scope),
        (Fault.CAPACITY, ROOM.scope),
        (Fault.QUOTA, ROOM.scope),
    ],
)
def test_what_is_wrong_with_a_request_is_remembered_of_its_pool_and_the_rest_of_its_place(fault, scope):
    row = instance("a", "launching", settings=SETTINGS)
    answer = Answer(
        table="instances", id="a", state="launching", since=row.since, result=Failed(fault=fault, message="no")
    )
    (hold,) = (
        write.row
        for step in decide(case(instances=[row], observed={"answers": (answer,)})).steps
        for write in step.writes
        if isinstance(getattr(write, "row", None), Hold)
    )
    assert (hold.scope, hold.type, hold.reason) == (scope, "small", f"{fault}: no")


def test_an_edit_forgets_that_requests_were_wrong_and_nothing_else():
    before = PoolRow("cpu", 1, "{}", HASH, True, "", 0.0)
    others = (ROOM, evolve(WRONG, scope=request_scope("cpu-2", SETTINGS, HASH)))
    old = evolve(WRONG, scope=request_scope("cpu", SETTINGS, "v0"))
    decision = decide(case(recorded={"pools": {"cpu": before}, "holds": (WRONG, old, *others)}))
    (edited,) = (step for step in decision.steps if step.why == "pool cpu: edited")
    assert [write.row for write in edited.writes if isinstance(write, Delete)] == [WRONG, old]


def test_only_what_a_pool_may_ask_for_now_is_told_as_held_back():
    gone = (evolve(ROOM, type="huge"), evolve(ROOM, until=NOW - 1.0), evolve(WRONG, scope="request:cpu:0"))
    given = case(recorded={"holds": (WRONG, ROOM, *gone)})
    assert concerning(given.desired, given.recorded, "cpu") == [WRONG, ROOM]
    assert [named(hold) for hold in (WRONG, Hold(setup_scope("cpu", HASH), "", "", "", 0.0, 1, ""))] == [
        "small on-demand", "cpu"
    ]  # fmt: skip


# --- what is let go


def test_a_smaller_size_drains_idle_machines_then_the_newest():
    rows = [instance("old"), instance("new", born=NOW - 5.0), instance("busy", born=NOW - 1.0)]
    pool = evolve(POOL, size={"small": Size(low=1, high=1)})
    gone = moves(decide(case(instances=rows, work=[at_work("w", "busy")], pool=pool)))
    assert set(gone) == {"old", "new"}
    busy = moves(decide(case(instances=rows, work=[at_work(f"w{r.id}", r.id) for r in rows], pool=pool)))
    assert busy == {"busy": ("drain", "draining"), "new": ("drain", "draining")}


def test_drift_replaces_idle_machines_a_few_at_a_time_and_busy_ones_when_they_finish():
    rows = [instance(f"i{number}", spec_hash="v0") for number in range(4)]
    pool = evolve(POOL, size={"small": Size(low=4, high=4)})
    gone = moves(decide(case(instances=rows, work=[at_work("w", "i0")], pool=pool)))
    assert gone == {"i0": ("drain", "draining"), "i1": ("drain", "draining")}
    leaving = [evolve(rows[0], state="terminating", reason="drift"), *rows[1:]]
    assert moves(decide(case(instances=leaving, pool=pool))) == {}


def test_a_pool_without_a_file_drains_and_its_machine_comes_back_with_the_file():
    gone = {"pools": {"cpu": evolve(next(iter(case().recorded.pools.values())), present=False)}}
    rows, work = [instance("a")], [at_work("w", "a")]
    assert moves(decide(case(instances=rows, work=work, pool=None, recorded=gone))) == {"a": ("drain", "draining")}
    draining = [evolve(rows[0], state="draining", reason="no such pool")]
    assert moves(decide(case(instances=draining, work=work))) == {"a": ("keep", "ready")}


def test_no_more_machines_are_kept_than_the_size_has_room_for():
    rows = [instance(name, "draining", reason="size") for name in ("a", "b", "c")]
    kept = moves(decide(case(instances=rows, work=[at_work(f"w{row.id}", row.id) for row in rows])))
    assert len(kept) == 2


def test_an_evicted_machine_is_never_kept():
    rows = [instance("a", "draining", reason="evicted")]
    assert moves(decide(case(instances=rows, work=[at_work("w", "a")]))) == {}


@pytest.mark.parametrize(
    ("since", "pool", "market", "expected"),
    [
        (599.0, POOL, "on-demand", {}),
        (600.0, POOL, "on-demand", {"a": ("idle", "terminating")}),
        (60.0, KEPT, "on-demand", {"a": ("idle", "stopping")}),
        (60.0, KEPT, "spot", {}),
        (600.0, KEPT, "spot", {"a": ("idle", "terminating")}),
    ],
)
def test_an_idle_machine_goes_after_its_time(since, pool, market, expected):
    rows = [instance("a", since=NOW - since, market=market)]
    assert moves(decide(case(instances=rows, pool=pool))) == expected


def test_idle_counts_from_the_end_of_the_last_attempt():
    rows = [instance("a", since=0.0)]
    decision = decide(case(instances=rows, recorded={"idle_since": {"a": NOW - 10.0}}))
    assert moves(decision) == {}
    assert decision.wake_at == NOW + 590.0


def test_nothing_above_the_minimum_is_idle_while_work_waits_for_it():
    rows = [instance("a", since=NOW - 1.0)]
    held = {"waiting": {"cpu": Waiting(held=1, next_due=NOW + 5.0)}}
    assert moves(decide(case(instances=rows, recorded=held, settle=True))) == {}
    assert moves(decide(case(instances=rows, settle=True))) == {"a": ("idle", "terminating")}
    assert moves(decide(case(instances=rows, pool=evolve(POOL, size={"small": Size(low=1, high=2)})))) == {}


def test_a_drained_machine_ends_when_nothing_is_on_it():
    rows = [instance("a", "draining", reason="user")]
    assert moves(decide(case(instances=rows))) == {"a": ("drained", "terminating")}
    assert moves(decide(case(instances=rows, work=[at_work("w", "a", "collecting")]))) == {}


def test_a_converged_pool_decides_nothing():
    rows = [instance("a", since=NOW - 1.0), instance("b", since=NOW - 1.0)]
    assert decide(case(instances=rows, pool=FIXED)).steps == ()


def test_a_type_without_an_offer_leaves_its_share_to_the_next():
    hold = Hold(scope_of(PLACE), "small", "on-demand", "", NOW + 60.0, 1, "")
    decision = decide(case(queue=[submission("one")], pool=TWO_TYPES, recorded={"holds": (hold,)}))
    assert bought(decision) == [("large", "on-demand")]


def test_what_the_user_stopped_stays_stopped_and_counts_against_the_maximum():
    full = evolve(POOL, size={"small": Size(low=0, high=1)}, idle=Idle(stop=1.0, terminate=2.0))
    rows = [instance("a", "stopped", reason=USER_STOP, since=0.0)]
    assert decide(case(instances=rows, queue=[submission("one")], pool=full)).steps == ()


def test_what_the_user_wants_stopped_is_stopped_once_nothing_is_on_it():
    row = instance("a", "draining", reason=USER_STOP)
    assert moves(decide(case(instances=[row], work=[at_work("w", "a")]))) == {}
    assert moves(decide(case(instances=[row]))) == {"a": ("drained", "stopping")}
