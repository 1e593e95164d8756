"""Logs come from the results once they are home, say what is missing otherwise, and steer no terminal."""

from pathlib import Path

import pytest

from reconciler.store.store import Store
from tests.cli.cli_rows import Invoke
from tests.store.store_rows import attempt, fill, instance, submission


@pytest.fixture
def twice(here: Path, store: Store) -> Path:
    """A submission that was tried twice; the second log is home."""
    fill(
        store,
        instance("m1", state="terminated"),
        submission("s", state="failed", attempts=2, attempt_id="s.2"),
        attempt("s", 1, instance_id="m1", closed=1.0, outcome="lost", message="its machine m1 is gone"),
        attempt("s", 2, instance_id="m1", closed=2.0, outcome="exit code", results="s/2"),
    )
    home = here / "results" / "s" / "2"
    home.mkdir(parents=True)
    return home


def test_a_log_that_is_home(invoke: Invoke, twice: Path) -> None:
    (twice / "log").write_bytes(b"one\r\n\x1b]0;title\x07two \xff\n10%\r20%\n")
    told = invoke("logs", "s")
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout == "one\n\\x1b]0;title\\x07two \ufffd\n10%\n20%\n"


def test_an_attempt_that_left_no_log(invoke: Invoke, twice: Path) -> None:
    told = invoke("logs", "s", "--try", "1")
    assert (told.exit_code, told.stdout) == (0, "")
    assert told.stderr == "s: no log of attempt 1 is here: its machine m1 is gone\n"


def test_an_attempt_that_there_was_not(invoke: Invoke, twice: Path) -> None:
    assert "s is failed: it had attempts 1 to 2" in invoke("logs", "s", "--try", "3").stderr


def test_a_log_that_somebody_removed(invoke: Invoke, twice: Path) -> None:
    told = invoke("logs", "s")
    assert told.exit_code == 1
    assert told.stderr == f"{twice / 'log'}: No such file or directory\n"


def test_what_has_not_begun(invoke: Invoke, store: Store) -> None:
    fill(store, submission("s"), instance("m1", state="launching"))
    assert "s is queued: it had no attempt" in invoke("logs", "s").stderr
    assert "m1 is launching: no machine is bound to it" in invoke("logs", "m1").stderr
