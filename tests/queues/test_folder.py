"""A folder as a queue: what is finished is taken, what is not waits, and no bad one holds up the others."""

import asyncio
import os
import shutil
import time
from pathlib import Path

import pytest

from reconciler.queues import folder as folder_module
from reconciler.queues.base import Entry, Reading
from reconciler.queues.folder import SETTLED, FolderQueue


class Clock:
    """The time of day, and as much later as a test says."""

    def __init__(self) -> None:
        self.ahead = 60.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> FolderQueue:
    (tmp_path / "submissions").mkdir()
    return FolderQueue(tmp_path / "submissions", tmp_path / "store", clock)


def submit(queue: FolderQueue, name: str, text: str = "echo hello\n") -> Path:
    made = queue.folder / name
    made.mkdir(exist_ok=True)
    (made / "run.sh").write_text(text)
    return made


def read(queue: FolderQueue) -> Reading:
    return asyncio.run(queue.read())


def entries(queue: FolderQueue) -> dict[str, Entry]:
    reading = read(queue)
    assert reading.good
    assert reading.queue == "folder"
    return {entry.key: entry for entry in reading.entries}


def problem(queue: FolderQueue, key: str) -> str:
    return entries(queue)[key].problem


def test_each_folder_is_a_submission(queue: FolderQueue) -> None:
    submit(queue, "b")
    submit(queue, "a", "echo other\n")
    found = entries(queue)
    assert list(found) == ["a", "b"]
    assert all(entry.name == key and not entry.problem for key, entry in found.items())
    assert (queue.store / found["a"].content / "run.sh").read_text() == "echo other\n"


def test_files_and_hidden_folders_are_none(queue: FolderQueue) -> None:
    (queue.folder / "README").write_text("mine\n")
    for name in (".git", "__pycache__", ".hidden"):
        (queue.folder / name).mkdir()
    assert entries(queue) == {}


def test_one_that_is_being_written_is_neither_there_nor_missing(queue: FolderQueue, clock: Clock) -> None:
    submit(queue, "old")
    read(queue)
    clock.ahead = 0.0
    submit(queue, "new")
    submit(queue, "old", "echo changed\n")
    reading = read(queue)
    assert (reading.good, reading.entries, reading.unsettled) == (True, (), {"old", "new"})
    clock.ahead = SETTLED
    reading = read(queue)
    assert ([entry.key for entry in reading.entries], reading.unsettled) == (["new", "old"], frozenset())


def test_old_times_on_new_files_do_not_make_it_look_finished(queue: FolderQueue, clock: Clock) -> None:
    made = submit(queue, "a")
    for path in (made / "run.sh", made):
        os.utime(path, (1, 1))
    clock.ahead = 0.0
    assert read(queue).unsettled == {"a"}


@pytest.mark.parametrize("offset", [86400.0, -86400.0])
def test_times_that_are_far_off_do_not_hold_it_up_for_ever(queue: FolderQueue, clock: Clock, offset: float) -> None:
    made = submit(queue, "a")
    os.utime(made / "run.sh", (time.time() + offset,) * 2)
    assert list(entries(queue)) == ["a"]


def test_what_has_not_changed_is_not_copied_again(queue: FolderQueue) -> None:
    submit(queue, "a")
    first = entries(queue)
    shutil.rmtree(queue.store)
    assert entries(queue) == first
    assert not queue.store.exists()


def test_any_change_is_seen(queue: FolderQueue) -> None:
    made = submit(queue, "a")
    seen = {entries(queue)["a"].content}
    (made / "run.sh").write_text("echo hullo\n")  # of the same size
    seen.add(entries(queue)["a"].content)
    (made / "run.sh").chmod(0o755)
    seen.add(entries(queue)["a"].content)
    (made / "run.sh").rename(made / "ran.sh")
    seen.add(entries(queue)["a"].content)
    (made / "more").mkdir()
    (made / "more" / "file").write_text("")
    seen.add(entries(queue)["a"].content)
    assert len(seen) == 5


def test_one_that_changes_while_it_is_copied_is_unsettled(queue: FolderQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    made = submit(queue, "a")
    original = folder_module.keep

    def meanwhile(folder: Path, store: Path) -> str:
        digest = original(folder, store)
        (made / "late").write_text("")
        return digest

    monkeypatch.setattr(folder_module, "keep", meanwhile)
    assert read(queue).unsettled == {"a"}
    monkeypatch.setattr(folder_module, "keep", original)
    assert (queue.store / entries(queue)["a"].content / "late").exists()


def test_one_that_was_there_a_moment_ago_is_not_missing_yet(queue: FolderQueue, clock: Clock) -> None:
    made = submit(queue, "a")
    read(queue)
    shutil.rmtree(made)
    assert read(queue).unsettled == {"a"}
    clock.ahead += SETTLED
    reading = read(queue)
    assert (reading.good, reading.entries, reading.unsettled) == (True, (), frozenset())


def test_a_queue_that_never_saw_it_knows_nothing_of_what_is_gone(queue: FolderQueue) -> None:
    shutil.rmtree(submit(queue, "a"))
    assert read(queue) == Reading(queue="folder")


@pytest.mark.parametrize(
    ("name", "key", "shown"),
    [
        ("-rf", "-rf", "-rf"),
        ("a b", "a b", "a b"),
        ("a\nb", "a\nb", "a b"),
        ("\x1b[2J", "\x1b[2J", "?"),
        (os.fsdecode(b"a\xff"), "a\\udcff", "a?"),
        ("x" * 200, "x" * 200, "x" * 99 + "…"),
    ],
)
def test_a_bad_name_is_its_own_problem(queue: FolderQueue, name: str, key: str, shown: str) -> None:
    submit(queue, name)
    submit(queue, "good")
    found = entries(queue)
    assert set(found) == {key, "good"}
    assert (found[key].name, found[key].content) == (shown, "")
    assert found[key].problem.isprintable()
    assert found[key].problem
    assert not found["good"].problem
    assert key.encode()


def test_a_folder_with_something_bad_in_it_is_its_own_problem(queue: FolderQueue) -> None:
    (submit(queue, "link") / "bad").symlink_to("/etc/passwd")
    os.mkfifo(submit(queue, "fifo") / "bad")
    (submit(queue, "loop") / "bad").symlink_to("bad")
    submit(queue, "good")
    found = entries(queue)
    assert "leads out" in found["link"].problem
    assert "not a regular file" in found["fifo"].problem
    assert "bad" in found["loop"].problem
    assert [key for key, entry in found.items() if not entry.problem] == ["good"]


def test_a_link_in_the_queue_is_refused_and_one_to_nothing_is_no_submission(queue: FolderQueue, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "key").write_text("secret")
    (queue.folder / "out").symlink_to(tmp_path / "elsewhere")
    (queue.folder / "loop").symlink_to("loop")
    (queue.folder / "nothing").symlink_to("nowhere")
    found = entries(queue)
    assert list(found) == ["out"]
    assert "is a link" in found["out"].problem
    assert not queue.store.exists()


def test_a_problem_that_is_mended_is_gone(queue: FolderQueue) -> None:
    made = submit(queue, "a")
    (made / "bad").symlink_to("/etc/passwd")
    assert problem(queue, "a")
    (made / "bad").unlink()
    assert not problem(queue, "a")


def test_a_submission_says_what_it_wants(queue: FolderQueue) -> None:
    (submit(queue, "a") / "submission.yml").write_text("pool: gpu\npriority: 7\nlimit: 90s\nenv: {A: b}\n")
    options = entries(queue)["a"].options
    assert (options.pool, options.priority, options.limit, dict(options.env)) == ("gpu", 7, 90.0, {"A": "b"})


def test_what_is_wrong_with_its_options_is_said_at_its_place(queue: FolderQueue, tmp_path: Path) -> None:
    (submit(queue, "a") / "submission.yml").write_text("pool: gpu\npriorty: 7\n")
    said = problem(queue, "a")
    assert said.startswith("a/submission.yml:2:1: ")
    assert "priority" in said
    assert str(tmp_path) not in said


def test_options_see_nothing_of_our_environment(queue: FolderQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_SECRET", "hunter2")
    (submit(queue, "a") / "submission.yml").write_text("env: {A: '${OUR_SECRET}'}\n")
    entry = entries(queue)["a"]
    assert entry.problem
    assert "hunter2" not in repr(entry)


def test_options_that_are_a_link_out_are_not_read(queue: FolderQueue, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2: yes\n")
    (submit(queue, "a") / "submission.yml").symlink_to(tmp_path / "secret")
    entry = entries(queue)["a"]
    assert "leads out" in entry.problem
    assert "hunter2" not in repr(entry)


def test_a_queue_that_cannot_be_listed_is_a_bad_reading(queue: FolderQueue) -> None:
    submit(queue, "a")
    read(queue)
    queue.folder.rename(queue.folder.with_name("away"))
    reading = read(queue)
    assert (reading.good, reading.entries, reading.unsettled) == (False, (), frozenset())
    assert str(queue.folder) in reading.error
    queue.folder.with_name("away").rename(queue.folder)
    assert list(entries(queue)) == ["a"]


def test_a_store_that_cannot_be_written_is_a_bad_reading_and_no_problem_of_a_submission(queue: FolderQueue) -> None:
    submit(queue, "a")
    queue.store.write_text("in the way")
    reading = read(queue)
    assert (reading.good, reading.entries) == (False, ())
    assert str(queue.store) in reading.error
    queue.store.unlink()
    assert not problem(queue, "a")


def test_a_thousand_unchanged_ones_are_read_cheaply(queue: FolderQueue) -> None:
    for number in range(1000):
        submit(queue, f"s{number}", "echo the same\n")
    assert len(entries(queue)) == 1000
    before = time.process_time()
    assert len(entries(queue)) == 1000
    assert time.process_time() - before < 1.0  # CPU seconds; far more than it takes, far less than hashing again would
