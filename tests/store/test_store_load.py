"""What a pass reads: everything it needs, of one instant, in few statements, whatever lies in the tables."""

from typing import Any

from attrs import evolve
from sqlalchemy import event, text

from reconciler.model.change import Insert, Step
from reconciler.model.rows import PoolRow
from reconciler.model.snapshot import Recorded, Waiting
from reconciler.store.store import Store
from tests.store.store_rows import BY, DELIVERY, NOW, attempt, everything, fill, instance, submission

LATER = 4_000_000_000.0


def ids(rows: Any) -> list[str]:
    return [row.id for row in rows]


def test_an_empty_database_is_an_empty_snapshot(store: Store) -> None:
    recorded = everything(store)
    assert recorded == Recorded(now=recorded.now, identity=store.identity)
    assert recorded.now > 1_700_000_000


def test_the_clock_is_the_one_passed_in_on_sqlite(sqlite_url: str) -> None:
    store = Store.open(sqlite_url, controller="tests", clock=lambda: 12.5)
    assert (store.now(), everything(store).now, store.identity.created) == (12.5, 12.5, 12.5)
    store.close()


def test_rows_come_back_as_they_were_written(store: Store) -> None:
    pool = PoolRow("cpu", 1, "{}", "h", True, "", NOW)
    store.apply([Step((Insert(table="pools", row=pool),))], now=NOW, by=BY)
    machine = instance("i1", state="ready")
    running = submission("r", state="running", attempt_id="r.1", limit=5.5, cancel_wanted=True, claim_until=1.25)
    delivery = evolve(DELIVERY, id="r/queued/x", submission_id="r")
    fill(store, machine, running, attempt("r", peak_memory=1.5), delivery)
    recorded = everything(store)
    assert recorded.pools == {"cpu": pool}
    assert recorded.instances == {"i1": machine}
    assert recorded.submissions == {"r": running}
    assert recorded.submissions["r"].cancel_wanted is True
    assert recorded.attempts == {"r.1": attempt("r", peak_memory=1.5)}
    assert recorded.deliveries == {"r/queued/x": delivery}


def test_final_rows_stay_where_they_are(store: Store) -> None:
    fill(
        store,
        instance("i1", state="terminated"),
        instance("i2", state="failed"),
        submission("s1", state="succeeded", attempt_id="s1.1"),
        attempt("s1", closed=NOW),
        evolve(DELIVERY, state="delivered"),
        evolve(DELIVERY, id="x", state="given up"),
    )
    recorded = everything(store)
    assert recorded == Recorded(now=recorded.now, identity=store.identity)


def test_a_final_machine_is_read_while_an_attempt_on_it_is_open(store: Store) -> None:
    fill(store, instance("i1", state="terminated"), submission("s1", state="running"), attempt("s1"))
    assert list(everything(store).instances) == ["i1"]


def test_queues_are_counted_and_only_their_heads_are_read(store: Store) -> None:
    fill(
        store,
        *(submission(f"a{n}", pool="a", created=NOW + n) for n in range(50)),
        submission("urgent", pool="a", priority=5, created=NOW + 99),
        submission("typed", pool="a", types='["big"]', priority=-1),
        submission("held", pool="a", priority=9, not_before=LATER),
        submission("held too", pool="a", priority=9, not_before=LATER + 1),
        submission("wish", pool="a", priority=9, cancel_wanted=True),
        submission("b", pool="b"),
    )
    recorded = store.load(lambda _: {("a", "small"): 2, ("b", "small"): 0, ("c", "small"): 1})
    assert ids(recorded.heads) == ["urgent", *(f"a{n}" for n in range(21))]
    assert ids(recorded.wishes) == ["wish"]
    assert recorded.waiting == {
        "a": Waiting(ready=52, by_types={"[]": 51, '["big"]': 1}, held=2, next_due=LATER),
        "b": Waiting(ready=1, by_types={"[]": 1}),
    }
    assert recorded.submissions == {}


def test_those_who_wait_for_another_type_hide_nobody_behind_them(store: Store) -> None:
    fill(
        store,
        *(submission(f"g{n}", types='["gpu"]', priority=9, created=NOW + n) for n in range(50)),
        submission("any", created=NOW + 60),
        submission("either", types='["gpu", "cpu"]', created=NOW + 70),
        submission("broken", types="gpu", created=NOW + 80),
        submission("alike", types='["cpux"]', created=NOW + 90),
    )
    assert ids(store.load(lambda _: {("cpu", "cpu"): 1}).heads) == ["any", "either", "broken"]
    both = ids(store.load(lambda _: {("cpu", "cpu"): 1, ("cpu", "gpu"): 3}).heads)
    assert both == [*(f"g{n}" for n in range(23)), "any", "either", "broken"]


def test_a_queue_of_held_ones_alone_is_counted_too(store: Store) -> None:
    fill(store, submission("held", pool="a", not_before=LATER))
    assert everything(store).waiting == {"a": Waiting(ready=0, by_types={}, held=1, next_due=LATER)}


def test_room_is_asked_with_everything_but_the_heads(store: Store) -> None:
    fill(store, instance("i1", state="ready"), submission("s1"))
    seen: list[Recorded] = []

    def room(recorded: Recorded) -> dict[tuple[str, str], int]:
        seen.append(recorded)
        return {}

    assert store.load(room).heads == ()
    assert list(seen[0].instances) == ["i1"]
    assert seen[0].waiting["cpu"].ready == 1


def test_very_many_queues_have_heads(store: Store) -> None:
    fill(store, *(submission(f"s{n}", pool=f"p{n}") for n in range(450)))
    assert len(everything(store).heads) == 450


def test_idle_since_is_the_last_close_on_a_machine_without_an_open_attempt(store: Store) -> None:
    fill(
        store,
        *(instance(name, state="ready") for name in ("idle", "busy", "fresh")),
        instance("stopped", state="stopped"),
        submission("s1", state="succeeded"),
        submission("s2", state="running"),
        attempt("s1", 1, instance_id="idle", closed=NOW + 1),
        attempt("s1", 2, instance_id="idle", closed=NOW + 2),
        attempt("s1", 3, instance_id="busy", closed=NOW + 3),
        attempt("s1", 4, instance_id="stopped", closed=NOW + 4),
        attempt("s2", 1, instance_id="busy"),
    )
    assert everything(store).idle_since == {"idle": NOW + 2, "stopped": NOW + 4}


def test_ended_rows_are_found_by_the_tokens_asked_for(store: Store) -> None:
    fill(
        store,
        instance("i1", token="t", index=0, state="terminated", since=NOW + 5),
        instance("i2", token="t", index=1, state="ready"),
        instance("i3", token="u", state="failed"),
    )
    recorded = store.load(lambda _: {}, tokens=["t", "unheard of"])
    assert recorded.ended == {("t", 0): ("terminated", NOW + 5)}


def test_a_load_takes_nine_statements_at_most_and_seven_where_nothing_is_asked(store: Store) -> None:
    fill(store, *(instance(f"i{n}", state="ready") for n in range(30)), *(submission(f"s{n}") for n in range(30)))
    seen: list[str] = []
    event.listen(store.database.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    store.load(lambda _: {("cpu", "small"): 5, ("gpu", "big"): 5}, tokens=["t"])
    assert len(seen) == 9
    seen.clear()
    store.load(lambda _: {})
    assert len(seen) == 7
    assert not any(word in statement for statement in seen for word in ("UPDATE", "INSERT", "DELETE"))


def test_a_pass_reads_no_table_from_end_to_end_on_sqlite(sqlite_url: str) -> None:
    store = Store.open(sqlite_url, controller="tests")
    fill(store, instance("i1"), submission("s1"), attempt("s1"))
    seen: list[tuple[str, Any]] = []
    event.listen(store.database.engine, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
    store.load(lambda _: {("cpu", "small"): 1}, tokens=["t"])
    asked = list(seen)
    with store.database.reading() as connection:
        plans = [
            row[3]
            for statement, values in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    store.close()
    scans = {plan.split()[1] for plan in plans if plan.startswith("SCAN") and "INDEX" not in plan}
    assert scans - {"anon_1", "CONSTANT"} == {"pools", "holds", "strangers"}


def test_a_load_is_one_instant(store: Store) -> None:
    fill(store, submission("s1"))

    def room(_: Recorded) -> dict[tuple[str, str], int]:
        fill(other, submission("s2"))  # commits while the load is under way
        return {("cpu", "small"): 10}

    other = Store.open(store.database.url.render_as_string(hide_password=False), controller="tests")
    recorded = store.load(room)
    other.close()
    assert ids(recorded.heads) == ["s1"]
    assert ids(everything(store).heads) == ["s1", "s2"]


def change(store: Store, statement: str) -> None:
    with store.database.writing() as connection:
        connection.execute(text(statement))


def test_a_row_that_cannot_be_read_is_named_and_its_machine_lives(store: Store) -> None:
    fill(store, instance("i1", state="hibernating", type="big"), instance("i2", market="barter"), instance("i3"))
    fill(store, submission("s1", state="musing"), evolve(DELIVERY, event="rumour"))
    recorded = everything(store)
    assert list(recorded.instances) == ["i3"]
    assert recorded.unreadable_machines == {("cpu", "big"): 1, ("cpu", "small"): 1}
    assert sorted(recorded.unreadable) == [
        "deliveries/s1/queued/table: unknown event 'rumour'; a newer version wrote it",
        "instances/i1: unknown state 'hibernating'; a newer version wrote it",
        "instances/i2: unknown market 'barter'; a newer version wrote it",
        "submissions/s1: unknown state 'musing'; a newer version wrote it",
    ]
    assert (recorded.submissions, recorded.deliveries) == ({}, {})


def test_a_machine_with_something_unreadable_on_it_is_left_alone(store: Store) -> None:
    fill(store, *(instance(f"i{n}", state="ready") for n in range(3)))
    fill(store, *(submission(f"s{n}", state="running", attempt_id=f"s{n}.1") for n in range(3)))
    fill(store, *(attempt(f"s{n}", instance_id=f"i{n}") for n in range(3)))
    change(store, "UPDATE attempts SET outcome = 'sublime' WHERE id = 's0.1'")
    change(store, "UPDATE submissions SET state = 'musing' WHERE id = 's1'")
    recorded = everything(store)
    assert list(recorded.instances) == ["i2"]
    assert recorded.unreadable_machines == {("cpu", "small"): 2}
    assert "attempts/s0.1: unknown outcome 'sublime'; a newer version wrote it" in recorded.unreadable
