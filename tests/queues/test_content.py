"""The store by content: the same work gives the same hash, and nothing that may not be in a submission gets in."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.queues import content
from reconciler.queues.content import LEFT_OUT, InvalidSubmissionError, check_name, keep, survey


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    (made / "deep" / "er").mkdir(parents=True)
    (made / "run.sh").write_text("echo hello\n")
    (made / "run.sh").chmod(0o755)
    (made / "deep" / "er" / "data é.bin").write_bytes(bytes(range(256)) * 5000)
    return made


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def files(folder: Path) -> dict[str, tuple[bytes, bool]]:
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): (path.read_bytes(), os.access(path, os.X_OK)) for path in found}


def kept(store: Path) -> list[str]:
    return sorted(path.name for path in store.iterdir() if path.name != content.INCOMING)


def test_what_is_kept_is_what_was_there(folder: Path, store: Path) -> None:
    digest = keep(folder, store)
    assert files(store / digest) == files(folder)
    assert kept(store) == [digest]
    assert list((store / content.INCOMING).iterdir()) == []


def test_the_same_work_is_kept_once_wherever_and_whenever_it_was_made(folder: Path, store: Path) -> None:
    digest = keep(folder, store)
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    inode = (store / digest).stat().st_ino
    assert keep(other, store) == digest
    assert ((store / digest).stat().st_ino, kept(store)) == (inode, [digest])


def test_what_is_there_already_needs_no_store_that_can_be_written(folder: Path, store: Path) -> None:
    digest = keep(folder, store)
    shutil.rmtree(store / content.INCOMING)
    (store / content.INCOMING).write_text("in the way of any copy")
    assert keep(folder, store) == digest


CHANGES: dict[str, Callable[[Path], object]] = {
    "a content": lambda folder: (folder / "run.sh").write_text("echo hullo\n"),
    "a mode": lambda folder: (folder / "run.sh").chmod(0o644),
    "a name": lambda folder: (folder / "run.sh").rename(folder / "ran.sh"),
    "a place": lambda folder: (folder / "run.sh").rename(folder / "deep" / "run.sh"),
    "a new file": lambda folder: (folder / "empty").write_text(""),
    "one file less": lambda folder: (folder / "run.sh").unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_other_work_has_another_hash(folder: Path, store: Path, change: Callable[[Path], object]) -> None:
    before = keep(folder, store)
    change(folder)
    after = keep(folder, store)
    assert after != before
    assert files(store / after) == files(folder)


names = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/"), min_size=1, max_size=8)
trees = st.dictionaries(st.tuples(st.sampled_from("abc"), names.filter(lambda n: n not in {".", ".."})), st.binary())


@settings(max_examples=40, deadline=None)
@given(one=trees, two=trees)
def test_hashes_are_equal_exactly_when_the_files_are(
    one: dict[tuple[str, str], bytes], two: dict[tuple[str, str], bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    room = tmp_path_factory.mktemp("trees")
    digests = []
    for number, tree in enumerate((one, two)):
        root = room / str(number)
        root.mkdir()
        for (folder, name), text in tree.items():
            (root / folder).mkdir(exist_ok=True)
            (root / folder / name).write_bytes(text)
        digests.append(keep(root, room / "store"))
        assert files(room / "store" / digests[-1]) == {
            name: found for name, found in files(root).items() if not LEFT_OUT & set(name.split("/"))
        }
    assert (digests[0] == digests[1]) == (files(room / "0") == files(room / "1"))


def test_what_tools_leave_behind_is_left_out(folder: Path, store: Path) -> None:
    before = keep(folder, store)
    for name in LEFT_OUT:
        (folder / "deep" / name).mkdir()
        (folder / "deep" / name / "file").write_text("x")
        os.mkfifo(folder / "deep" / name / "fifo")
    assert keep(folder, store) == before


def test_a_link_that_stays_inside_is_kept_as_what_it_means(folder: Path, store: Path) -> None:
    (folder / "link").symlink_to("deep/er/data é.bin")
    (folder / "deep" / "absolute").symlink_to(folder.resolve() / "run.sh")
    stored = store / keep(folder, store)
    assert (stored / "link").read_bytes() == (folder / "deep/er/data é.bin").read_bytes()
    assert not any(path.is_symlink() for path in stored.rglob("*"))
    assert os.access(stored / "deep" / "absolute", os.X_OK)


def as_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def deep(folder: Path, levels: int, name: str) -> None:
    handle = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=handle)
        inner = os.open(name, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
    os.close(handle)


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as made:
        made.truncate(size)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link that leads out": (
        lambda folder: (folder / "bad").symlink_to("/etc/passwd"),
        "bad is a link that leads out",
    ),
    "a link up": (lambda folder: (folder / "bad").symlink_to("../secret"), "bad is a link that leads out"),
    "a link to a folder": (lambda folder: (folder / "bad").symlink_to("deep"), "bad is a link to a folder"),
    "a link to its own folder": (lambda folder: (folder / "bad").symlink_to("."), "bad is a link to a folder"),
    "a link to nothing": (lambda folder: (folder / "bad").symlink_to("nothing"), "bad cannot be read"),
    "a link to itself": (lambda folder: (folder / "bad").symlink_to("bad"), "bad "),
    "a FIFO": (lambda folder: os.mkfifo(folder / "bad"), "bad is not a regular file"),
    "a link to a FIFO": (
        lambda folder: (os.mkfifo(folder / "a"), (folder / "bad").symlink_to("a")),
        "a is not a regular file",
    ),
    "a socket": (lambda folder: as_socket(folder / "bad"), "bad is not a regular file"),
    "a device": (lambda folder: (folder / "bad").symlink_to("/dev/zero"), "bad is a link that leads out"),
    "a newline": (lambda folder: (folder / "b\nd").write_text(""), "control character"),
    "an escape": (lambda folder: (folder / "deep" / "b\x1b[2Jd").write_text(""), "control character"),
    "no UTF-8": (lambda folder: (folder / os.fsdecode(b"b\xff")).write_text(""), "control character"),
    "a folder's name": (lambda folder: (folder / "b\x7fd").mkdir(), "control character"),
    "a long path": (lambda folder: deep(folder, 5, "x" * 250), "longer than 1000 bytes"),
    "a deep path": (lambda folder: deep(folder, 200, "x"), "nested more than 100 folders deep"),
    "a giant": (lambda folder: sparse(folder / "bad", 1024**3 + 1), "larger than 1 GiB"),
    "giants together": (lambda folder: [sparse(folder / f"bad{n}", 2**29) for n in range(3)], "larger than 1 GiB"),
}


@pytest.mark.parametrize(("make", "says"), BAD.values(), ids=BAD.keys())
def test_what_may_not_be_in_a_submission_is_named(
    folder: Path, store: Path, make: Callable[[Path], object], says: str
) -> None:
    (folder.parent / "secret").write_text("secret")
    make(folder)
    with pytest.raises(InvalidSubmissionError) as refusal:
        keep(folder, store)
    assert says in str(refusal.value)
    assert str(refusal.value).isprintable()
    assert not store.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="makes a device, which takes root")
def test_a_device_is_refused(folder: Path, store: Path) -> None:
    os.mknod(folder / "bad", 0o20600, os.makedev(1, 5))
    with pytest.raises(InvalidSubmissionError, match="bad is not a regular file"):
        keep(folder, store)


def test_too_many_files_are_refused(folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MOST_FILES", 100)
    for number in range(98):
        (folder / f"{number}").write_text("")
    assert len(list(survey(folder))) == 100
    (folder / "one more").write_text("")
    with pytest.raises(InvalidSubmissionError, match="more than 100 files"):
        keep(folder, store)


@pytest.mark.parametrize("what", ["nothing", "file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, store: Path, what: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSubmissionError, match=what):
        keep(tmp_path / what, store)


def test_what_is_put_in_a_file_s_place_after_the_check_is_not_read(
    folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = folder.parent / "outside"
    (outside / "er").mkdir(parents=True)
    (outside / "er" / "data é.bin").write_text("secret")

    def swapped(folder_: Path) -> "list[content.File]":
        found = list(survey(folder_))
        shutil.move(folder / "deep", folder.parent / "moved")
        (folder / "deep").symlink_to(outside)
        return found

    monkeypatch.setattr(content, "survey", swapped)
    with pytest.raises(InvalidSubmissionError, match="not a regular file of the folder"):
        keep(folder, store)
    assert not store.exists()


def test_a_file_that_grows_while_it_is_read_is_refused(
    folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = list(survey(folder))
    monkeypatch.setattr(content, "survey", lambda _: found)
    monkeypatch.setattr(content, "MOST_BYTES", 3_000_000)
    sparse(folder / "run.sh", 3_000_000)
    with pytest.raises(InvalidSubmissionError, match="larger than 1 GiB"):
        keep(folder, store)


def test_a_store_that_cannot_be_written_is_not_the_submission_s_fault(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        keep(folder, tmp_path / "file" / "store")


def test_a_failing_disk_leaves_nothing_behind(folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keep(folder, store)
    assert kept(store) == []
    assert list((store / content.INCOMING).iterdir()) == []


def test_copies_that_were_cut_short_long_ago_are_removed(folder: Path, store: Path) -> None:
    for name, age in (("old", content.ABANDONED + 60), ("new", 60.0)):
        (store / content.INCOMING / name).mkdir(parents=True)
        os.utime(store / content.INCOMING / name, (time.time() - age,) * 2)
    keep(folder, store)
    assert [path.name for path in (store / content.INCOMING).iterdir()] == ["new"]


@pytest.mark.real
def test_a_kill_at_any_moment_leaves_whole_submissions_only(folder: Path, store: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from reconciler.queues.content import keep; "
        "print('go', flush=True); keep(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    for number in range(30):
        (folder / f"file{number}").write_bytes(b"x" * 100_000)
    for delay in (0.0, 0.001, 0.003, 0.006, 0.01, 0.02):
        process = subprocess.Popen([sys.executable, "-c", program, str(folder), str(store)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.kill()
        process.communicate()
        assert all(files(store / name) == files(folder) for name in (kept(store) if store.exists() else []))
    digest = keep(folder, store)
    assert files(store / digest) == files(folder)


@pytest.mark.parametrize("name", ["a", "A9", "run_1.2+x-y", "x" * 100, "a..b"])
def test_good_names(name: str) -> None:
    check_name(name)
    assert Path(name).name == name


@pytest.mark.parametrize(
    "name",
    ["", "a/b", "/a", "..", ".", ".a", "-a", "_a", "a\nb", "a\n", "a\x00b", "a\x1b[2J", "a b", " a", "a$b", "a;b",
     "a`b", "a'b", 'a"b', "a|b", "a&b", "a>b", "a*b", "a?b", "a[b", "a(b", "a{b", "a~b", "a\\b", "a!b", "a#b", "a%b",
     "é", "①", "x" * 101, "x" * 300, "a\udcff"],
)  # fmt: skip
def test_bad_names_are_refused_in_words_for_people(name: str) -> None:
    with pytest.raises(InvalidSubmissionError) as refusal:
        check_name(name)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 250
