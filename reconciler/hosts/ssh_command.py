"""One command on an open SSH connection: what is sent as its words, and what comes back of it, bounded in memory.

The SSH protocol knows a command as one string, which the user's login shell reads: here, and nowhere else, words become
such a string. OpenSSH leaves a command alone when its channel closes, so each brings along what ends it.
"""

import asyncio
import re
import shlex
import signal
from collections import deque
from collections.abc import AsyncGenerator, Sequence

import asyncssh

from reconciler.hosts.base import UnreachableError

LONGEST_ANSWER = 64 * 1024**2  # bytes of a whole answer: more is nothing that an agent says
WINDOW = 8 * 1024**2  # bytes that a host may send before it hears from us
PACKET = 256 * 1024  # bytes in one packet, where the host agrees
_ENOUGH = 8 * 1024**2  # bytes that lie here unread, from which on the host has to wait
_LONGEST_COMPLAINT = 64 * 1024  # bytes of standard error that are kept

# For a command without input, its input is a lifeline: it ends with the channel, and the watcher, a fork of the shell
# and no new program, then ends the command's whole group (sshd makes each command the leader of one). A command that is
# over is not touched: its pid is not given away while the watcher is in its group.
_LIFELINE = (
    "exec 3<&0 </dev/null; { read -r x <&3; kill -s 0 $$ && { kill -s KILL -- -$$ || kill -s KILL $$; }; }"
    " >/dev/null 2>&1 & exec 3<&-; exec "
)
# One with input says first who it is, so that it can be ended by another command.
_NAMED = "echo $$ >&2; exec "
_PID = re.compile(rb"([0-9]{1,10})\n")


def command_line(argv: Sequence[str], *, with_input: bool) -> str:
    """The string that a POSIX login shell turns into exactly these words, and into what ends them."""
    return (_NAMED if with_input else _LIFELINE) + shlex.join(argv)


def ending_line(pid: int) -> str:
    """The string that ends a command that said its pid, with all that it started in its own group."""
    return f"kill -s KILL -- -{pid} || kill -s KILL {pid}"


class Command(asyncssh.SSHClientSession[bytes]):
    """What comes back of one command. Called by asyncssh, read by the transport."""

    def __init__(self, *, named: bool, whole: bool) -> None:
        """`named`: it says its pid first; `whole`: its answer is asked for in one piece."""
        self.code: int | None = None
        self.named = named
        self._whole = whole
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._complaint = bytearray()
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._paused = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._news = asyncio.Event()
        self._told = asyncio.Event()
        self._over = asyncio.Event()
        self.excess = False

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """A piece of its output, or of its complaints."""
        if datatype is not None:
            self._complaint += data[: _LONGEST_COMPLAINT - len(self._complaint)]
            self._told.set()
            return
        self._pieces.append(data)
        self._size += len(data)
        self._news.set()
        if self._whole:
            self.excess = self._size > LONGEST_ANSWER
            if self.excess:
                self._stop()
        elif self._size > _ENOUGH and not self._paused and self._channel is not None:
            self._paused = True
            self._channel.pause_reading()

    def eof_received(self) -> bool:
        """No more output. Its status may be still to come, and so the channel stays open."""
        return True

    def exit_status_received(self, status: int) -> None:
        """It is over."""
        self._ended(status)

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: ARG002
        """It was ended; told as a shell would tell it."""
        self._ended(128 + _number(signal))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the missing status says as much)
        """The channel is closed, for whatever reason."""
        for waited_for in (self._over, self._writable, self._news, self._told):
            waited_for.set()

    def pause_writing(self) -> None:
        """The host does not take more for now."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._writable.set()

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self._over.is_set()

    @property
    def listens(self) -> bool:
        """Whether there is still a command that may read what is sent."""
        return self.code is None and not self.over

    @property
    def pid(self) -> int | None:
        """Who it is on its host, once it has said so."""
        found = _PID.match(self._complaint) if self.named else None
        return int(found.group(1)) if found else None

    @property
    def stderr(self) -> bytes:
        """Its complaints."""
        return _PID.sub(b"", bytes(self._complaint), count=1) if self.named else bytes(self._complaint)

    async def said_pid(self) -> None:
        """Until a named command has said who it is, or is over."""
        while self.pid is None and not self.over:
            self._told.clear()
            await self._told.wait()

    async def writable(self) -> None:
        """Until the host takes more, or never will."""
        await self._writable.wait()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Its output as it comes, to the end. Packets that lie here already come as one: each handing on costs."""
        while True:
            while self._pieces:
                piece = b"".join(self._pieces)
                self._pieces.clear()
                self._size = 0
                if self._paused and self._channel is not None:
                    self._paused = False
                    self._channel.resume_reading()
                yield piece
            if self.over:
                return
            self._news.clear()
            await self._news.wait()

    async def answer(self) -> bytes:
        """All of its output. Raises UnreachableError when there is more than anybody asked for."""
        await self._over.wait()
        if self.excess:
            raise UnreachableError(f"the host sent more than {LONGEST_ANSWER} bytes where a short answer was asked for")
        return b"".join(self._pieces)

    def _ended(self, code: int) -> None:
        self.code = code
        self._writable.set()
        if self._channel is not None and not self._channel.is_closing():
            # A server that keeps input and output in one pipe waits for the watcher, which waits for this.
            self._channel.write_eof()

    def _stop(self) -> None:
        self._pieces.clear()
        if self._channel is not None:
            self._channel.abort()


def _number(name: str) -> int:
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        return 127
