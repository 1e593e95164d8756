"""A host by way of the job agent: what on_host/ does on the machine, said from this side over any transport."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext, suppress
from functools import cache
from hashlib import sha256
from importlib.resources import files as package_files
from math import ceil
from pathlib import Path, PurePosixPath

from attrs import evolve

from reconciler.hosts.base import HostRefusedError, UnreachableError, UnstorableError
from reconciler.hosts.extract import Home, extract
from reconciler.hosts.together import Together
from reconciler.hosts.transport import CommandFailedError, Result, Transport
from reconciler.hosts.upload import Upload, job_upload, path_entries, tar_stream
from reconciler.hosts.wire import JOB_ID, parse_lines, parse_report
from reconciler.model.job import Collected, Guard, Job, JobReport, Report, Watch

AT_ONCE: AbstractAsyncContextManager[None] = nullcontext()
LONGEST_WAIT = 50  # seconds that one report may wait: the agent keeps to it too
_ANSWER = 60.0  # seconds in which a host must have answered
_FREEING = 600.0  # seconds in which the disk that jobs held must be free again
_UPLOAD = 3600.0  # seconds in which an upload must have arrived
_REFUSALS = frozenset({2, 3, 4, 5, 6, 8, 9})  # the agent's statuses that mean: it answered, and will not
_TOGETHER = 1024**2  # bytes of jobs that are uploaded in one command: a large one would keep the others waiting
_LITTLE = 0.02  # seconds in which results that came home together are all settled
_ALONE = 2.0  # the weight of what brings outputs home, however large they are
_NOT_OVER = 7  # of `log --follow`: there may be more

# Values come in as arguments; none of these texts is ever built from one.
_CALL = """
if [ -f "$HOME/.reconciler/agent" ]; then . "$HOME/.reconciler/agent"; fi
echo "agent: it is not installed on this machine" >&2; exit 9
"""
# What brings results home gives way to jobs, and to what starts the next one. Not every busybox has nice.
_CALL_GENTLY = """
gently=
if command -v nice >/dev/null 2>&1; then gently='nice -n 10'; fi
if [ -f "$HOME/.reconciler/agent" ]; then exec $gently sh "$HOME/.reconciler/agent" "$@"; fi
echo "agent: it is not installed on this machine" >&2; exit 9
"""
_REPORT = """
if [ -f "$HOME/.reconciler/agent" ]; then set -- report "$@"; . "$HOME/.reconciler/agent"; fi
read -r boot <"${RECONCILER_BOOT_ID_FILE:-/proc/sys/kernel/random/boot_id}" && read -r up rest </proc/uptime || exit 4
printf 'none %s %s\\n' "$boot" "$up"
"""
# Of VERSION, CLAIM and what `agent watch` takes, if there is to be one. On another's machine nothing is replaced.
_INSTALL = """
agent=$HOME/.reconciler/agent new=
if [ ! -f "$agent" ] || [ "$(sh "$agent" version </dev/null 2>/dev/null)" != "$1" ]; then
    mkdir -p "$HOME/.reconciler" && chmod 700 "$HOME/.reconciler" && cat >"$agent.$$" || exit 4
    new=$agent.$$
    trap 'rm -f "$new"' EXIT
    [ "$(sh "$new" version </dev/null)" = "$1" ] ||
        { echo "agent: it arrived damaged, or cannot run here" >&2; exit 4; }
fi
[ -z "$2" ] || sh "${new:-$agent}" claim "$2" </dev/null || exit
[ -z "$new" ] || mv -f "$new" "$agent" || exit 4
shift 2
[ $# -eq 0 ] || sh "$agent" watch "$@" </dev/null
"""
# Of VERSION and CLAIM. The agent that is there may be older than the words: the one that is sent says them.
_RELEASE = """
agent=$HOME/.reconciler/agent
if [ ! -f "$agent" ]; then exit 0; fi
if [ "$(sh "$agent" version </dev/null 2>/dev/null)" = "$1" ]; then sh "$agent" release "$2" </dev/null; exit; fi
agent=$agent.$$
trap 'rm -f "$agent"' EXIT
cat >"$agent" && [ "$(sh "$agent" version </dev/null)" = "$1" ] ||
    { echo "agent: it arrived damaged, or cannot run here" >&2; exit 4; }
sh "$agent" release "$2" </dev/null
"""
_PAPERS = """
if [ -f "$HOME/.reconciler/jobs/$1/spec/papers" ]; then exec cat "$HOME/.reconciler/jobs/$1/spec/papers"; fi
"""
_PUT = """
{ mkdir -p "$1" && cd "$1" && tar -xof -; } || { echo "agent: cannot write to $1" >&2; exit 4; }
"""


# The agent is one file on the machine, and these here, in this order.
PARTS = ("head", "processes", "judge", "report", "start", "kill", "pack", "log", "notice", "watch", "owner", "main")


@cache
def agent_script() -> tuple[str, bytes]:
    """The agent's version, which its text determines, and its text."""
    folder = package_files("reconciler.hosts") / "on_host"
    text = b"\n".join((folder / f"{part}.sh").read_bytes() for part in PARTS)
    version = sha256(text).hexdigest()[:12]
    return version, text.replace(b"@version@", version.encode())


class AgentHost:
    """A machine that is reached over `transport`; `confined`: files may be put below its home only.

    Calls for several jobs that come at the same time go together. Jobs are started within `starting`, and results are
    brought home within `gently`: either may make them take turns. With a `guard` the machine ends itself when nobody
    asks for reports any longer. `claim`, one line, marks a machine that we did not buy as ours: everybody who uses it
    must use other words.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        confined: bool = False,
        starting: AbstractAsyncContextManager[None] = AT_ONCE,
        gently: AbstractAsyncContextManager[None] = AT_ONCE,
        guard: Guard | None = None,
        claim: str = "",
    ) -> None:
        self._transport = transport
        self._confined = confined
        self._starting = starting
        self._gently = gently
        self._guard = guard
        self._claim = claim
        self._uploads = Together(_upload_all, refusal=(HostRefusedError,))
        self._starts = Together(self._start, refusal=(HostRefusedError,))
        self._kills = Together(self._kill, refusal=(HostRefusedError,))
        self._packs = Together(self._collect, refusal=(HostRefusedError, UnreachableError, UnstorableError))
        self._forgets = Together(self._forget, refusal=(HostRefusedError,), gather=_LITTLE)

    async def report(self, *, wait: float = 0.0, mark: str = "") -> Report:
        """All jobs of this machine; one without the agent answers with an empty version.

        A watch that is missing, since the machine was started anew, is armed again.
        """
        seconds = max(0, min(LONGEST_WAIT, int(wait)))
        words = ("--wait", str(seconds), "--mark", mark) if seconds and mark else ()
        result = await self._run(_REPORT, *words, timeout=_ANSWER + seconds)
        report = evolve(parse_report(result.stdout), host_key=self._transport.host_key)
        if self._guard is not None and report.agent and report.watch is Watch.NONE:
            with suppress(HostRefusedError):  # a full disk, say: its jobs are told of all the same
                await self.install()
        return report

    async def install(self) -> None:
        """Bring the agent, unless this version of it is there; mark the machine as ours, and arm its watch.

        Raises HostRefusedError for a machine that somebody else has marked, and leaves it as it is.
        """
        version, text = agent_script()
        await self._run(_INSTALL, version, self._claim, *_watch_words(self._guard), stdin=text)

    async def release(self) -> None:
        """End every job, and take our mark off. Does nothing where another's mark is, or no agent."""
        version, text = agent_script()
        await self._run(_RELEASE, version, self._claim, stdin=text)

    async def put(self, files: Mapping[Path, str]) -> None:
        """Bring files and folders of this computer to paths on the machine, over what is there."""
        for source, target in files.items():
            path = self._target(target)
            entries = path_entries(source, path.name or ".")
            await self._run(_PUT, str(path.parent), stdin=tar_stream(entries), timeout=_UPLOAD)

    async def start(self, job: Job, *, boot_id: str) -> JobReport:
        """Upload and start. Raises HostRefusedError on another boot, and for a job that no host can run."""
        _check(job.id)
        upload = await self._uploads(job, key=job.id)
        return await self._starts(upload, key=job.id, weight=upload.size / _TOGETHER, kind=boot_id)

    async def kill(self, job: str) -> JobReport:
        """End the job, and close its folder. A job whose processes will not end is reported as running still."""
        _check(job)
        return await self._kills(job, key=job)

    async def collect(self, job: Job, into: Path) -> Collected:
        """End the job, and bring its log and its outputs into a new folder, checked and synced to disk."""
        _check(job.id)
        return await self._packs((job, into), key=job.id, weight=_ALONE if job.outputs else 0.0)

    async def forget(self, job: str) -> None:
        """Free what a job that is over holds on the machine. The report names it no longer; its tombstone stays."""
        _check(job)
        await self._forgets(job, key=job)

    async def papers(self, job: str) -> str:
        """What `Job.papers` said of a job that is not forgotten; empty where it said nothing."""
        _check(job)
        return (await self._run(_PAPERS, job)).stdout.decode(errors="replace")

    async def log(self, job: str, *, follow: bool = False) -> AsyncIterator[bytes]:
        """The job's log so far; with `follow`, until the job is over."""
        _check(job)
        sent = 0
        words = ("--follow",) if follow else ()
        while True:
            try:
                async with aclosing(self._stream("log", job, *words, "--from", str(sent))) as stream:
                    async for piece in stream:
                        sent += len(piece)
                        yield piece
            except CommandFailedError as error:
                if error.code != _NOT_OVER:
                    raise _failure(error.code, error.stderr) from error
            else:
                return

    async def kill_all(self) -> None:
        """End every process of this machine, jobs or not: it is going away."""
        await self._run(_CALL, "kill-all")

    async def close(self) -> None:
        """Let go of the transport, once what was given up has ended there. Jobs go on."""
        for calls in (self._starts, self._kills, self._packs, self._forgets):
            await calls.close()
        await self._transport.close()

    def _target(self, target: str) -> PurePosixPath:
        path = PurePosixPath(target.removeprefix("~/")) if target.startswith("~/") else PurePosixPath(target)
        if target == "~":
            path = PurePosixPath()
        if ".." in path.parts or (self._confined and path.is_absolute()):
            raise HostRefusedError(f"cannot bring files to {target}: say ~/ and a path below the home")
        return path

    async def _start(self, uploads: Sequence[Upload], boot_id: str) -> Sequence[JobReport]:
        jobs = [upload.job for upload in uploads]
        async with self._starting:
            stream = tar_stream(entry for upload in uploads for entry in upload.entries)
            result = await self._run(_CALL, "start", boot_id, *jobs, stdin=stream, timeout=_UPLOAD)
        return parse_lines(result.stdout, jobs)

    async def _kill(self, jobs: Sequence[str], _: object) -> Sequence[JobReport]:
        return parse_lines((await self._run(_CALL, "kill", *jobs)).stdout, jobs)

    async def _collect(self, wanted: Sequence[tuple[Job, Path]], _: object) -> Sequence[Collected]:
        homes = {job.id: Home(into, job.output_limits) for job, into in wanted}
        async with self._gently, aclosing(self._stream("pack", *homes, script=_CALL_GENTLY)) as stream:
            try:
                return await extract(_soon(stream), homes)
            except CommandFailedError as error:
                raise _failure(error.code, error.stderr) from error

    async def _forget(self, jobs: Sequence[str], _: object) -> Sequence[None]:
        async with self._gently:
            await self._run(_CALL_GENTLY, "forget", *jobs, timeout=_FREEING)
        return [None for _ in jobs]

    async def _run(
        self, script: str, *words: str, stdin: AsyncIterator[bytes] | bytes = b"", timeout: float = _ANSWER
    ) -> Result:
        result = await self._transport.run(("sh", "-c", script, "agent", *words), stdin=stdin, timeout=timeout)
        if result.code:
            raise _failure(result.code, result.stderr)
        return result

    def _stream(self, *words: str, script: str = _CALL) -> AsyncGenerator[bytes, None]:
        return self._transport.stream(("sh", "-c", script, "agent", *words))


async def _upload_all(jobs: Sequence[Job], _: object) -> Sequence[Upload]:
    """Read by one thread, so that those that came together also go on together."""
    return await asyncio.to_thread(lambda: [job_upload(job) for job in jobs])


async def _soon(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The stream, which must begin in time. Raises UnreachableError."""
    try:
        async with asyncio.timeout(_ANSWER):
            first = await anext(stream, b"")
    except TimeoutError as error:
        raise UnreachableError(f"the host sent nothing in {_ANSWER:g} s") from error
    yield first
    async for piece in stream:
        yield piece


def _watch_words(guard: Guard | None) -> tuple[str, ...]:
    """What `agent watch` takes: whole seconds, at least one, because the shell counts in them."""
    if guard is None:
        return ()
    return str(max(1, ceil(guard.lease))), str(max(1, ceil(guard.keep_results))), guard.metadata


def _check(job: str) -> None:
    if not JOB_ID.fullmatch(job):
        raise HostRefusedError(
            f"{job!r} cannot be a job's id: use at most 100 letters, digits, dots, underscores and dashes"
        )


def _failure(code: int, stderr: bytes) -> UnreachableError | HostRefusedError:
    lines = [line for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    ours = [line.removeprefix("agent: ") for line in lines if line.startswith("agent: ")]
    message = (ours or lines or ["it gave no reason"])[-1][:500]
    if code in _REFUSALS and ours:
        return HostRefusedError(message)
    return UnreachableError(f"the agent ended with status {code}: {message}")
