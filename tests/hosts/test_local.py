"""The way into a folder: what it lets through, and what it leaves behind when it is cut short."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from reconciler.hosts.base import HostRefusedError, UnreachableError
from reconciler.hosts.local import KEPT, LocalTransport, local_host
from reconciler.hosts.transport import CommandFailedError
from tests.hosts.machines import run, wait_for_the_end_of_group


@pytest.fixture
def transport(tmp_path: Path) -> LocalTransport:
    return LocalTransport(tmp_path, f"test-{uuid.uuid4()}")


def test_a_command_sees_nothing_of_our_environment(
    transport: LocalTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    result = run(LocalTransport(tmp_path, "m").run(["env"]))
    names = {line.split(b"=")[0] for line in result.stdout.splitlines()}
    assert names <= {name.encode() for name in (*KEPT, "HOME", "RECONCILER_MACHINE")}
    assert f"HOME={tmp_path}".encode() in result.stdout.splitlines()


def test_arguments_arrive_as_they_are(transport: LocalTransport) -> None:
    words = ["a b", "$(id)", "'", '"', "", "*", "\n", "-e"]
    result = run(transport.run(["sh", "-c", 'for word; do printf "%s\\0" "$word"; done', "sh", *words]))
    assert result.stdout.decode().split("\0")[:-1] == words


def test_status_and_errors_are_told(transport: LocalTransport) -> None:
    result = run(transport.run(["sh", "-c", "cat; echo bad >&2; exit 9"], stdin=b"in"))
    assert (result.code, result.stdout, result.stderr) == (9, b"in", b"bad\n")
    assert run(transport.run(["sh", "-c", "kill -9 $$"])).code == 137


def test_a_command_need_not_read_what_it_is_sent(transport: LocalTransport) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(1_000_000)

    assert run(transport.run(["sh", "-c", "echo enough"], stdin=endless())).stdout == b"enough\n"


def test_what_goes_wrong_with_our_own_input_is_told_as_it_is(transport: LocalTransport) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise HostRefusedError("cannot read it")

    with pytest.raises(HostRefusedError, match="cannot read it"):
        run(transport.run(["sh", "-c", "cat; sleep 1000"], stdin=broken()))


def test_no_answer_in_time_is_unreachable_and_leaves_nothing(transport: LocalTransport, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="did not answer"):
        run(transport.run(["sh", "-c", "echo $$ > pid; sleep 1000"], timeout=0.5))
    pid = int((tmp_path / "pid").read_text())
    wait_for_the_end_of_group(pid)


def test_a_folder_that_is_gone_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="No such file"):
        run(local_host(tmp_path / "gone", "m").report())


def test_a_stream_says_at_its_end_that_it_failed(transport: LocalTransport) -> None:
    async def read() -> None:
        stream = transport.stream(["sh", "-c", "echo some; echo why >&2; exit 3"])
        assert await anext(stream) == b"some\n"
        with pytest.raises(CommandFailedError, match="status 3: why"):
            await anext(stream)

    run(read())


def test_a_stream_that_is_left_ends_its_command(transport: LocalTransport, tmp_path: Path) -> None:
    async def read() -> None:
        stream = transport.stream(["sh", "-c", "echo $$ > pid; echo on; sleep 1000"])
        assert await anext(stream) == b"on\n"
        await stream.aclose()

    run(read())
    wait_for_the_end_of_group(int((tmp_path / "pid").read_text()))


def test_a_cancelled_command_is_ended(transport: LocalTransport, tmp_path: Path) -> None:
    async def story() -> None:
        work = asyncio.ensure_future(transport.run(["sh", "-c", "echo $$ > pid; sleep 1000"]))
        while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n")):
            await asyncio.sleep(0.01)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    run(story())
    wait_for_the_end_of_group(int((tmp_path / "pid").read_text()))


def test_a_command_that_says_more_than_anybody_reads_is_ended_all_the_same(tmp_path: Path) -> None:
    transport = LocalTransport(tmp_path, f"test-{uuid.uuid4()}")

    async def one_piece() -> int:
        async with asyncio.timeout(30), aclosing(transport.stream(["sh", "-c", "cat /dev/zero"])) as pieces:
            first = await anext(pieces)
            await asyncio.sleep(0.2)  # until asyncio has stopped listening
            return len(first)

    assert asyncio.run(one_piece()) > 0
