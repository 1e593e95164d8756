"""SQLite's file goes away, or another takes its place, while it is in use: nothing more is written or begun."""

import shutil
from pathlib import Path
from subprocess import Popen

import pytest

from reconciler.model.change import Step
from reconciler.store.errors import StoreError
from reconciler.store.store import Store
from tests.cli.cli_rows import Invoke, Start, submission
from tests.cli.test_run import PATIENCE, states, until

LOST = "the database's file is gone, or another"


def removed(here: Path) -> None:
    for path in here.glob("tests.db*"):
        path.unlink()


def refused(running: Popen[str]) -> None:
    out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 1, out + err
    assert LOST in err
    assert "reconcile adopt" in err
    assert "start again" not in out
    assert "Traceback" not in out + err


@pytest.mark.parametrize("another", [False, True], ids=["gone", "another"])
def test_a_store_is_of_no_use_without_its_file(here: Path, store: Store, *, another: bool) -> None:
    aside = here / "aside.db"
    if another:
        shutil.copy(here / "tests.db", aside)
    removed(here)
    if another:
        aside.rename(here / "tests.db")
    before = sorted(path.name for path in here.iterdir())
    with pytest.raises(StoreError, match=LOST) as told:
        store.places()
    assert not told.value.usage
    with pytest.raises(StoreError, match=LOST):
        store.apply([Step((), "nothing")], now=store.now(), by="tests")
    assert sorted(path.name for path in here.iterdir()) == before


def test_a_write_that_waited_for_its_turn_meanwhile_is_not_kept(here: Path, store: Store) -> None:
    with pytest.raises(StoreError, match=LOST), store.database.writing():
        removed(here)


@pytest.mark.real
@pytest.mark.parametrize("words", [["--until-settled"], []], ids=["until settled", "forever"])
def test_a_run_ends_within_an_interval_and_begins_nothing(
    here: Path, invoke: Invoke, start: Start, words: list[str]
) -> None:
    go = here / "go"
    invoke("submit", submission(here, f"while ! test -e {go}; do sleep 0.05; done", "endless"))
    running = start(*words)
    try:
        until(lambda: states(invoke)["endless"] == "running")
        removed(here)
        refused(running)
        assert not (here / "tests.db").exists()
    finally:
        go.touch()
