"""Two writers at once, and a writer that dies: never do both win, and never is a step half there."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from attrs import evolve

from reconciler.model.change import Insert, Step, Update
from reconciler.model.rows import PoolRow
from reconciler.store.store import Store
from tests.store.store_rows import BY, INSTANCE, NOW, born, everything, instance, move, place, submission

WRITERS = 4


def race(store: Store, plans: list[list[Step]]) -> list[list[bool]]:
    """Apply one plan a thread, all let go at once."""
    gate = threading.Barrier(len(plans))

    def write(plan: list[Step]) -> list[bool]:
        gate.wait()
        return [applied for step in plan for applied in store.apply([step], now=NOW, by=BY)]

    with ThreadPoolExecutor(len(plans)) as pool:
        return list(pool.map(write, plans))


def wins(results: list[list[bool]]) -> list[int]:
    return [sum(column) for column in zip(*results, strict=True)]


def test_of_writers_that_read_the_same_row_one_wins(store: Store) -> None:
    found = [submission(f"s{n}") for n in range(10)]
    store.apply([born(*found)], now=NOW, by=BY)
    plan = [Step((move("submissions", row, "cancel", "cancelled"),)) for row in found]
    assert wins(race(store, [plan] * WRITERS)) == [1] * 10
    assert [len(store.history(row.id)) for row in found] == [2] * 10


def test_a_slot_is_filled_once_though_each_writer_has_another_submission_for_it(store: Store) -> None:
    waiting = [submission(f"s{n}") for n in range(WRITERS)]
    machines = [instance(f"i{n}", state="ready") for n in range(8)]
    store.apply([born(*waiting, *machines)], now=NOW, by=BY)
    results = race(store, [[place(row, machine) for machine in machines] for row in waiting])
    assert [sum(mine) for mine in results] == [1] * WRITERS
    recorded = everything(store)
    assert len({attempt.instance_id for attempt in recorded.attempts.values()}) == WRITERS
    assert len(recorded.attempts) == len(recorded.submissions) == WRITERS


def test_a_maximum_is_reached_once(store: Store) -> None:
    pool = PoolRow("cpu", 1, "{}", "h", True, "", NOW)
    store.apply([Step((Insert(table="pools", row=pool),))], now=NOW, by=BY)

    def buy(writer: int) -> list[Step]:
        bump = Update(table="pools", id="cpu", version=1)
        return [Step((bump, Insert(table="instances", row=instance(f"i{writer}")))) for _ in range(5)]

    assert sum(map(sum, race(store, [buy(writer) for writer in range(WRITERS)]))) == 1
    assert len(store.instances()) == 1


def test_one_claims_an_effect(store: Store) -> None:
    machines = [instance(f"i{n}") for n in range(20)]
    store.apply([born(*machines)], now=NOW, by=BY)
    gate = threading.Barrier(WRITERS)

    def claim(writer: int) -> set[str]:
        gate.wait()
        return store.claim("instances", machines, by=str(writer), until=NOW + 60)

    with ThreadPoolExecutor(WRITERS) as pool:
        claimed = list(pool.map(claim, range(WRITERS)))
    assert sorted(map(len, claimed)) == [0, 0, 0, 20]


def test_history_is_numbered_in_the_order_of_its_rows_versions(store: Store) -> None:
    row = evolve(INSTANCE, state="ready")
    store.apply([born(row)], now=NOW, by=BY)

    def toggle(_: int) -> None:
        for _ in range(10):
            (now,) = store.instances()
            event, target = ("drain", "draining") if now.state == "ready" else ("keep", "ready")
            store.apply([Step((move("instances", now, event, target),))], now=NOW, by=BY)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(toggle, range(WRITERS)))
    versions = [event.version for event in store.history("i1")]
    assert versions == list(range(1, len(versions) + 1))
    assert versions[-1] == store.instances()[0].version


DIE = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from sqlalchemy import event
from tests.store.store_rows import NOW, instance, place, submission
from reconciler.store.store import Store

store = Store.open(sys.argv[1], controller="tests")
engine, at, count = store.database.engine, sys.argv[3], 0

def die(*_):
    global count
    count += 1
    if at == "commit" or count == int(at):
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(engine, "commit" if at == "commit" else "after_cursor_execute", die)
store.apply([place(submission(f"s{n}"), instance(f"i{n}", state="ready")) for n in range(3)], now=NOW, by="dying")
"""


@pytest.mark.real
@pytest.mark.parametrize("at", ["2", "6", "10", "commit"])
def test_a_writer_that_dies_leaves_nothing_and_holds_up_nobody(
    store: Store, at: str, request: pytest.FixtureRequest
) -> None:
    rows = [submission(f"s{n}") for n in range(3)]
    store.apply([born(*rows), born(*(instance(f"i{n}", state="ready") for n in range(3)))], now=NOW, by=BY)
    url = store.database.url.render_as_string(hide_password=False)
    died = subprocess.run([sys.executable, "-c", DIE, url, str(request.path.parent), at], capture_output=True)
    assert died.returncode == -9, died.stderr
    recorded = everything(store)
    assert (recorded.attempts, recorded.submissions, len(recorded.heads)) == ({}, {}, 3)
    assert {row.version for row in recorded.instances.values()} == {1}
    assert len(store.history()) == 6
    assert store.apply([place(rows[0], instance("i0", state="ready"))], now=NOW, by=BY) == [True]
