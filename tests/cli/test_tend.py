"""`terminate`, `stop` and `start`: who is asked, what they are shown, and what becomes of the rows."""

from pathlib import Path

import pytest

from reconciler.store.store import Store
from tests.cli.cli_rows import Invoke
from tests.cli.terminals import typed
from tests.store.store_rows import attempt, fill, instance, submission

VERBS = {"terminate": ("ready", "terminating"), "stop": ("ready", "draining"), "start": ("stopped", "starting")}


def state(store: Store, name: str) -> str:
    row = store.instance(name)
    assert row is not None
    return row.state


@pytest.mark.parametrize("verb", VERBS)
def test_it_is_done_for_each_that_is_named(invoke: Invoke, store: Store, verb: str) -> None:
    before, after = VERBS[verb]
    fill(store, *(instance(f"m{at}", state=before, cloud_id=f"c-{at}") for at in range(3)))
    told = invoke(verb, "m0", "c-1", "m1", "--yes")
    assert told.exit_code == 0, told.output
    assert [state(store, f"m{at}") for at in range(3)] == [after, after, before]
    assert len(told.stdout.splitlines()) == 2


@pytest.mark.parametrize("verb", VERBS)
def test_without_a_terminal_somebody_has_to_say_yes(invoke: Invoke, store: Store, verb: str) -> None:
    before, _ = VERBS[verb]
    fill(store, instance("m0", state=before, cloud_id="c-0"))
    told = invoke(verb, "m0")
    assert told.exit_code == 2
    assert f"say `reconcile {verb} … --yes`" in told.stderr
    assert state(store, "m0") == before


@pytest.mark.parametrize("verb", VERBS)
def test_one_that_is_not_there_stops_all(invoke: Invoke, store: Store, verb: str) -> None:
    before, _ = VERBS[verb]
    fill(store, instance("m0", state=before, cloud_id="c-0"))
    told = invoke(verb, "m0", "m7", "--yes")
    assert told.exit_code == 2
    assert "there is no instance 'm7'" in told.stderr
    assert state(store, "m0") == before


@pytest.mark.parametrize(
    ("verb", "was"), [("terminate", "terminated"), ("stop", "stopped"), ("start", "ready"), ("start", "terminated")]
)
def test_what_means_nothing_is_refused(invoke: Invoke, store: Store, verb: str, was: str) -> None:
    fill(store, instance("m0", state=was, cloud_id="c-0"))
    told = invoke(verb, "m0", "--yes")
    assert told.exit_code == 2
    assert f"m0 is {was}" in told.stderr
    assert state(store, "m0") == was


@pytest.mark.real
@pytest.mark.parametrize(("answer", "status", "after"), [("y", 0, "terminating"), ("n", 1, "ready")])
def test_who_is_asked_sees_what_runs_there(here: Path, store: Store, answer: str, status: int, after: str) -> None:
    fill(
        store, instance("m0", state="ready", cloud_id="c-0", type="c5.large", adopted=True),
        submission("work", state="running", attempt_id="work.1", attempts=1), attempt("work", instance_id="m0"),
    )  # fmt: skip
    ended, shown = typed(here, ["terminate", "c-0"], answer)
    assert ended == status
    assert "m0 (c5.large, ready, c-0, bought by somebody else): work is on it" in shown
    assert "terminate m0?" in shown
    assert state(store, "m0") == after
