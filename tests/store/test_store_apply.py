"""The one guarded write path: what is stale is dropped whole, what applies is told by history."""

import json

import pytest
from attrs import evolve
from sqlalchemy import event

from reconciler.model.change import Delete, Insert, Replace, Step, Update
from reconciler.model.rows import Hold, Launch, Outcome, PoolRow, Stranger
from reconciler.store.errors import StoreError
from reconciler.store.store import Store
from tests.store.store_rows import (
    BY,
    DELIVERY,
    INSTANCE,
    NOW,
    SUBMISSION,
    attempt,
    born,
    everything,
    instance,
    move,
    place,
    submission,
)

POOL = PoolRow("cpu", 1, "{}", "h", True, "", NOW)


def apply(store: Store, *steps: Step, now: float = NOW) -> list[bool]:
    return store.apply(list(steps), now=now, by=BY)


def statements(store: Store) -> list[str]:
    seen: list[str] = []
    event.listen(store.database.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    return seen


def test_a_transition_sets_what_it_says_and_clears_what_lay_beside_the_old_state(store: Store) -> None:
    old = instance("i1", strikes=3, strikes_since=5.0, not_before=6.0, last_error="x", claim_by="a", claim_until=7.0)
    apply(store, born(old))
    assert apply(store, Step((move("instances", old, "bound", "booting", cloud_id="c1", claim_by=BY),)), now=NOW + 9)
    (row,) = store.instances()
    assert row == evolve(
        old, version=2, state="booting", since=NOW + 9, cloud_id="c1", claim_by=BY,
        strikes=0, strikes_since=0.0, not_before=0.0, last_error="", claim_until=0.0,
    )  # fmt: skip


def test_a_transition_starts_a_submissions_clock_again(store: Store) -> None:
    apply(store, born(SUBMISSION, INSTANCE))
    assert apply(store, place(SUBMISSION, INSTANCE), now=NOW + 5) == [True]
    row = store.submission("s1")
    assert row is not None
    assert (row.state, row.since, row.clock, row.attempt_id) == ("staging", NOW + 5, NOW + 5, "s1.1")


def test_a_stale_step_is_dropped_alone(store: Store) -> None:
    first, second = submission("a"), submission("b")
    apply(store, born(first, second))
    stale = Step((move("submissions", evolve(first, version=7), "cancel", "cancelled"),))
    good = Step((move("submissions", second, "cancel", "cancelled"),))
    assert apply(store, stale, good) == [False, True]
    assert [row.state for row in store.submissions()] == ["queued", "cancelled"]


def test_a_state_that_moved_on_is_stale_even_at_the_same_version(store: Store) -> None:
    apply(store, born(SUBMISSION))
    elsewhere = evolve(SUBMISSION, state="running")
    assert apply(store, Step((move("submissions", elsewhere, "cancel", "cancelling"),))) == [False]


@pytest.mark.parametrize("broken", ["second guard", "insert"])
def test_a_step_that_is_stale_half_way_leaves_nothing(store: Store, broken: str) -> None:
    one, two = submission("a"), submission("b")
    apply(store, born(one, two, INSTANCE, attempt("a", instance_id="i1")))
    machine = evolve(INSTANCE, version=5) if broken == "second guard" else INSTANCE
    good = place(two, INSTANCE)
    assert apply(store, place(one, machine), good) == [False, True]
    assert [(row.state, row.version) for row in store.submissions()] == [("queued", 1), ("staging", 2)]
    assert store.instances()[0].version == 2
    assert [event.event for event in store.history("a")] == ["birth"]


def test_a_submission_has_at_most_one_open_attempt(store: Store) -> None:
    apply(store, born(SUBMISSION, INSTANCE, attempt("s1")))
    assert apply(store, born(attempt("s1", 2))) == [False]
    closed = Update(table="attempts", id="s1.1", version=None, sets={"closed": NOW, "outcome": Outcome.LOST})
    apply(store, Step((move("submissions", SUBMISSION, "reject", "failed"), closed)))
    assert apply(store, born(attempt("s1", 2))) == [True]


def test_rows_that_are_there_already_make_their_step_stale(store: Store) -> None:
    apply(store, born(SUBMISSION, INSTANCE))
    same_label = submission("other", label="s1")
    same_machine = instance("i2", token=INSTANCE.token)
    assert apply(store, born(SUBMISSION), born(same_label), born(same_machine)) == [False, False, False]
    assert apply(store, born(DELIVERY), born(DELIVERY)) == [True, False]


def test_births_and_transitions_are_told_by_history(store: Store) -> None:
    apply(store, born(SUBMISSION, INSTANCE))
    apply(store, place(SUBMISSION, INSTANCE), now=NOW + 1)
    birth, placed = store.history("s1")
    assert (birth.event, birth.source, birth.target, birth.version, birth.reason) == ("birth", "", "queued", 1, "test")
    assert (placed.event, placed.source, placed.target, placed.version) == ("place", "queued", "staging", 2)
    assert (placed.at, placed.by, placed.table) == (NOW + 1, BY, "submissions")
    assert json.loads(placed.bindings) == {"attempt_id": "s1.1", "attempts": 1, "instance_id": "i1"}
    assert [event.event for event in store.history("i1")] == ["birth"]  # a bumped version is no news


def test_history_tells_the_reason_that_the_row_has_afterwards(store: Store) -> None:
    apply(store, born(INSTANCE))
    apply(store, Step((move("instances", INSTANCE, "end", "terminating", reason="user"),)))
    (row,) = store.instances()
    apply(store, Step((move("instances", row, "bound", "terminating", cloud_id="c"),)))
    assert [event.reason for event in store.history("i1")] == ["test", "user", "user"]


def test_the_news_of_an_attempt_is_told_by_its_submission(store: Store) -> None:
    running = submission("s1", state="running", attempt_id="s1.1", attempts=1)
    apply(store, born(running, INSTANCE, attempt("s1")))
    over = Update(table="attempts", id="s1.1", version=None, sets={"outcome": Outcome.EXIT_CODE, "exit_code": 3})
    apply(store, Step((move("submissions", running, "over", "collecting"), over)))
    assert json.loads(store.history("s1")[-1].bindings) == {"outcome": "exit code", "exit_code": 3}
    found = store.attempt("s1.1")
    assert found is not None
    assert (found.outcome, found.exit_code) == ("exit code", 3)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (Step((move("submissions", SUBMISSION, "place", "running"),)), "no edge leads from queued by place to running"),
        (Step((Update(table="submissions", id="s1", version=1, sets={"state": "failed"}),)), "not a transition"),
        (Step((Update(table="instances", id="i1", version=1, sets={"cloud_id": "c"}),)), "not a transition"),
        (Step((Update(table="submissions", id="s1", version=None, sets={"strikes": 1}),)), "guarded by version None"),
        (Step((Update(table="pools", id="cpu", version=1, event="end", source="a", target="b"),)), "not a transition"),
        (Step((Update(table="attempts", id="s1.1", version=None, sets={"exit_code": 1}),)), "with 0 submissions"),
    ],
)
def test_a_step_that_no_lifecycle_allows_is_a_bug_and_writes_nothing(store: Store, step: Step, says: str) -> None:
    apply(store, born(SUBMISSION, INSTANCE, attempt("s1")))
    fine = Step((move("instances", INSTANCE, "end", "terminating"),))
    with pytest.raises(ValueError, match=says):
        apply(store, fine, step)
    assert store.instances()[0].state == "launching"


def test_a_violation_that_is_no_duplicate_is_not_taken_for_a_stale_step(store: Store) -> None:
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        apply(store, born(attempt("nobody")))


def test_notes_are_guarded_and_no_history(store: Store) -> None:
    apply(store, born(SUBMISSION))
    strike = Update(table="submissions", id="s1", version=1, sets={"strikes": 1, "last_error": "x"})
    assert apply(store, Step((strike,)), Step((strike,))) == [True, False]
    row = store.submission("s1")
    assert row is not None
    assert (row.version, row.strikes, row.state) == (2, 1, "queued")
    assert len(store.history("s1")) == 1


def test_steps_of_one_call_build_on_each_other(store: Store) -> None:
    apply(store, Step((Insert(table="pools", row=POOL),)))
    bump = [Step((Update(table="pools", id="cpu", version=version),)) for version in (1, 2, 2)]
    assert apply(store, *bump) == [True, True, False]
    assert store.pools()[0].version == 3


def test_facts_are_replaced_whole_and_deleted(store: Store) -> None:
    hold = Hold("local {}", "small", "spot", "", NOW + 60, 1, "capacity")
    stranger = Stranger("local", "{}", "c9", "cpu", "small", NOW)
    apply(store, Step((Replace("holds", hold), Replace("strangers", stranger))))
    longer = evolve(hold, until=NOW + 120, strikes=2)
    apply(store, Step((Replace("holds", longer),)))
    recorded = everything(store)
    assert (recorded.holds, recorded.strangers) == ((longer,), (stranger,))
    apply(store, Step((Delete("holds", longer), Delete("strangers", stranger))))
    assert (store.holds(), store.strangers()) == ([], [])


def test_text_that_a_database_refuses_is_kept_legibly(store: Store) -> None:
    apply(store, born(submission("s1", source_key="caf\u00e9 \udcff")))
    note = Update(table="submissions", id="s1", version=1, sets={"last_error": "a\0b"})
    assert apply(store, Step((note,))) == [True]
    row = store.submission("s1")
    assert row is not None
    assert (row.last_error, row.source_key) == ("a\\0b", "caf\u00e9 \\udcff")


def test_placing_a_submission_takes_three_statements_and_a_share_of_one(store: Store) -> None:
    rows = [submission(f"s{n}") for n in range(20)]
    machines = [instance(f"i{n}", state="ready") for n in range(20)]
    apply(store, born(*rows), born(*machines))
    seen = statements(store)
    assert all(apply(store, *(place(row, machine) for row, machine in zip(rows, machines, strict=True))))
    writes = [statement for statement in seen if "advisory" not in statement]
    assert len(writes) == 20 * 3 + 1


def test_a_launch_takes_one_statement_a_table(store: Store) -> None:
    rows = [Insert(table="instances", row=instance(f"i{n}", token="t", index=n)) for n in range(50)]
    apply(store, Step((Insert(table="pools", row=POOL),)))
    seen = statements(store)
    launch = Insert(table="launches", row=Launch("t", "cpu", NOW, "{}"))
    assert apply(store, Step((Update(table="pools", id="cpu", version=1), launch, *rows))) == [True]
    assert len([statement for statement in seen if "advisory" not in statement]) == 4
    assert len(store.history()) == 50
    assert store.launch("t") == launch.row


def test_nothing_to_write_is_no_statement(store: Store) -> None:
    seen = statements(store)
    assert apply(store) == []
    assert store.claim("instances", [], by=BY, until=NOW) == set()
    assert seen == []


def test_a_claim_goes_to_one_and_can_be_taken_over_when_it_is_as_it_was_read(store: Store) -> None:
    rows = [instance("i1"), instance("i2")]
    apply(store, born(*rows))
    assert store.claim("instances", rows, by="one", until=NOW + 60) == {"i1", "i2"}
    assert store.claim("instances", rows, by="two", until=NOW + 60) == set()
    claimed = store.instances()
    assert [row.version for row in claimed] == [1, 1]
    assert store.claim("instances", claimed[:1], by="two", until=NOW + 90) == {"i1"}
    assert [(row.claim_by, row.claim_until) for row in store.instances()] == [("two", NOW + 90), ("one", NOW + 60)]


def test_a_claim_of_very_many_rows_is_possible(sqlite_url: str) -> None:
    store = Store.open(sqlite_url, controller="tests")
    rows = [submission(f"s{n}") for n in range(12_000)]
    apply(store, born(*rows))
    assert len(store.claim("submissions", rows, by=BY, until=NOW)) == 12_000
    store.close()


def test_an_error_of_the_database_is_told_for_people_and_writes_nothing(sqlite_url: str) -> None:
    store = Store.open(sqlite_url, controller="tests")
    apply(store, born(SUBMISSION))
    store.close()
    reader = Store.open(sqlite_url.replace("sqlite:///", "sqlite:///file:") + "?mode=ro&uri=true", controller="tests")
    with pytest.raises(StoreError, match="read-only") as raised:
        apply(reader, Step((move("submissions", SUBMISSION, "cancel", "cancelled"),)))
    assert not raised.value.usage
    row = reader.submission("s1")
    reader.close()
    assert row is not None
    assert row.state == "queued"
