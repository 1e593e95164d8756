"""A database or a results folder that is of no use just now: status 1, a clear message, nothing lost or begun."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.store.store import Store
from tests.cli.cli_rows import CONFIG, Invoke, submission, tree

pytestmark = pytest.mark.real

PATIENCE = 60  # seconds for a process of ours to end
# The program with less patience for locks: 30 s are too long for a test.
HASTY = """\
from reconciler.store.store import Store
Store.open.__func__.__kwdefaults__["patience"] = 0.3
from reconciler.cli import main
main(prog_name="reconcile")
"""
# Runs a command for which a folder is on a read-only file system. Arguments: the folder, the command.
READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" "$1" || exit 77; shift; exec "$@"'


def ended(here: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=PATIENCE, check=False)


def hasty(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-c", HASTY, *words)


def refused(told: subprocess.CompletedProcess[str], message: str) -> None:
    """It ended with 1, and says why in a line."""
    assert told.returncode == 1, told.stdout + told.stderr
    assert message in told.stderr
    assert "Traceback" not in told.stdout + told.stderr


def until(truth: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not truth():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@contextmanager
def locked(here: Path) -> Iterator[None]:
    """Another process writes to the database, and does not come to an end."""
    locker = sqlite3.connect(here / "tests.db", isolation_level=None)
    try:
        locker.execute("BEGIN IMMEDIATE")
        yield
    finally:
        locker.close()


def succeeds_at_the_first_try(here: Path, name: str = "work") -> None:
    """As if nothing had been."""
    told = ended(here, sys.executable, "-m", "reconciler", "--until-settled")
    assert told.returncode == 0, told.stdout + told.stderr
    assert [path.name for path in (here / "results" / name).iterdir()] == ["1"]
    assert (here / "results" / name / "1" / "out" / "home").exists()


@pytest.fixture
def queued(here: Path) -> Iterator[Path]:
    """A submission in the queue. Its job runs until there is `go`, and never longer than the test."""
    folder = here / "submissions" / "work"
    folder.mkdir()
    (folder / "run.sh").write_text(f"while [ ! -e {here}/go ]; do sleep 0.05; done\nmkdir -p out && echo > out/home\n")
    for path in (folder / "run.sh", folder):
        os.utime(path, (time.time() - 60, time.time() - 60))
    (here / "go").touch()
    yield here
    (here / "go").touch()


@pytest.mark.parametrize(
    "words", [["--once"], ["--until-settled"], []], ids=lambda words: words[0] if words else "forever"
)
def test_a_database_that_is_locked(queued: Path, words: list[str]) -> None:
    Store.open(f"sqlite:///{queued / 'tests.db'}", controller="tests").close()
    with locked(queued):
        refused(ended(queued, *hasty(*words)), "tests.db: the database is locked by another process")
        assert not (queued / ".reconciler" / "machines").exists()
    succeeds_at_the_first_try(queued)


def test_a_command_that_finds_the_database_locked(here: Path, store: Store, invoke: Invoke) -> None:
    folder = submission(here, "mkdir out && echo > out/home")
    with locked(here):
        refused(ended(here, *hasty("submit", str(folder))), "the database is locked by another process")
        assert invoke("status").exit_code == 0  # who only looks is not in the way
    assert list(store.submissions()) == []
    assert invoke("submit", folder).exit_code == 0
    succeeds_at_the_first_try(here)


def test_a_database_that_gets_locked_while_a_job_runs(queued: Path, invoke: Invoke) -> None:
    (queued / "go").unlink()
    running = subprocess.Popen(
        hasty("--until-settled"), cwd=queued, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: " running " in invoke("status").stdout)
        with locked(queued):
            (queued / "go").touch()
            out, err = running.communicate(timeout=PATIENCE)
        refused(subprocess.CompletedProcess((), running.returncode, out, err), "locked by another process")
    finally:
        running.kill()
        running.communicate()
    succeeds_at_the_first_try(queued)


def on_read_only(here: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The program with a folder that it cannot write to. Modes refuse root nothing: there it takes a mount."""
    command = (sys.executable, "-m", "reconciler", *words)
    if os.geteuid() != 0:
        folder.chmod(0o500)
        try:
            return ended(here, *command)
        finally:
            folder.chmod(0o700)
    if ended(here, "unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(folder), "true").returncode:
        pytest.skip("a read-only file system: needs the right to mount one")
    return ended(here, "unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(folder), *command)


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_a_database_that_is_read_only(queued: Path, *, known: bool) -> None:
    (queued / "config.yml").write_text(CONFIG.replace("tests.db", "db/tests.db"))
    (queued / "db").mkdir()
    if known:
        Store.open(f"sqlite:///{queued / 'db' / 'tests.db'}", controller="tests").close()
    before = tree(queued)
    refused(on_read_only(queued, queued / "db", "--until-settled"), "db/tests.db: ")
    assert tree(queued) == before
    succeeds_at_the_first_try(queued)


@pytest.mark.parametrize(
    "words", [["--once"], ["--until-settled"], []], ids=lambda words: words[0] if words else "forever"
)
def test_a_results_folder_that_is_read_only(queued: Path, words: list[str]) -> None:
    (queued / "results").mkdir()
    before = tree(queued)
    refused(on_read_only(queued, queued / "results", *words), "results: results cannot be written here")
    assert tree(queued) == before
    succeeds_at_the_first_try(queued)


def test_a_results_folder_that_cannot_be_made(queued: Path) -> None:
    (queued / "results").write_text("in the way")
    refused(ended(queued, sys.executable, "-m", "reconciler", "--once"), "results: results cannot be written here")
    (queued / "results").unlink()
    succeeds_at_the_first_try(queued)


def test_results_wait_while_their_folder_cannot_be_written(queued: Path, invoke: Invoke) -> None:
    (queued / "go").unlink()
    running = subprocess.Popen(
        hasty("--until-settled"), cwd=queued, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: " running " in invoke("status").stdout)
        (queued / "results").rename(queued / "aside")
        (queued / "results").write_text("in the way")
        (queued / "go").touch()
        until(lambda: "ours: " in invoke("status").stdout)
        (queued / "results").unlink()
        (queued / "aside").rename(queued / "results")
        assert running.wait(PATIENCE) == 0
    finally:
        running.kill()
        running.communicate()
    succeeds_at_the_first_try(queued)
