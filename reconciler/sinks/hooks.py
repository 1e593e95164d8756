"""Hooks: a command on this computer for each piece of news, with the values in its environment.

Whatever a hook starts belongs to it: its process group is ended when the command is over, at its time limit, and when
the reconciler stops. A hook that was cut short is run again.
"""

import asyncio
import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from attrs import field, frozen

from reconciler.model.offer import Fault
from reconciler.model.printable import printable
from reconciler.model.rows import Submission
from reconciler.model.snapshot import Done, Failed
from reconciler.sinks.base import News
from reconciler.spec.values import Hook
from reconciler.store.errors import StoreError

_AT_ONCE = 4  # commands of one hook that run at the same time; they start in the order of the news
_MOST_OUTPUT = 1024 * 1024  # bytes of output that are kept of one run
_PIECE = 64 * 1024
_AFTERWARDS = 0.5  # seconds for output that is still in the pipe when the command is over


def nothing_more(_: Submission) -> Mapping[str, str]:
    """What a hook is told beyond the usual, where there is nothing."""
    return {}


@frozen
class HookSink:
    """One hook of config.yml."""

    hook: Hook
    logs: Path = field(kw_only=True)  # a file for each delivery, of its last run
    folder: Path = field(kw_only=True)  # where it runs: beside config.yml
    controller: str = field(kw_only=True)
    environ: Mapping[str, str] = field(kw_only=True)
    more: Callable[[Submission], Mapping[str, str]] = field(kw_only=True, default=nothing_more)  # may block, and raise
    _slots: asyncio.Semaphore = field(init=False, factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def deliver(self, news: Sequence[News]) -> Sequence[Done | Failed]:
        """Run the command for each; an exit code other than 0 is a failure, told with the place of its output."""
        return await asyncio.gather(*(self._tell(each) for each in news))

    async def _tell(self, news: News) -> Done | Failed:
        log = self.logs / f"{safe_name(news.delivery.id)}.log"
        async with self._slots:
            try:
                more = await asyncio.to_thread(self.more, news.submission)
                status = await self._run({**more, **environment(news, self.controller)}, log)
            except StoreError as error:
                return Failed(fault=Fault.UNREACHABLE, message=f"what the hook is told cannot be read: {error.message}")
            except OSError as error:
                return Failed(fault=Fault.OURS, message=f"the hook could not be run: {printable(str(error))}")
        if status == 0:
            return Done()
        why = f"it ran longer than {self.hook.limit:g} s" if status is None else f"exit code {status}"
        return Failed(fault=Fault.REFUSED, message=f"the hook failed: {why} (output: {log})")

    async def _run(self, values: Mapping[str, str], log: Path) -> int | None:
        """The command's exit code, by the shell's count; None when its time was over. Raises OSError."""
        log.parent.mkdir(parents=True, exist_ok=True)
        # A pipe of our own: with asyncio's, a command is not over before all that it started has let go of it.
        receiving, sending = (
            os.fdopen(end, mode, buffering=0) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True)
        )
        with log.open("wb") as file, receiving, sending:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", self.hook.command, cwd=self.folder, env={**self.environ, **values},
                stdin=asyncio.subprocess.DEVNULL, stdout=sending, stderr=sending, start_new_session=True,
            )  # fmt: skip
            sending.close()
            reading = asyncio.create_task(_keep(receiving, file.write))
            try:
                await asyncio.wait_for(process.wait(), self.hook.limit)
            except TimeoutError:
                return None
            finally:
                _end_group(process.pid)
                await process.wait()
                await _finish(reading)
        code = process.returncode or 0
        return code if code >= 0 else 128 - code


def environment(news: News, controller: str) -> Mapping[str, str]:
    """What a hook is told, as variables. Every value is one line, without anything that a terminal would obey.

    RECONCILER_ATTEMPT is the attempt's number here: a job's own holds the id, by which its machine knows its processes.
    """
    submission, attempt = news.submission, news.attempt
    values = {
        "EVENT": news.delivery.event,
        "SUBMISSION": submission.name,
        "SUBMISSION_ID": submission.id,
        "ATTEMPT": attempt.number if attempt else None,
        "ATTEMPT_ID": attempt.id if attempt else None,
        "POOL": submission.pool,
        "STATE": submission.state,
        "REASON": submission.reason,
        "MESSAGE": submission.message or (attempt.message if attempt else ""),
        "EXIT_CODE": attempt.exit_code if attempt else None,
        "CONTROLLER": controller,
    }
    results = {"RECONCILER_RESULTS": str(news.results.absolute()) if news.results else ""}
    return results | {f"RECONCILER_{name}": _value(value) for name, value in values.items()}


def _value(value: str | int | None) -> str:
    return "" if value is None else printable(str(value), 1000)


def safe_name(delivery: str) -> str:
    """A delivery's id as a file's name."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", delivery)[-200:].lstrip(".") or "_"


async def _keep(pipe: IO[bytes], write: Callable[[bytes], object]) -> None:
    """Write what comes, up to a limit; go on reading beyond it, so that the command never waits for us."""
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), pipe
    )
    left = _MOST_OUTPUT
    try:
        while piece := await stream.read(_PIECE):
            if len(piece) > left >= 0:
                write(piece[:left] + b"\n[the rest of the output is left out]\n")
                left = -1
            elif left >= 0:
                write(piece)
                left -= len(piece)
    finally:
        transport.close()


async def _finish(reading: "asyncio.Task[None]") -> None:
    """Wait for the end of the output; a process that left the group may hold it open for ever."""
    done, _ = await asyncio.wait({reading}, timeout=_AFTERWARDS)
    if done:
        reading.result()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


def _end_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return
