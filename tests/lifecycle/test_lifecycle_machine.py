"""Hypothesis drives the `transitions` machine at random and holds it against a plain reading of the table."""

import pytest
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st

from reconciler.lifecycle.delivery import DELIVERY, DeliveryFacts
from reconciler.lifecycle.instance import INSTANCE, InstanceFacts
from reconciler.lifecycle.machine import fire
from reconciler.lifecycle.submission import SUBMISSION, SubmissionFacts

KINDS = ((SUBMISSION, SubmissionFacts), (INSTANCE, InstanceFacts), (DELIVERY, DeliveryFacts))
each_kind = pytest.mark.parametrize(("table", "facts_class"), KINDS, ids=lambda kind: getattr(kind, "name", ""))


def plain(table, facts, event):
    """The table, read as its docstring says: the first edge whose guard holds, else nothing happens."""
    for edge in table.edges:
        if (edge.source, edge.event) == (facts.state, event) and (not edge.guard or getattr(facts, edge.guard)):
            return edge.target
    return None


def some_facts(table, facts_class):
    guards = {field.name: st.booleans() for field in fields(facts_class) if field.name != "state"}
    return st.builds(facts_class, state=st.sampled_from([state.name for state in table.states]), **guards)


@each_kind
@given(data=st.data())
def test_one_event_at_any_state_with_any_facts(table, facts_class, data):
    facts = data.draw(some_facts(table, facts_class))
    event = data.draw(st.sampled_from(table.events))
    before = evolve(facts)
    expected = plain(table, before, event)
    assert fire(table, facts, event) == expected
    assert facts.state == (expected or before.state)


@each_kind
@given(data=st.data())
def test_a_whole_life_of_random_events(table, facts_class, data):
    facts = evolve(data.draw(some_facts(table, facts_class)), state=table.initial)
    for event in data.draw(st.lists(st.sampled_from(table.events), max_size=60)):
        facts = evolve(data.draw(some_facts(table, facts_class)), state=facts.state)
        was, expected = facts.state, plain(table, facts, event)
        assert fire(table, facts, event) == expected
        if table.is_final(was):
            assert expected is None
            assert facts.state == was


@each_kind
def test_an_event_that_the_lifecycle_does_not_have_is_a_mistake(table, facts_class):
    with pytest.raises(KeyError):
        fire(table, facts_class(state=table.initial), "no such event")


def test_what_was_asked_for_comes_before_the_budget_and_the_budget_before_failure():
    def closing(**facts):
        return fire(SUBMISSION, SubmissionFacts(state="collecting", **facts), "collected")

    assert closing(worked=True, cancel_wanted=True, may_retry=True) == "succeeded"
    assert closing(cancel_wanted=True, may_retry=True) == "cancelled"
    assert closing(may_retry=True) == "queued"
    assert closing() == "failed"
