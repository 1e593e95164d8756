"""Two processes that read one queue's folder: what both found is one submission."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.change import Step
from reconciler.model.snapshot import Recorded
from reconciler.queues.folder import FolderQueue
from reconciler.source import Feed, FileSource, SpecFiles
from reconciler.spec.values import Config
from reconciler.store.store import Store

POOL = "pool: cpu\ncloud: {local: {}}\nsize: {m: 0..2}\nworkload: {script: {command: sh run.sh}}\n"


async def inline(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return call(*args, **kwargs)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pools").mkdir()
    (tmp_path / "pools" / "cpu.yml").write_text(POOL)
    hand_in(tmp_path, "work", "echo one")
    return tmp_path


def hand_in(root: Path, name: str, script: str) -> None:
    folder = root / "queue" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.sh").write_text(script)


def reader(root: Path, store: Store) -> FileSource:
    """A process's view of the folder, an hour after everything in it was written."""
    config = Config(controller="tests", pools=root / "pools", state=root / "state")
    later = (root / "pools").stat().st_mtime + 3600
    queue = FolderQueue(root / "queue", root / "content", clock=lambda: later)
    feeds = [Feed(queue=queue, pool="")]
    return FileSource(specs=SpecFiles(config=config), feeds=feeds, known=store, db=inline)


def read(source: FileSource, store: Store) -> list[Step]:
    steps, unsettled = asyncio.run(source.intake(Recorded(now=store.now(), identity=store.identity)))
    assert not unsettled
    return list(steps)


def test_what_two_processes_found_at_once_is_one_submission(root: Path, store: Store) -> None:
    first, second = reader(root, store), reader(root, store)
    found = [read(first, store), read(second, store)]
    assert [store.apply(steps, now=store.now(), by="x") for steps in found] == [[True], [False]]
    assert [row.label for row in store.submissions()] == ["work"]


def test_a_process_that_paused_between_two_reads_takes_nothing_twice(root: Path, store: Store) -> None:
    first, second = reader(root, store), reader(root, store)
    before = store.latest_by_key("folder")
    steps = read(first, store)

    class Late:
        def latest_by_key(self, source: str) -> Any:
            assert store.apply(steps, now=store.now(), by="first") == [True]
            return before

        next_label = staticmethod(store.next_label)

    second.known = Late()
    late = read(second, store)
    assert store.apply(late, now=store.now(), by="second") == [False]
    assert len(store.submissions()) == 1


def test_a_changed_folder_takes_the_place_of_one_that_waits_in_one_step(root: Path, store: Store) -> None:
    store.apply(read(reader(root, store), store), now=store.now(), by="x")
    hand_in(root, "work", "echo two, and more")
    (step,) = read(reader(root, store), store)
    assert store.apply([step], now=store.now(), by="x") == [True]
    old, new = sorted(store.submissions(), key=lambda row: row.label)
    assert (old.state, old.reason) == ("cancelled", "superseded")
    assert (new.label, new.state) == ("work-2", "queued")
