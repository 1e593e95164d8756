"""`show` says why a submission or a machine is where it is, and what comes next, in every situation there is."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, fields
from sqlalchemy import insert

from reconciler.clouds.local import local_place
from reconciler.decide.sightings import scope_of
from reconciler.model.assignment import Assignment
from reconciler.model.rows import Hold
from reconciler.store.store import Store
from reconciler.store.tables import HOLDS
from tests.cli.cli_rows import POOL, Invoke
from tests.store import store_rows
from tests.store.store_rows import DELIVERY, attempt, instance, submission

NOW = time.time()
SOON = NOW + 3600
FROZEN = Assignment(
    attempt="s.1", submission="s", pool="cpu", content="abc", workload="script", settings="{}", limit=7200.0,
    max_bytes=1, max_files=1,
).to_json()  # fmt: skip
ON_M1 = (attempt("s", instance_id="m1", frozen=FROZEN, opened=NOW - 60),)


def waiting(**changes: Any) -> Any:
    return submission("s", since=NOW - 60, created=NOW - 60, **changes)


def placed(state: str, **changes: Any) -> Any:
    return waiting(state=state, attempt_id="s.1", attempts=1, clock=NOW - 60, **changes)


def local(name: str, state: str, **changes: Any) -> Any:
    return instance(name, type="local", state=state, cloud_id=f"local-{name}", since=NOW - 60, **changes)


def lately(row: Any) -> Any:
    """The row as if it had been made now: a test may run long after it was collected."""
    late = time.time() - NOW
    values = {field.name: getattr(row, field.name) for field in fields(type(row))}
    times = {name: value + late for name, value in values.items() if isinstance(value, float) and value > NOW / 2}
    return evolve(row, **times)


def fill(store: Store, *rows: Any) -> None:
    store_rows.fill(store, *map(lately, rows))


QUEUED: dict[str, tuple[list[Any], str]] = {
    "nothing in the way": ([waiting()], "a machine is bought for it in the next pass"),
    "no such pool": ([waiting(pool="gpu")], "there is no pool gpu (there are: cpu)"),
    "no pool": ([waiting(pool="")], "there is no pool (none was named)"),
    "backoff": ([waiting(not_before=SOON, spent='{"lost": 2}')], "held back until it is tried again in 59m"),
    "another type": ([waiting(types='["big"]')], "it names big, and pool cpu has local only; add one"),
    "a machine is on its way": ([waiting(), local("m1", "booting")], "machine m1 is booting, for 1m"),
    "a free slot": ([waiting(), local("m1", "ready")], "the next pass places it"),
    "a silent machine": (
        [waiting(), local("m1", "ready", strikes=3, last_error="silent: no route")],
        "machine m1 does not answer: silent: no route",
    ),
    "all busy": (
        [
            waiting(),
            *(local(f"m{at}", "ready") for at in (1, 2)),
            *(submission(f"r{at}", state="running", attempt_id=f"r{at}.1", attempts=1) for at in (1, 2)),
            *(attempt(f"r{at}", instance_id=f"m{at}") for at in (1, 2)),
        ],
        "every slot is taken on all 2 machines, and pool cpu may have 2",
    ),
    "to be cancelled": ([waiting(cancel_wanted=True)], "it is to be cancelled"),
}

PLACED: dict[str, tuple[list[Any], str]] = {
    "staging": ([placed("staging")], "it is uploaded to m1 and started there"),
    "running": ([placed("running")], "in 2h ("),
    "collecting": (
        [placed("collecting", last_error="ours: disk full", strikes=2)],
        "ours: disk full (2 times in a row)",
    ),
    "tried again": ([placed("collecting", not_before=SOON, last_error="x")], "tried again in 59m"),
    "cancelling": ([placed("cancelling")], "its processes on m1 are being ended"),
}

FINAL: dict[str, tuple[list[Any], str]] = {
    "failed": ([waiting(state="failed", reason="timeout", message="time is up")], "message  time is up"),
    "may be retried": ([waiting(state="failed")], "nothing; `reconcile retry s` submits it again"),
    "invalid": ([waiting(state="failed", reason="invalid", content="")], "next     nothing"),
}

MACHINES: dict[str, tuple[list[Any], str]] = {
    "launching": ([local("m1", "launching")], "it is being bought"),
    "deadline": ([local("m1", "booting")], "deadline  in 1"),
    "busy": ([local("m1", "ready"), placed("running"), *ON_M1], "it is busy with s"),
    "idle": ([local("m1", "ready")], "without work it goes in 8m"),
    "draining": (
        [local("m1", "draining", reason="user"), placed("running"), *ON_M1],
        "when nothing is on it; on it: s",
    ),
    "overdue": ([local("m1", "terminating", last_error="denied: no", strikes=1)], "denied: no"),
    "gone": ([local("m1", "terminated", reason="evicted")], "terminated (evicted)"),
}


@pytest.mark.parametrize("what", QUEUED)
def test_why_it_waits(invoke: Invoke, store: Store, what: str) -> None:
    rows, sentence = QUEUED[what]
    fill(store, *rows)
    told = invoke("show", "s")
    assert told.exit_code == 0, told.output
    assert sentence in told.stdout


@pytest.mark.parametrize("what", PLACED)
def test_what_goes_on_on_a_machine(invoke: Invoke, store: Store, what: str) -> None:
    rows, sentence = PLACED[what]
    fill(store, local("m1", "ready"), *rows, *ON_M1)
    assert sentence in invoke("show", "s").stdout


@pytest.mark.parametrize("what", FINAL)
def test_how_it_ended(invoke: Invoke, store: Store, what: str) -> None:
    rows, sentence = FINAL[what]
    fill(store, *rows)
    assert sentence in invoke("show", "s").stdout


@pytest.mark.parametrize("what", MACHINES)
def test_a_machine(invoke: Invoke, store: Store, what: str) -> None:
    rows, sentence = MACHINES[what]
    fill(store, *rows)
    for name in ("m1", "local-m1"):
        assert sentence in invoke("show", name).stdout


def test_a_pool_that_may_keep_it_keeps_an_idle_machine(invoke: Invoke, here: Path, store: Store) -> None:
    (here / "specs" / "cpu.yml").write_text(POOL.replace("0..2", "1..2"))
    fill(store, local("m1", "ready"))
    assert "pool cpu keeps at least 1 local" in invoke("show", "m1").stdout


def test_what_is_held_back_is_told(invoke: Invoke, here: Path, store: Store) -> None:
    fill(store, waiting())
    scope = scope_of(local_place(here / ".reconciler" / "machines"))
    hold = lately(Hold(scope, "local", "on-demand", "", SOON, 1, "capacity: none left"))
    with store.database.writing() as connection:
        connection.execute(insert(HOLDS).values(tuple(getattr(hold, name) for name in HOLDS.c.keys())))  # noqa: SIM118
    assert "no machine can be had: capacity: none left; tried again in 59m" in invoke("show", "s").stdout


def test_attempts_results_and_deliveries(invoke: Invoke, here: Path, store: Store) -> None:
    fill(
        store,
        local("m0", "terminated"),
        local("i1", "ready"),
        waiting(state="failed", reason="exit code", attempts=2, attempt_id="s.2"),
        attempt("s", 1, outcome="lost", closed=NOW, message="its machine m0 is gone", instance_id="m0"),
        attempt("s", 2, outcome="exit code", closed=NOW, exit_code=3, peak_memory=12.3, results="s/2"),
        evolve(DELIVERY, id="s.2/failed/hook", submission_id="s", sink="hook/failed/0", event="failed",
               last_error="exit code 1", not_before=SOON),
    )  # fmt: skip
    told = invoke("show", "s").stdout
    for part in ("its machine m0 is gone", "exit code  3     12 MiB", f"{here}/results/s/2", "exit code 1", "in 59m"):
        assert part in told
    found = json.loads(invoke("show", "s", "--json").stdout)
    assert [(each["number"], each["outcome"]) for each in found["tries"]] == [(1, "lost"), (2, "exit code")]
    assert found["deliveries"] == [{"event": "failed", "sink": "hook/failed/0", "state": "pending"}]
    assert found["explained"]


def test_a_misspelt_name_gets_a_hint(invoke: Invoke, store: Store) -> None:
    fill(store, submission("better"))
    told = invoke("show", "beter")
    assert told.exit_code == 2
    assert "did you mean better?" in told.stderr
