"""What holds of every decision, whatever lies in the database and whatever the world says."""

from collections import Counter

from hypothesis import given, settings

from reconciler.decide import decide
from reconciler.decide.demand import SERVES
from reconciler.lifecycle.machine import by_name
from reconciler.model.change import Insert, Update
from reconciler.model.rows import Attempt, Instance
from tests.decide.decide_cases import births, moves, random_cases

LIFECYCLES = {"submissions": "submission", "instances": "instance", "deliveries": "delivery"}
many = settings(max_examples=80, deadline=None)


@many
@given(case=random_cases())
def test_the_same_case_gets_the_same_decision(case):
    first, second = decide(case), decide(case)
    assert [step.why for step in first.steps if "wanted" not in step.why] == [
        step.why for step in second.steps if "wanted" not in step.why
    ]
    assert moves(first) == moves(second)
    assert first.wake_at == second.wake_at
    assert not first.broken


@many
@given(case=random_cases())
def test_a_row_moves_at_most_once_and_only_along_an_edge(case):
    writes = [write for step in decide(case).steps for write in step.writes if isinstance(write, Update)]
    moved = Counter((write.table, write.id) for write in writes if write.event)
    assert all(count == 1 for count in moved.values())
    for write in writes:
        if write.event:
            edges = by_name(LIFECYCLES[write.table]).edges_from(write.source, write.event)
            assert write.target in {edge.target for edge in edges}


@many
@given(case=random_cases())
def test_every_write_of_a_row_is_guarded_and_no_guard_is_used_twice(case):
    writes = [write for step in decide(case).steps for write in step.writes if isinstance(write, Update)]
    guards = Counter((write.table, write.id, write.version) for write in writes if write.table != "attempts")
    assert all(version is not None for _, _, version in guards)
    assert all(count == 1 for count in guards.values())


@many
@given(case=random_cases())
def test_nothing_is_bought_above_a_maximum(case):
    (wish,) = case.desired.pools.values()
    live = Counter(row.type for row in case.recorded.instances.values())
    live.update(row.type for row in births(decide(case), Instance))
    before = Counter(row.type for row in case.recorded.instances.values())
    for kind, size in wish.pool.size.items():
        assert live[kind] <= max(size.high, before[kind])


@many
@given(case=random_cases())
def test_no_slot_is_taken_twice_and_none_on_a_machine_that_is_not_ready(case):
    (wish,) = case.desired.pools.values()
    decision = decide(case)
    taken = Counter(case.slots_taken)
    left = [name for name, (event, _) in moves(decision, "submissions").items() if event == "over"]
    taken.subtract(case.recorded.attempts[case.recorded.submissions[name].attempt_id].instance_id for name in left)
    for attempt in births(decision, Attempt):
        machine = case.recorded.instances[attempt.instance_id]
        assert machine.state == "ready"
        assert machine.id not in moves(decision)
        assert attempt.boot_id == machine.boot_id
        taken[machine.id] += 1
        assert taken[machine.id] <= wish.pool.slots


@many
@given(case=random_cases())
def test_no_machine_with_an_open_attempt_is_let_go_because_it_is_not_needed(case):
    for name, (event, _) in moves(decide(case)).items():
        if name in case.occupied:
            assert event not in ("idle", "drained")


@many
@given(case=random_cases())
def test_an_attempt_closes_only_together_with_a_move_of_its_submission(case):
    for step in decide(case).steps:
        closed = [w for w in step.writes if isinstance(w, Update) and w.table == "attempts" and "closed" in w.sets]
        moved = [w for w in step.writes if isinstance(w, Update) and w.table == "submissions" and w.event]
        assert len(closed) <= 1
        if closed:
            (move,) = moved
            assert move.target in ("queued", "succeeded", "failed", "cancelled")


@many
@given(case=random_cases())
def test_a_purchase_is_whole_before_it_is_made(case):
    """Token, frozen request and rows in one step, guarded by the pool's version."""
    for step in decide(case).steps:
        launches = [w.row for w in step.writes if isinstance(w, Insert) and w.table == "launches"]
        rows = [w.row for w in step.writes if isinstance(w, Insert) and w.table == "instances"]
        assert bool(launches) == bool(rows)
        for launch in launches:
            assert {row.token for row in rows} == {launch.token}
            assert [row.index for row in rows] == list(range(len(rows)))
            assert any(isinstance(w, Update) and (w.table, w.id) == ("pools", launch.pool) for w in step.writes)


@many
@given(case=random_cases())
def test_what_may_not_be_more_than_its_maximum_is_drained(case):
    (wish,) = case.desired.pools.values()
    decision = decide(case)
    gone = moves(decision)
    for kind, size in wish.pool.size.items():
        serving = [row for row in case.recorded.instances.values() if row.type == kind and row.state in SERVES]
        stay = [row for row in serving if row.id not in gone or gone[row.id][1] in SERVES]
        touched = {write.id for step in decision.steps for write in step.writes if isinstance(write, Update)}
        assert len([row for row in stay if row.id not in touched]) <= size.high
