"""How words reach a machine: the little that the agent's Python side needs, so that a new way in is one small class."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Protocol

from attrs import frozen


@frozen
class Result:
    """What a command on the machine came to."""

    code: int
    stdout: bytes
    stderr: bytes


class CommandFailedError(Exception):
    """A command that was streamed ended with another status than 0."""

    def __init__(self, code: int, stderr: bytes) -> None:
        super().__init__(f"status {code}: {stderr.decode(errors='replace').strip()}")
        self.code = code
        self.stderr = stderr


class Transport(Protocol):
    """Runs commands in the machine's home. Arguments arrive as they are given: no shell sees them on the way.

    Raises UnreachableError where the machine does not answer. A command whose caller is cancelled or gone is ended.
    """

    @property
    def host_key(self) -> str:
        """The key that the machine last answered under, as `algorithm base64`; empty where it has none."""
        ...

    async def run(
        self, argv: Sequence[str], *, stdin: AsyncIterator[bytes] | bytes = b"", timeout: float = 60.0
    ) -> Result:
        """Run a command to its end, within `timeout` seconds. It need not read all of `stdin`."""
        ...

    def stream(self, argv: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """The output of a command as it comes. Raises CommandFailedError at the end if its status is not 0."""
        ...

    async def close(self) -> None:
        """Let go of connections and local processes."""
        ...
