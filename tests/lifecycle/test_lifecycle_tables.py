"""The tables prove themselves: nothing is forgotten, nothing is a dead end, and every state knows what to do."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import fields

from reconciler.act import EFFECTS
from reconciler.decide.deadlines import SECONDS, deadline
from reconciler.lifecycle.delivery import DeliveryFacts
from reconciler.lifecycle.diagram import page
from reconciler.lifecycle.instance import HOSTED, LIVE, InstanceFacts
from reconciler.lifecycle.machine import LIFECYCLES
from reconciler.lifecycle.submission import SubmissionFacts
from reconciler.lifecycle.table import Kind, Lifecycle
from reconciler.spec.values import Deadlines

FACTS = {"submission": SubmissionFacts, "instance": InstanceFacts, "delivery": DeliveryFacts}
DOCS = Path(__file__).parents[2] / "docs"

each_table = pytest.mark.parametrize("table", LIFECYCLES, ids=lambda table: table.name)


def pairs(table: Lifecycle) -> Iterator[tuple[str, str]]:
    return itertools.product((state.name for state in table.states), table.events)


@each_table
def test_every_state_and_event_is_an_edge_or_ignored_and_never_both(table):
    edges = {(edge.source, edge.event) for edge in table.edges}
    ignored = [pair for row in table.ignored for pair in row.pairs]
    assert not edges & set(ignored), "an edge is listed as ignored too"
    assert edges | set(ignored) == set(pairs(table)), "the table is not total, or names a state that it does not have"
    assert len(ignored) == len(set(ignored)), "a pair is ignored twice"


@each_table
def test_every_ignored_pair_has_a_reason_and_every_edge_says_when(table):
    assert all(row.because for row in table.ignored)
    assert all(edge.when for edge in table.edges)
    assert all(state.about for state in table.states)


@each_table
def test_every_state_reaches_a_final_one(table):
    reaching = {state.name for state in table.states if state.kind is Kind.FINAL}
    while True:
        more = {edge.source for edge in table.edges if edge.target in reaching} - reaching
        if not more:
            break
        reaching |= more
    assert reaching == {state.name for state in table.states}


@each_table
def test_every_state_is_reached_from_the_first(table):
    reached = {table.initial}
    for _ in table.states:
        reached |= {edge.target for edge in table.edges if edge.source in reached}
    assert reached == {state.name for state in table.states}


@each_table
def test_nothing_leaves_a_final_state(table):
    assert not [edge for edge in table.edges if table.is_final(edge.source)]


@each_table
def test_what_is_neither_final_nor_resting_has_a_deadline_that_is_known(table):
    for state in table.states:
        if state.kind in (Kind.INTENT, Kind.WAITING):
            assert state.deadline in SECONDS
            assert 0.0 < deadline(table, state.name, 0.0, Deadlines()) < float("inf")
        else:
            assert deadline(table, state.name, 0.0, Deadlines()) == float("inf")


@each_table
def test_overdue_is_an_edge_wherever_there_is_a_deadline_or_the_table_says_why_not(table):
    shown_only = {("instance", "terminating"), ("submission", "cancelling")}
    for state in table.states:
        if state.deadline and (table.name, state.name) not in shown_only:
            assert next(table.edges_from(state.name, "overdue"), None), f"{state.name} may last for ever"


def test_every_intent_state_has_exactly_one_effect_and_no_other_state_has_one():
    tables = {"submissions": "submission", "instances": "instance", "deliveries": "delivery"}
    with_effect = [(tables[effect.table], effect.state) for effect in EFFECTS]
    intents = [(table.name, state) for table in LIFECYCLES for state in table.of_kind(Kind.INTENT)]
    assert sorted(with_effect) == sorted(intents)


@each_table
def test_of_several_edges_for_one_event_only_the_last_is_unguarded_or_one_guard_says_no(table):
    for state, event in pairs(table):
        group = list(table.edges_from(state, event))
        assert all(edge.guard for edge in group[:-1]), f"{state}, {event}: an edge can never be taken"
        assert len({edge.guard for edge in group}) == len(group), f"{state}, {event}: a guard is asked twice"
        if len(group) > 1:
            assert not group[-1].guard, f"{state}, {event}: nothing happens when no guard holds"


@each_table
def test_a_guard_is_a_field_of_the_facts(table):
    known = {field.name for field in fields(FACTS[table.name])}
    assert {edge.guard for edge in table.edges if edge.guard} <= known


def test_the_lists_of_states_name_states():
    instance = next(table for table in LIFECYCLES if table.name == "instance")
    names = {state.name for state in instance.states}
    assert {name.strip() for name in LIVE.split(",")} <= names
    assert set(HOSTED) <= names


def test_the_page_in_the_docs_is_the_one_that_the_tables_give():
    written = (DOCS / "lifecycles.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m reconciler.lifecycle.diagram > docs/lifecycles.md"
