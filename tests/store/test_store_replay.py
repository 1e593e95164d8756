"""History replays: after whatever happened to a row, its history leads to what the row is."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from attrs import asdict, evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.lifecycle.table import Edge
from reconciler.model.change import Insert, Replace, Step, Update
from reconciler.model.rows import Event, Hold, Outcome
from reconciler.store.replay import replay
from reconciler.store.store import Store
from reconciler.store.tables import LIFECYCLES
from reconciler.store.telling import TOLD, TOLD_OF_ATTEMPT
from tests.store.store_rows import BY, DELIVERY, INSTANCE, NOW, SUBMISSION, attempt, born, submission

if TYPE_CHECKING:
    from collections.abc import Callable

BIRTHS = {"submissions": SUBMISSION, "instances": INSTANCE, "deliveries": DELIVERY}
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def sets_for(table: str) -> st.SearchStrategy[dict[str, Any]]:
    """What a transition may say of a row, beside its state."""
    told = {name: WORDS for name in TOLD[table] if name not in ("attempts", "attempt_id")}
    return st.fixed_dictionaries({}, optional={**told, "reason": WORDS, "last_error": WORDS})


@st.composite
def lives(draw: st.DrawFn) -> tuple[str, list[tuple[Edge, dict[str, Any], bool]]]:
    """A walk through one lifecycle: edges with what each sets, and whether a note comes after it."""
    table = draw(st.sampled_from(sorted(BIRTHS)))
    lifecycle = LIFECYCLES[table]
    state, walk = lifecycle.initial, []
    for _ in range(draw(st.integers(0, 12))):
        edges = [edge for edge in lifecycle.edges if edge.source == state]
        if not edges:
            break
        edge = draw(st.sampled_from(edges))
        walk.append((edge, draw(sets_for(table)), draw(st.booleans())))
        state = edge.target
    return table, walk


def step_for(table: str, row: Any, edge: Edge, sets: dict[str, Any]) -> Step:
    """One edge as a step: a placement opens an attempt, and what closes it says how it ended."""
    change = Update(
        table=table, id=row.id, version=row.version, event=edge.event, source=edge.source, target=edge.target, sets=sets
    )
    if table != "submissions" or edge.event in ("cancel", "supersede", "withdraw", "reject"):
        return Step((change,))
    if edge.event == "place":
        number = row.attempts + 1
        opened = attempt("s1", number, instance_id="i1")
        change = evolve(change, sets={**sets, "attempt_id": opened.id, "attempts": number})
        return Step((change, Insert(table="attempts", row=opened)))
    news: dict[str, Any] = {"outcome": Outcome.LOST, "exit_code": row.version}
    if edge.target in ("queued", "succeeded", "failed", "cancelled"):
        news["closed"] = NOW
    return Step((change, Update(table="attempts", id=row.attempt_id, version=None, sets=news)))


def current(store: Store, table: str) -> Any:
    found: dict[str, Callable[[], list[Any]]] = {
        "submissions": store.submissions,
        "instances": lambda: store.instances(include_final=True),
        "deliveries": lambda: store.deliveries(submission_ids=["s1"]),
    }
    return found[table]()[0]


@settings(max_examples=60, deadline=None)
@given(lives())
def test_replay_agrees_with_the_row_whatever_its_life_was(life: tuple[str, list[Any]]) -> None:
    table, walk = life
    store = Store.open("sqlite://", controller="tests")
    store.apply([born(SUBMISSION, INSTANCE, DELIVERY)], now=NOW, by=BY)
    for edge, sets, noted in walk:
        assert store.apply([step_for(table, current(store, table), edge, sets)], now=NOW, by=BY) == [True]
        if noted:
            row = current(store, table)
            note = Update(table=table, id=row.id, version=row.version, sets={"strikes": 1})
            assert store.apply([Step((note,))], now=NOW, by=BY) == [True]
    row = current(store, table)
    replayed = replay(store.history(row.id))
    last = store.attempt(getattr(row, "attempt_id", ""))
    store.close()
    assert replayed is not None
    assert (replayed.state, replayed.reason) == (row.state, row.reason)
    for name, value in replayed.bindings.items():
        if name not in TOLD_OF_ATTEMPT:
            assert getattr(row, name) == value
    if last:
        told = {name: value for name, value in asdict(last).items() if name in TOLD_OF_ATTEMPT}
        known = {name: replayed.bindings.get(name) for name in TOLD_OF_ATTEMPT}
        assert {name: value or None for name, value in told.items()} == {name: v or None for name, v in known.items()}


def test_no_history_is_nothing() -> None:
    assert replay([]) is None


def test_what_an_attempt_learnt_is_forgotten_when_another_is_opened() -> None:
    events = [
        told(1, "birth", "", "queued", name="x"),
        told(2, "place", "queued", "staging", attempt_id="s1.1", instance_id="i1"),
        told(3, "machine_gone", "staging", "queued", outcome="lost"),
        told(4, "place", "queued", "staging", attempt_id="s1.2", instance_id="i2"),
    ]
    replayed = replay(events)
    assert replayed is not None
    assert replayed.bindings == {"name": "x", "attempt_id": "s1.2", "instance_id": "i2"}


@pytest.mark.parametrize(
    "chain",
    [
        [("place", "queued", "staging")],
        [("birth", "", "queued"), ("birth", "", "queued")],
        [("birth", "", "queued"), ("over", "running", "collecting")],
    ],
)
def test_a_history_that_does_not_hang_together_is_told(chain: list[tuple[str, str, str]]) -> None:
    with pytest.raises(ValueError, match="but the state is"):
        replay([told(n, *move) for n, move in enumerate(chain)])


def test_a_birth_may_come_with_a_reason_and_bindings() -> None:
    store = Store.open("sqlite://", controller="tests")
    row = submission("s1", state="failed", reason="invalid", message="a link leads out")
    store.apply([born(row), Step((Replace("holds", Hold("x", "", "", "", NOW, 1, "")),))], now=NOW, by=BY)
    replayed = replay(store.history("s1"))
    store.close()
    assert replayed is not None
    assert (replayed.state, replayed.reason, replayed.bindings["message"]) == ("failed", "invalid", "a link leads out")


def told(seq: int, event: str, source: str, target: str, **bindings: Any) -> Event:
    return Event(seq, NOW, "submissions", "s1", seq, event, source, target, "", json.dumps(bindings), BY)
