"""Folders that jobs wrote are removed whatever they made of them, and files are written whole or not at all."""

import os
import threading
from pathlib import Path

import pytest

from reconciler.clouds.local_files import remove_tree, write_whole
from reconciler.clouds.local_lock import BusyError, held
from tests.clouds.cloud_cases import names


def as_nobody(work: object) -> int:
    """The exit status of a fork of this process that is not root while it does the work."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            work()  # type: ignore[operator]
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, which takes root")
def test_read_only_folders_are_removed_by_who_is_not_root(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    mine = tmp_path / "mine"
    mine.mkdir()
    os.chown(mine, 65534, 65534)
    top = mine / "top"

    def make() -> None:
        (top / "a" / "b" / "c").mkdir(parents=True)
        (top / "a" / "b" / "c" / "file").write_text("x")
        (top / "a" / "b" / "c" / "file").chmod(0o000)
        for folder in (top / "a" / "b" / "c", top / "a" / "b", top / "a", top):
            folder.chmod(0o000)

    assert as_nobody(make) == 0
    assert as_nobody(lambda: remove_tree(top)) == 0
    assert not top.exists()


def test_a_tree_deeper_than_any_path_may_be_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    handle = os.open(top, os.O_RDONLY)
    for _ in range(400):  # of 30 characters: three times what a path may have
        os.mkdir("deeper" * 5, dir_fd=handle)
        inner = os.open("deeper" * 5, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)
    remove_tree(top)
    assert not top.exists()


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("kept")
    (tmp_path / "top" / "a").mkdir(parents=True)
    (tmp_path / "top" / "a" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "top" / "file").symlink_to(tmp_path / "outside" / "file")
    (tmp_path / "top" / "b\udcff\n").mkdir()
    os.mkfifo(tmp_path / "top" / "fifo")
    remove_tree(tmp_path / "top")
    assert not (tmp_path / "top").exists()
    assert (tmp_path / "outside" / "file").read_text() == "kept"


def test_two_may_remove_one_tree(tmp_path: Path) -> None:
    top = tmp_path / "top"
    for number in range(200):
        (top / f"{number % 7}" / f"{number % 11}" / f"{number}").mkdir(parents=True)
        (top / f"{number % 7}" / f"file{number}").write_text("x")
    problems: list[BaseException] = []

    def work() -> None:
        try:
            remove_tree(top)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert not top.exists()


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")
    assert names(tmp_path) == []


def test_a_write_that_fails_leaves_the_old_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "old").write_text("old")
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "file", b"new")
    assert names(tmp_path) == ["file"]
    write_whole(tmp_path / "file" / "old", b"new")
    assert (tmp_path / "file" / "old").read_bytes() == b"new"


def test_a_lock_is_held_by_one_at_a_time_and_waiting_for_it_ends(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with held(lock), pytest.raises(BusyError, match="held by another"), held(lock, patience=0.02):
        raise AssertionError("two hold it")
    with held(lock):
        assert lock.exists()
