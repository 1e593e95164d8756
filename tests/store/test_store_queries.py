"""What people and queues ask: the right rows, in order, final ones too."""

from typing import Any

import pytest
from attrs import evolve

from reconciler.store.store import Store
from tests.store.store_rows import BY, DELIVERY, NOW, attempt, born, fill, instance, submission

DAY = 86400.0


def ids(rows: Any) -> list[str]:
    return [row.id for row in rows]


@pytest.fixture
def filled(store: Store) -> Store:
    fill(
        store,
        submission("s1", name="iris", label="iris", created=NOW + 1, state="succeeded"),
        submission("s2", name="iris", label="iris-2", created=NOW + 2, pool="gpu"),
        submission("s3", name="iris-2", label="iris-2-2", created=NOW + 3, state="failed"),
        instance("i1", born=NOW + 2, cloud_id="vm-1"),
        instance("i2", born=NOW + 1, pool="gpu"),
        instance("i3", state="terminated"),
        attempt("s1", 1, closed=NOW),
        attempt("s1", 2, closed=NOW),
        attempt("s3", 1, closed=NOW),
        evolve(DELIVERY, id="d1", created=NOW + 2),
        evolve(DELIVERY, id="d2", submission_id="s3", state="given up"),
    )
    return store


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["s1", "s2", "s3"]),
        ({"limit": 2}, ["s2", "s3"]),
        ({"states": ["failed", "succeeded"]}, ["s1", "s3"]),
        ({"pool": "gpu"}, ["s2"]),
        ({"named": ["iris"]}, ["s1", "s2"]),
        ({"named": ["s1", "iris-2"]}, ["s1", "s2", "s3"]),
    ],
)
def test_submissions_are_filtered(filled: Store, filters: dict[str, Any], expected: list[str]) -> None:
    assert ids(filled.submissions(**filters)) == expected


@pytest.mark.parametrize(("named", "expected"), [("s1", "s1"), ("iris", "s1"), ("iris-2", "s2"), ("iris-2-2", "s3")])
def test_a_submission_is_found_by_id_label_or_name(filled: Store, named: str, expected: str) -> None:
    found = filled.submission(named)
    assert found is not None
    assert found.id == expected


def test_a_name_without_a_label_of_its_own_is_the_latest(store: Store) -> None:
    fill(store, *(submission(f"s{n}", name="x", label=f"x-{n}", created=NOW + n) for n in (5, 7, 6)))
    found = store.submission("x")
    assert found is not None
    assert found.id == "s7"
    assert store.submission("nobody") is None


def test_instances_live_ones_or_all(filled: Store) -> None:
    assert ids(filled.instances()) == ["i2", "i1"]
    assert ids(filled.instances(include_final=True)) == ["i3", "i2", "i1"]
    assert ids(filled.instances(pool="gpu")) == ["i2"]
    by_id, by_cloud = filled.instance("i1"), filled.instance("vm-1")
    assert by_id == by_cloud
    assert by_id is not None
    assert filled.instance("") is None


def test_attempts_of_submissions(filled: Store) -> None:
    assert ids(filled.attempts_of(["s1", "s3"])) == ["s1.1", "s1.2", "s3.1"]
    assert filled.attempts_of([]) == []
    assert set(filled.attempts(["s1.2", "no"])) == {"s1.2"}
    assert filled.attempt("no") is None


def test_deliveries_are_filtered(filled: Store) -> None:
    assert ids(filled.deliveries()) == ["d1"]
    assert ids(filled.deliveries(states=["given up"])) == ["d2"]
    assert ids(filled.deliveries(submission_ids=["s1", "s3"])) == ["d2", "d1"]


def test_counts_are_by_pool_and_state(filled: Store) -> None:
    assert filled.counts("submissions") == {"cpu": {"succeeded": 1, "failed": 1}, "gpu": {"queued": 1}}
    assert filled.counts("instances") == {"cpu": {"launching": 1, "terminated": 1}, "gpu": {"launching": 1}}


def test_history_goes_on_from_a_number(store: Store) -> None:
    store.apply([born(submission("a")), born(submission("b")), born(submission("c"))], now=NOW, by=BY)
    first = store.history(limit=1)
    assert [event.row for event in first] == ["a"]
    assert [event.row for event in store.history(after=first[0].seq)] == ["b", "c"]
    assert [event.row for event in store.history("c")] == ["c"]


def test_the_latest_of_each_key_of_a_queue(store: Store) -> None:
    fill(
        store,
        submission("a1", source="folder", source_key="a", created=NOW),
        submission("a2", source="folder", source_key="a", created=NOW + 1),
        submission("b1", source="folder", source_key="b"),
        submission("c1", source="command", source_key="a", created=NOW + 9),
    )
    assert {key: row.id for key, row in store.latest_by_key("folder").items()} == {"a": "a2", "b": "b1"}


def test_labels_count_up_and_avoid_each_other(store: Store) -> None:
    assert store.next_label("x") == "x"
    fill(store, submission("x"), submission("y", name="x", label="x-2"))
    assert store.next_label("x") == "x-3"
    assert store.next_label("x", taken=["x-3", "x-4"]) == "x-5"
    assert store.next_label("x-2") == "x-2-2"


def test_places_are_looked_at_while_machines_live_there_and_for_a_day_after(store: Store) -> None:
    now = store.now()
    fill(
        store,
        instance("live", place="a", since=now - 10 * DAY),
        instance("live too", place="a", state="ready"),
        instance("just ended", place="b", state="terminated", since=now - DAY / 2),
        instance("long gone", place="c", state="failed", since=now - 2 * DAY),
    )
    assert {(place.cloud, place.settings) for place in store.places()} == {("local", "a"), ("local", "b")}
