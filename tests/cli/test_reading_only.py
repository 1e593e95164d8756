"""Somebody who may read the database's file and nothing more can look, and is told why where that cannot be."""

import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.store.store import Store
from tests.cli.cli_rows import CONFIG, tree
from tests.cli.test_bad_database import on_read_only
from tests.store.store_rows import born, submission

pytestmark = pytest.mark.real


@pytest.fixture
def kept(here: Path) -> Path:
    """A deployment whose database lies in a folder of its own, with one submission."""
    (here / "config.yml").write_text(CONFIG.replace("tests.db", "db/tests.db"))
    (here / "db").mkdir()
    store = Store.open(f"sqlite:///{here / 'db' / 'tests.db'}", controller="tests")
    store.apply([born(submission("good"))], now=store.now(), by="tests")
    store.close()
    return here


@pytest.mark.parametrize(
    "words", [["status"], ["show", "good"], ["history"], ["--dry-run"]], ids=lambda words: words[0]
)
def test_who_may_only_read_can_look(kept: Path, words: list[str]) -> None:
    before = tree(kept)
    told = on_read_only(kept, kept / "db", *words)
    assert told.returncode == 0, told.stdout + told.stderr
    assert ("pool cpu: new" if words == ["--dry-run"] else "good") in told.stdout
    assert tree(kept) == before


def test_what_would_write_is_refused(kept: Path) -> None:
    told = on_read_only(kept, kept / "db", "cancel", "good")
    assert told.returncode == 1
    assert "the database is read-only" in told.stderr


def test_what_another_process_has_just_written_is_seen_or_the_look_is_refused(kept: Path) -> None:
    """A log beside the file holds what is newer: the file alone would be an old story."""
    writer = "\n".join([
        "import os, sqlite3", "c = sqlite3.connect('db/tests.db')", "c.execute('PRAGMA wal_autocheckpoint = 0')",
        "c.execute(\"UPDATE submissions SET label = 'newer'\")", "c.commit()", "os._exit(0)",
    ])  # fmt: skip
    subprocess.run([sys.executable, "-c", writer], cwd=kept, check=True)
    assert (kept / "db" / "tests.db-wal").stat().st_size
    told = on_read_only(kept, kept / "db", "status")
    if told.returncode == 0:
        assert "newer" in told.stdout
    else:
        assert "tests.db: cannot be opened" in told.stderr
