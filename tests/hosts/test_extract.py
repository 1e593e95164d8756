"""What a host could send: archives that lie, that end early, that never end. Nothing of it leaves the new folder."""

import asyncio
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reconciler.hosts.base import UnreachableError, UnstorableError
from reconciler.hosts.extract import Home, extract
from reconciler.model.job import Collected, OutputLimits
from tests.hosts.machines import run


def _member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "", job: str = "a") -> bytes:
    info = tarfile.TarInfo(f"{job}/{name}")
    info.type, info.linkname, info.size = kind, link, len(content)
    return info.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape") + content + bytes(-len(content) % 512)


LOG = _member("log", b"said\n")
END = bytes(1024)
OVER = _member("exit", b"a exited - 0 1 2 -\n" + b" " * 100)
REFUSED = _member("refused", b"out/x: a link\n") + OVER


async def _pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        await asyncio.sleep(0)
        yield data[at : at + size]


def _extract(data: bytes, into: Path, size: int = 700, **limits: int) -> Collected:
    (collected,) = run(extract(_pieces(data, size), {"a": Home(into, OutputLimits(**limits))}))
    return collected


@pytest.mark.parametrize("size", [1, 511, 4096, 10**6])
def test_archives_one_after_another_are_one(tmp_path: Path, size: int) -> None:
    data = LOG + END + _member("work/a/b", b"1" * 600) + END + _member("work/c", b"2") + END + REFUSED + END
    got = _extract(data, tmp_path / "into", size)
    assert (got.outputs, got.refused, got.bytes) == (("a/b", "c"), ("out/x: a link",), 601)
    assert (tmp_path / "into/a/b").read_bytes() == b"1" * 600


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (_member("work/../evil", b"x"), "leads elsewhere"),
        (_member("work//etc/evil", b"x"), "leads elsewhere"),
        (_member("work/a/../../evil", b"x"), "leads elsewhere"),
        (_member("work/link", kind=tarfile.SYMTYPE, link="/etc/passwd"), "not a regular file"),
        (_member("work/hard", kind=tarfile.LNKTYPE, link="/etc/passwd"), "no output"),
        (_member("work/hard", kind=tarfile.LNKTYPE, link="a/log"), "no output"),
        (_member("work/device", kind=tarfile.CHRTYPE), "not a regular file"),
        (_member("work/fifo", kind=tarfile.FIFOTYPE), "not a regular file"),
        (_member("work/folder", kind=tarfile.DIRTYPE), "not a regular file"),
        (_member("work/log", b"x"), "taken by the job's log"),
        (_member("work/log/x", b"x"), "taken by the job's log"),
        (_member("work/esc\x1b[2J", b"x"), "control character"),
        (_member("work/csi\x9b2J", b"x"), "control character"),
        (_member("work/bad\udcff", b"x"), "not UTF-8"),
        (_member("work/ok", b"again"), "two of that name"),
        (_member("work/ok/below", b"x"), "collides"),
        (_member("work/" + "n" * 300, b"x"), "cannot have a file of that name"),
        (_member("work/big", b"x" * 2000), "over the limit of 1000 bytes"),
    ],
)
def test_what_may_not_come_in_is_refused_and_the_rest_comes(tmp_path: Path, member: bytes, why: str) -> None:
    data = LOG + _member("work/ok", b"1") + member + _member("work/later", b"2") + END + OVER + END
    got = _extract(data, tmp_path / "into", bytes=1000)
    assert got.outputs == ("later", "ok")
    assert len(got.refused) == 1
    assert why in got.refused[0]
    assert got.refused[0].isprintable()
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"log", "ok", "later"}


def test_more_files_than_agreed_are_refused(tmp_path: Path) -> None:
    data = LOG + b"".join(_member(f"work/{number}", b"x") for number in range(300)) + END + OVER + END
    got = _extract(data, tmp_path / "into", files=3)
    assert len(got.outputs) == 3
    assert len(got.refused) == 101


@pytest.mark.parametrize(
    "data",
    [
        b"",
        LOG + END,
        LOG + _member("work/a", b"1" * 2000)[:-700],
        LOG + _member("work/a", b"1"),
        b"Welcome to this machine!\n" * 100,
        REFUSED + END,
        LOG + _member("etc/passwd", b"x") + REFUSED + END,
        LOG + _member("../b/log", b"x") + REFUSED + END,
        _member("log", b"x", job="b") + _member("refused", job="b") + END,
    ],
    ids=["nothing", "log only", "within a file", "no end", "a banner", "no log", "asked by nobody", "a way out",
         "another's"],
)  # fmt: skip
def test_what_is_cut_off_or_makes_no_sense_is_no_answer(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UnreachableError):
        _extract(data, tmp_path / "into")
    assert not (tmp_path / "into").exists()  # so that another try finds nothing in its way


def test_what_several_jobs_send_goes_to_the_folder_of_each(tmp_path: Path) -> None:
    ones = LOG + _member("work/x", b"1") + _member("work/y", kind=tarfile.LNKTYPE, link="a/work/x") + REFUSED
    others = _member("log", b"other\n", job="b")
    others += _member("work/x", b"2", job="b") + _member("exit", b"b killed request - - 2 -\n", job="b")
    one, other = run(extract(_pieces(ones + END + others + END, 700), _homes(tmp_path)))
    assert (one.outputs, one.refused, other.outputs, other.refused) == (("x", "y"), ("out/x: a link",), ("x",), ())
    assert [(tmp_path / job / "x").read_text() for job in "ab"] == ["1", "2"]
    assert other.log.read_text() == "other\n"


def _homes(folder: Path) -> dict[str, Home]:
    return {job: Home(folder / job, OutputLimits()) for job in "ab"}


def test_a_folder_that_cannot_be_made_is_our_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnstorableError, match="cannot write"):
        _extract(LOG + REFUSED + END, tmp_path / "file/into")


def test_a_collection_can_be_cancelled_while_the_host_is_silent(tmp_path: Path) -> None:
    steps: list[str] = []

    async def silent() -> AsyncIterator[bytes]:
        try:
            yield LOG
            steps.append("silent")
            await asyncio.Event().wait()
        finally:
            steps.append("ended")

    async def story() -> None:
        work = asyncio.ensure_future(extract(silent(), {"a": Home(tmp_path / "into", OutputLimits())}))
        while not steps:
            await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    run(story())
    assert steps == ["silent", "ended"]
