"""Words to a machine by SSH: one open connection, reopened when it is lost, and never to a changed host key."""

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import asyncssh
from attrs import evolve

from reconciler.hosts.base import UnreachableError
from reconciler.hosts.ssh_command import PACKET, WINDOW, Command, command_line, ending_line
from reconciler.hosts.ssh_keys import written
from reconciler.hosts.ssh_way import OtherKeyError, Way, login
from reconciler.hosts.transport import CommandFailedError, Result

AT_ONCE = 8  # commands on one connection: OpenSSH allows 10, of which some may be on their way out
_IN_BULK = 5  # … of which so many may move files: reports find a place beside any number of uploads
_ENDING = 10.0  # seconds for a command to be ended
_LONGEST_PAUSE = 30.0  # seconds between two tries to reach a machine
_FULL_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)  # seconds to wait for a place among the connection's commands

Connection = asyncssh.SSHClientConnection


class SshTransport:
    """Runs commands over one connection, opened when first used. One object a machine: it remembers the host's key.

    A machine whose key is not known is believed at first use. One that shows another key later gets nothing more from
    this object. A lost connection is opened again; between failures it waits, and fails at once meanwhile.
    """

    def __init__(
        self,
        way: Way,
        *,
        handshakes: asyncio.Semaphore,
        trusted: Callable[[], Awaitable[Sequence[str]]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        home: Path | None = None,
        log_in: Callable[..., Awaitable[Connection]] = login,
    ) -> None:
        """`handshakes`: how many log in at a time, over all machines; `trusted`: asks the machine's cloud for its host
        keys, each `algorithm base64`, none where it cannot say; `clock` tells seconds; `home` is whose ~/.ssh it is;
        `log_in` opens a connection, as `login` does.
        """
        self._way = way
        self._bastion_key = ""
        self._handshakes = handshakes
        self._trusted = trusted
        self._clock = clock
        self._home = home or Path("~").expanduser()
        self._log_in = log_in
        self._attempt: asyncio.Task[Connection] | None = None
        self._places = asyncio.Semaphore(AT_ONCE)
        self._bulk = asyncio.Semaphore(_IN_BULK)
        self._live: list[Connection] = []  # the machine's, then its bastion's
        self._distrust = ""  # why nothing more is sent
        self._failure = ""  # why it was not reached the last time
        self._failures = 0  # in a row
        self._not_before = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def host_key(self) -> str:
        """The key that the machine must show, as `algorithm base64`; empty before it is known."""
        return self._way.host_key

    async def open(self) -> None:
        """Connect now, rather than with the first command. Raises UnreachableError."""
        await self._connection()

    async def run(
        self, argv: Sequence[str], *, stdin: AsyncIterator[bytes] | bytes = b"", timeout: float = 60.0
    ) -> Result:
        """Run a command to its end. Raises UnreachableError when the machine cannot be reached or the time is over."""
        try:
            async with asyncio.timeout(timeout):
                return await self._run(argv, stdin)
        except TimeoutError as error:
            raise UnreachableError(f"{self._way.name} did not answer in {timeout:g} s") from error

    async def stream(self, argv: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """The output of a command as it comes; a machine whose output is not taken has to wait."""
        async with self._bulk, self._places:
            channel, command, connection = await self._begin(argv, with_input=False, whole=False)
            try:
                async for piece in command.pieces():
                    yield piece
                if code := self._status(command):
                    raise CommandFailedError(code, command.stderr)
            finally:
                self._leave(channel, command, connection)

    async def close(self) -> None:
        """Let go of the connection. What was detached on the machine goes on."""
        going = [*self._tasks, *([self._attempt] if self._attempt else [])]
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        await self._drop()

    async def _drop(self) -> None:
        live, self._live = self._live, []
        for connection in live:
            connection.abort()
            await connection.wait_closed()

    async def _run(self, argv: Sequence[str], stdin: AsyncIterator[bytes] | bytes) -> Result:
        async with self._bulk if stdin != b"" else contextlib.nullcontext(), self._places:
            channel, command, connection = await self._begin(argv, with_input=stdin != b"", whole=True)
            try:
                if stdin != b"":
                    await _feed(channel, command, stdin)
                stdout = await command.answer()
                return Result(self._status(command), stdout, command.stderr)
            finally:
                self._leave(channel, command, connection)

    async def _begin(
        self, argv: Sequence[str], *, with_input: bool, whole: bool
    ) -> tuple[asyncssh.SSHClientChannel[bytes], Command, Connection]:
        line = command_line(argv, with_input=with_input)
        make = functools.partial(Command, named=with_input, whole=whole)
        for pause in (*_FULL_PAUSES, None):
            connection = await self._connection()
            try:
                channel, command = await _opened(connection, make, line, self._leave)
            except asyncssh.ChannelOpenError as error:
                # Nothing has begun yet: on a connection that was lost unnoticed, or with no place, it is asked again.
                if pause is None:
                    raise UnreachableError(f"{self._way.name} runs no command: {error.reason}") from error
                if not connection.is_closed():
                    await asyncio.sleep(pause)
            except (asyncssh.Error, OSError) as error:
                raise UnreachableError(f"the connection to {self._way.name} was lost") from error
            else:
                return channel, command, connection
        raise AssertionError("the last pause is None")

    def _status(self, command: Command) -> int:
        """How it ended. Raises UnreachableError for one that did not say."""
        if command.code is None:
            self._failed("the connection was lost")
            raise UnreachableError(f"the connection to {self._way.name} was lost")
        self._failures = 0
        return command.code

    def _leave(self, channel: asyncssh.SSHClientChannel[bytes], command: Command, connection: Connection) -> None:
        """End a command that is still there: one with a lifeline by closing its channel, another by its pid."""
        if command.over:
            return
        if not (command.named and command.listens):
            channel.abort()
            return
        task = asyncio.ensure_future(_end(connection, channel, command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self) -> Connection:
        """The open connection. Raises UnreachableError. Whoever is cancelled meanwhile does not end others' attempt."""
        if self._distrust:
            raise UnreachableError(self._distrust)
        if self._attempt is None:
            if self._live and not self._live[0].is_closed():
                return self._live[0]
            wait = self._not_before - self._clock()
            if wait > 0:
                raise UnreachableError(f"{self._failure}; tried again in {wait:.0f} s")
            self._attempt = asyncio.ensure_future(self._reach())
            self._attempt.add_done_callback(self._attempted)
        return await asyncio.shield(self._attempt)

    def _attempted(self, attempt: "asyncio.Task[Connection]") -> None:
        self._attempt = None
        if not attempt.cancelled():
            attempt.exception()  # seen here, for nobody may be waiting any more

    async def _reach(self) -> Connection:
        await self._drop()
        try:
            async with self._handshakes:
                return await self._open()
        except OtherKeyError as error:
            # A file of known hosts can be corrected; a key that this object has seen cannot.
            if self._way.host_key:
                self._distrust = str(error)
            self._failed(str(error))
            raise UnreachableError(str(error)) from error
        except UnreachableError as error:
            self._failed(str(error))
            raise

    async def _open(self) -> Connection:
        bastion = self._way.bastion()
        if bastion is not None:
            pinned = (self._bastion_key,) if self._bastion_key else ()
            tunnel = await self._log_in(bastion, believed=pinned, tunnel=None, home=self._home)
            self._live = [tunnel]
            self._bastion_key = _shown(tunnel)
        believed: Sequence[str] = (self._way.host_key,) if self._way.host_key else ()
        try:
            connection = await self._logged_in(believed)
            self._live.insert(0, connection)
            if not believed and self._way.known_hosts is None and self._trusted is not None:
                connection = await self._told(connection, await self._trusted())
        except BaseException:
            await self._drop()
            raise
        self._way = evolve(self._way, host_key=_shown(connection))
        return connection

    async def _logged_in(self, believed: Sequence[str]) -> Connection:
        return await self._log_in(
            self._way, believed=believed, tunnel=self._live[0] if self._live else None, home=self._home
        )

    async def _told(self, connection: Connection, keys: Sequence[str]) -> Connection:
        """A connection under one of the keys that the cloud tells, where it tells any.

        It is asked when the machine answers, once, and not at every try while it boots; no command was sent before.
        """
        if not keys or _shown(connection) in keys:
            return connection
        self._live.remove(connection)
        connection.abort()
        await connection.wait_closed()
        connection = await self._logged_in(tuple(keys))
        self._live.insert(0, connection)
        return connection

    def _failed(self, why: str) -> None:
        """Remember a failure. After the first, a connection is opened again at once."""
        self._failures += 1
        self._failure = why
        pause = min(_LONGEST_PAUSE, 2.0 ** (self._failures - 2)) if self._failures > 1 else 0.0
        self._not_before = self._clock() + pause


async def _opened(
    connection: Connection,
    make: Callable[[], Command],
    line: str,
    leave: Callable[[asyncssh.SSHClientChannel[bytes], Command, Connection], None],
) -> tuple[asyncssh.SSHClientChannel[bytes], Command]:
    """A new command. One that is not waited for any more is left as soon as it is there, and so ends."""

    def left(opening: "asyncio.Future[Any]") -> None:
        if not opening.cancelled() and opening.exception() is None:
            channel, command = opening.result()
            leave(channel, command, connection)

    opening = asyncio.ensure_future(
        connection.create_session(make, line, encoding=None, window=WINDOW, max_pktsize=PACKET)
    )
    try:
        channel, command = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(left)
        raise
    assert isinstance(command, Command)
    return channel, command


async def _feed(
    channel: asyncssh.SSHClientChannel[bytes], command: Command, stdin: AsyncIterator[bytes] | bytes
) -> None:
    """Send what comes, as fast as the host takes it. A command that has read enough may be over."""
    pieces = _once(stdin) if isinstance(stdin, bytes) else stdin
    async for piece in pieces:
        await command.writable()
        if not command.listens:
            return
        with contextlib.suppress(OSError):
            channel.write(piece)
    await command.writable()
    if command.listens:
        with contextlib.suppress(OSError):
            channel.write_eof()


async def _once(piece: bytes) -> AsyncIterator[bytes]:
    yield piece


async def _end(connection: Connection, channel: asyncssh.SSHClientChannel[bytes], command: Command) -> None:
    """End a command by its pid, once it has said it, by another command on its connection."""
    try:
        with contextlib.suppress(asyncssh.Error, OSError, TimeoutError):
            async with asyncio.timeout(_ENDING):
                await command.said_pid()
                if command.pid is not None:
                    await connection.run(ending_line(command.pid))
    finally:
        channel.abort()


def _shown(connection: Connection) -> str:
    key = connection.get_server_host_key()
    return written(key) if key is not None else ""
