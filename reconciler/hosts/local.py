"""The way into a machine that is a folder on this computer: its home is the folder, its jobs are our own processes."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

from reconciler.hosts.agent import AgentHost
from reconciler.hosts.base import UnreachableError
from reconciler.hosts.transport import CommandFailedError, Result

_PIECE = 256 * 1024
# What a machine sees of our own environment: where programs are, and the way to package indexes.
KEPT = ("PATH", "LANG", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
         "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL",
         "PIP_TRUSTED_HOST", "PIP_FIND_LINKS", "PIP_CERT", "PIP_CONFIG_FILE",
         "RECONCILER_CGROUPS")  # fmt: skip


def local_host(home: Path, machine: str, *, boot_id_file: Path | None = None) -> AgentHost:
    """A way into the machine `machine`, whose home is the folder `home`.

    The machine's name must be its own among all on this computer: its processes are told by it. `boot_id_file` holds
    the boot id of a machine that can be restarted; else it is this computer's.
    """
    return AgentHost(LocalTransport(home, machine, boot_id_file=boot_id_file), confined=True)


@contextlib.contextmanager
def watched_by_pidfd() -> Iterator[None]:
    """The running loop sees commands end without a thread for each: Python 3.11 does not do so by itself."""
    if sys.version_info >= (3, 12) or not _has_pidfd():
        yield
        return
    before, watcher = asyncio.get_child_watcher(), asyncio.PidfdChildWatcher()
    watcher.attach_loop(asyncio.get_running_loop())
    asyncio.set_child_watcher(watcher)
    try:
        yield
    finally:
        asyncio.set_child_watcher(before)


def _has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


class LocalTransport:
    """Runs commands in sessions of their own: neither our end nor Ctrl-C reaches what they leave behind."""

    host_key = ""  # a folder has none

    def __init__(self, home: Path, machine: str, *, boot_id_file: Path | None = None) -> None:
        self._home = home.absolute()
        self._environment = _environment(self._home, machine, boot_id_file)

    async def run(
        self, argv: Sequence[str], *, stdin: AsyncIterator[bytes] | bytes = b"", timeout: float = 60.0
    ) -> Result:
        """Run a command to its end. Raises UnreachableError when the folder is gone or the time is over."""
        process = await self._begin(argv, with_input=stdin != b"")
        try:
            async with asyncio.timeout(timeout):
                if isinstance(stdin, bytes):
                    stdout, stderr = await process.communicate(stdin or None)
                else:
                    stdout, stderr = await _communicate(process, stdin)
        except TimeoutError as error:
            raise UnreachableError(f"the machine in {self._home} did not answer in {timeout:g} s") from error
        finally:
            await _end(process)
        return Result(_status(process), stdout, stderr)

    async def stream(self, argv: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """The output of a command as it comes."""
        process = await self._begin(argv, with_input=False)
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.ensure_future(process.stderr.read())
        try:
            while piece := await process.stdout.read(_PIECE):
                yield piece
            await process.wait()
            if process.returncode:
                raise CommandFailedError(_status(process), await errors)
        finally:
            errors.cancel()
            await _end(process, unread=process.stdout)

    async def close(self) -> None:
        """Nothing is held between commands."""

    async def _begin(self, argv: Sequence[str], *, with_input: bool) -> Process:
        birth = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *argv,
                stdin=PIPE if with_input else DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                cwd=self._home,
                env=self._environment,
                start_new_session=True,
                limit=_PIECE,
            )
        )
        try:
            return await asyncio.shield(birth)
        except OSError as error:
            raise UnreachableError(f"the machine in {self._home} cannot be entered: {error.strerror}") from error
        except asyncio.CancelledError:
            # It may run already: asyncio alone would end its first process, and not what that one started.
            with contextlib.suppress(OSError):
                await _end(await birth)
            raise


def _environment(home: Path, machine: str, boot_id_file: Path | None) -> Mapping[str, str]:
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment |= {"HOME": str(home), "RECONCILER_MACHINE": machine}
    if boot_id_file is not None:
        environment["RECONCILER_BOOT_ID_FILE"] = str(boot_id_file.absolute())
    return environment


async def _communicate(process: Process, stdin: AsyncIterator[bytes]) -> tuple[bytes, bytes]:
    """Feed what comes while reading what is said. A command that has read enough may close its ear."""
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.TaskGroup() as group:
        stdout = group.create_task(process.stdout.read())
        stderr = group.create_task(process.stderr.read())
        failure = await _feed(process, stdin)
        if failure is not None:
            _signal(process)
    if failure is not None:
        raise failure
    await process.wait()
    return stdout.result(), stderr.result()


async def _feed(process: Process, stdin: AsyncIterator[bytes]) -> Exception | None:
    """Answers with what went wrong on our side, so that a group of tasks does not wrap it."""
    assert process.stdin is not None
    try:
        async for piece in stdin:
            process.stdin.write(piece)
            await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return None
    except Exception as error:
        return error
    finally:
        process.stdin.close()
    return None


async def _end(process: Process, *, unread: asyncio.StreamReader | None = None) -> None:
    """End a command that is still there, with all that it started in its own session.

    What it said is read to the end: asyncio stops listening while nobody reads, and would wait for ever for a process
    whose pipe has not ended.
    """
    if process.returncode is None:
        _signal(process)
        rest = asyncio.ensure_future(_discard(unread)) if unread else None
        try:
            await asyncio.shield(process.wait())
        finally:
            if rest:
                rest.cancel()


async def _discard(stream: asyncio.StreamReader) -> None:
    while await stream.read(_PIECE):
        pass


def _signal(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _status(process: Process) -> int:
    """The exit status as a shell would say it."""
    code = process.returncode or 0
    return 128 - code if code < 0 else code
