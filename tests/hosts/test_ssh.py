"""The way in by ssh: what arrives, what is ended, how it is reopened; against a real OpenSSH server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from reconciler.hosts.agent import AgentHost
from reconciler.hosts.base import HostRefusedError, UnreachableError
from reconciler.hosts.ssh import AT_ONCE, SshTransport
from reconciler.hosts.transport import CommandFailedError
from reconciler.model.job import Job, Report
from tests.hosts.machines import run, ssh_host, ssh_transport, ssh_way
from tests.machines.sshd import SshMachine, machine, need_machines

WORDS = ["a b", "$(id)", "`id`", "'", '"', "", "*", "\n", "a\nb\n", "-e", "\\", "!", "~", "$HOME", ";", "&", "ž", "#"]


@pytest.fixture
def there(tmp_path: Path) -> Iterator[SshMachine]:
    need_machines()
    with machine(folder=tmp_path / "machine") as made:
        yield made


@pytest.fixture
def transport(there: SshMachine) -> Iterator[SshTransport]:
    made = ssh_transport(there)
    yield made
    run(made.close())


async def _gone(there: SshMachine, *words: str) -> None:
    """Returns once no command of these words is left on the machine; pytest's own time limit is the only one."""
    while any(all(word in line for word in words) for line in there.commands()):
        await asyncio.sleep(0.01)


async def _there(there: SshMachine, word: str) -> None:
    while not any(word in line for line in there.commands()):
        await asyncio.sleep(0.01)


async def _answer(transport: SshTransport, *argv: str) -> bytes:
    """What a command says, over a connection that may have been lost unnoticed."""
    while True:
        try:
            return (await transport.run(argv)).stdout
        except UnreachableError:
            await asyncio.sleep(0.01)


async def _report(host: AgentHost) -> Report:
    while True:
        try:
            return await host.report()
        except UnreachableError:
            await asyncio.sleep(0.01)


def test_arguments_arrive_as_they_are(transport: SshTransport) -> None:
    script = 'for word; do printf "%s\\0" "$word"; done'
    result = run(transport.run(["sh", "-c", script, "sh", *WORDS]))
    assert result.stdout.decode().split("\0")[:-1] == WORDS
    with_input = run(transport.run(["sh", "-c", f"cat; {script}", "sh", *WORDS], stdin=b"in\0"))
    assert with_input.stdout.decode().split("\0")[:-1] == ["in", *WORDS]


def test_status_and_errors_are_told(transport: SshTransport) -> None:
    result = run(transport.run(["sh", "-c", "cat; echo bad >&2; exit 9"], stdin=b"in"))
    assert (result.code, result.stdout, result.stderr) == (9, b"in", b"bad\n")
    result = run(transport.run(["sh", "-c", "echo bad >&2; exit 9"]))
    assert (result.code, result.stdout, result.stderr) == (9, b"", b"bad\n")
    assert run(transport.run(["sh", "-c", "kill -9 $$"])).code == 137
    assert run(transport.run(["/no/such/program"])).code == 127


def test_a_command_sees_neither_a_terminal_nor_our_environment(
    transport: SshTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere")
    result = run(transport.run(["sh", "-c", "env; [ -t 0 ] || [ -t 1 ] || echo no terminal"]))
    assert b"hunter2" not in result.stdout
    assert b"SSH_AUTH_SOCK" not in result.stdout
    assert b"no terminal" in result.stdout


def test_a_command_need_not_read_what_it_is_sent(transport: SshTransport) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(1_000_000)

    assert run(transport.run(["sh", "-c", "echo enough"], stdin=endless())).stdout == b"enough\n"


def test_what_is_sent_arrives_whole_and_waits_for_a_slow_reader(transport: SshTransport) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(40):
            yield bytes([number]) * 1_000_000

    result = run(transport.run(["sh", "-c", "sleep 0.3; wc -c"], stdin=pieces()))
    assert int(result.stdout) == 40_000_000


def test_what_goes_wrong_with_our_own_input_is_told_as_it_is(there: SshMachine, transport: SshTransport) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise HostRefusedError("cannot read it")

    async def story() -> None:
        with pytest.raises(HostRefusedError, match="cannot read it"):
            await transport.run(["sh", "-c", "cat; sleep 1000"], stdin=broken())
        await _gone(there, "sleep", "1000")

    run(story())


@pytest.mark.parametrize("stdin", [b"", b"some"], ids=["no-input", "input"])
def test_no_answer_in_time_is_unreachable_and_leaves_nothing(
    there: SshMachine, transport: SshTransport, stdin: bytes
) -> None:
    async def story() -> None:
        with pytest.raises(UnreachableError, match=r"did not answer in 0\.5 s"):
            await transport.run(["sh", "-c", "cat >/dev/null; sleep 1001; :"], stdin=stdin, timeout=0.5)
        await _gone(there, "1001")

    run(story())


@pytest.mark.parametrize("stdin", [b"", b"some"], ids=["no-input", "input"])
def test_a_cancelled_command_is_ended(there: SshMachine, transport: SshTransport, stdin: bytes) -> None:
    async def story() -> None:
        script = "trap '' TERM HUP INT; cat >/dev/null; sleep 1002; :"
        work = asyncio.ensure_future(transport.run(["sh", "-c", script], stdin=stdin))
        await _there(there, "sleep 1002")
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await _gone(there, "1002")
        assert (await transport.run(["echo", "on"])).stdout == b"on\n"

    run(story())


def test_a_command_whose_caller_is_gone_is_ended(there: SshMachine, transport: SshTransport) -> None:
    async def story() -> None:
        work = asyncio.ensure_future(transport.run(["sh", "-c", "sleep 1003; :"]))
        await _there(there, "sleep 1003")
        there.drop_connections()
        with pytest.raises(UnreachableError, match="was lost"):
            await work
        await _gone(there, "1003")

    run(story())


def test_what_a_command_left_behind_in_a_session_of_its_own_goes_on(there: SshMachine, transport: SshTransport) -> None:
    async def story() -> None:
        await transport.run(["sh", "-c", "setsid sleep 1004 </dev/null >/dev/null 2>&1 &"])
        await transport.close()
        await _there(there, "sleep 1004")

    run(story())


def test_a_stream_says_at_its_end_that_it_failed(transport: SshTransport) -> None:
    async def read() -> None:
        stream = transport.stream(["sh", "-c", "echo some; echo why >&2; exit 3"])
        assert await anext(stream) == b"some\n"
        with pytest.raises(CommandFailedError, match="status 3: why"):
            await anext(stream)

    run(read())


def test_a_stream_that_is_left_ends_its_command(there: SshMachine, transport: SshTransport) -> None:
    async def read() -> None:
        async with aclosing(transport.stream(["sh", "-c", "echo on; sleep 1005; :"])) as stream:
            assert await anext(stream) == b"on\n"
        await _gone(there, "1005")

    run(read())


def test_a_stream_that_nobody_reads_makes_its_host_wait(there: SshMachine, transport: SshTransport) -> None:
    async def read() -> None:
        script = "head -c 40000000 /dev/zero; : > ~/written"
        async with aclosing(transport.stream(["sh", "-c", script])) as stream:
            await anext(stream)
            for _ in range(100):  # commands that come and go meanwhile: the connection is not stuck
                await transport.run(["true"])
            assert not (there.home / "written").exists()
            assert 1 + sum([1 async for _ in stream]) > 1
        assert (there.home / "written").exists()

    run(read())


def test_an_answer_without_end_is_refused(transport: SshTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.hosts.ssh_command.LONGEST_ANSWER", 100_000)
    with pytest.raises(UnreachableError, match="more than 100000 bytes"):
        run(transport.run(["cat", "/dev/zero"]))
    assert run(transport.run(["echo", "on"])).stdout == b"on\n"


def test_more_commands_than_a_connection_has_sessions_take_turns(there: SshMachine, transport: SshTransport) -> None:
    async def story() -> None:
        work = [transport.run(["sh", "-c", f"sleep 0.05; echo {number}"]) for number in range(60)]
        results = await asyncio.gather(*work)
        assert [int(result.stdout) for result in results] == list(range(60))
        ended = [asyncio.ensure_future(transport.run(["sh", "-c", "sleep 1006; :"])) for _ in range(AT_ONCE)]
        await _there(there, "sleep 1006")
        for each in ended:
            each.cancel()
        await asyncio.gather(*ended, return_exceptions=True)
        assert (await transport.run(["echo", "on"])).stdout == b"on\n"

    run(story())


def test_any_number_of_transfers_leaves_room_for_words(transport: SshTransport) -> None:
    async def story() -> None:
        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield bytes(1000)
                await asyncio.sleep(0.01)

        uploads = [asyncio.ensure_future(transport.run(["cat"], stdin=endless())) for _ in range(12)]
        for _ in range(20):
            assert (await transport.run(["echo", "on"], timeout=20)).stdout == b"on\n"
        for upload in uploads:
            upload.cancel()
        await asyncio.gather(*uploads, return_exceptions=True)

    run(story())


def test_one_connection_serves_all_and_is_reopened_when_it_is_lost(there: SshMachine, transport: SshTransport) -> None:
    async def story() -> None:
        one = (await transport.run(["sh", "-c", "echo $PPID"])).stdout
        assert {(await transport.run(["sh", "-c", "echo $PPID"])).stdout for _ in range(3)} == {one}
        there.drop_connections()
        another = await _answer(transport, "sh", "-c", "echo $PPID")
        assert another != one

    run(story())


def test_a_machine_that_is_away_is_asked_less_and_less_often(there: SshMachine) -> None:
    now = 100.0
    transport = SshTransport(ssh_way(there), handshakes=asyncio.Semaphore(5), clock=lambda: now)
    there.stop()

    async def story() -> None:
        nonlocal now
        waits = []
        for _ in range(8):
            with pytest.raises(UnreachableError, match="cannot be reached: "):
                await transport.run(["true"])
            try:
                await transport.run(["true"])
            except UnreachableError as error:
                found = str(error).rpartition("tried again in ")[2].removesuffix(" s")
                waits.append(int(found) if found.isdecimal() else 0)
            now += 31
        assert waits == [0, 2, 4, 8, 16, 30, 30, 30]
        there.start()
        assert (await transport.run(["echo", "back"])).stdout == b"back\n"
        await transport.close()

    run(story())


def test_no_more_handshakes_than_allowed_at_a_time(there: SshMachine) -> None:
    class Counting(asyncio.Semaphore):
        now = most = 0

        async def acquire(self) -> bool:  # type: ignore[override]
            await super().acquire()
            self.now += 1
            self.most = max(self.most, self.now)
            return True

        def release(self) -> None:
            self.now -= 1
            super().release()

    async def story() -> None:
        handshakes = Counting(3)
        transports = [SshTransport(ssh_way(there), handshakes=handshakes) for _ in range(12)]
        results = await asyncio.gather(*(transport.run(["echo", "on"]) for transport in transports))
        assert {result.stdout for result in results} == {b"on\n"}
        assert handshakes.most == 3
        for transport in transports:
            await transport.close()

    run(story())


def test_a_silent_machine_is_unreachable_and_callers_may_leave(there: SshMachine, transport: SshTransport) -> None:
    async def story() -> None:
        there.cut()
        with pytest.raises(UnreachableError, match=r"did not answer in 0\.3 s"):
            await transport.run(["true"], timeout=0.3)
        there.heal()
        assert (await transport.run(["echo", "back"])).stdout == b"back\n"
        there.hang()
        with pytest.raises(UnreachableError, match=r"did not answer in 0\.3 s"):
            await transport.run(["true"], timeout=0.3)
        there.heal()
        assert (await transport.run(["echo", "back"])).stdout == b"back\n"

    run(story())


def test_a_job_outlives_its_connection_and_a_reboot_is_seen(there: SshMachine, tmp_path: Path) -> None:
    host = ssh_host(there)

    async def story() -> None:
        await host.install()
        boot = (await host.report()).boot_id
        assert boot == there.boot_id
        await host.start(Job(id="a", command="sleep 1007"), boot_id=boot)
        await host.close()
        assert not (await host.report()).jobs["a"].over
        there.reboot()
        report = await _report(host)
        assert report.boot_id != boot
        assert report.jobs["a"].state == "gone"
        with pytest.raises(HostRefusedError, match="another boot"):
            await host.start(Job(id="b", command="true"), boot_id=boot)
        await host.close()

    run(story())


def test_a_long_poll_wakes_when_a_job_ends(there: SshMachine) -> None:
    host = ssh_host(there)

    async def story() -> None:
        await host.install()
        boot = (await host.report()).boot_id
        await host.start(Job(id="a", command="while [ ! -e ~/go ]; do sleep 0.02; done"), boot_id=boot)
        before = await host.report()
        while before.jobs["a"].state != "running":
            before = await host.report(wait=50, mark=before.mark)
        poll = asyncio.ensure_future(host.report(wait=50, mark=before.mark))
        await _there(there, "--mark")
        (there.home / "go").touch()
        assert (await poll).jobs["a"].over  # the same poll: nothing but the job's end can have ended it
        await host.close()

    run(story())
