"""One machine's host, as one process of the reconciler reaches it: every call may come late, or to nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from attrs import frozen

from reconciler.hosts.base import HostRefusedError, UnreachableError, UnstorableError
from reconciler.model.job import Collected, Job, JobReport, Report, Watch
from tests.simulation.faults import FOREVER, USUAL
from tests.simulation.jobs import CHECKPOINT
from tests.simulation.reach import Wire
from tests.simulation.truth import RealMachine
from tests.simulation.world import World

US = "iris"  # what marks a machine that somebody else bought as ours
NO_ANSWER = 3.0  # seconds after which a host that does not answer is known not to

T = TypeVar("T")


@frozen
class SimHost:
    """One machine's host, as one process reaches it at an address."""

    cloud_id: str
    address: str
    host_key: str  # pinned; empty: none yet
    wire: Wire

    async def report(self, *, wait: float = 0.0, mark: str = "") -> Report:
        """All its jobs, at once or when they are another."""
        await self.wire.caller.point("before report")
        loop = asyncio.get_running_loop()
        trouble = self.wire.world.faults.draw("report")
        await asyncio.sleep(trouble.delay)
        machine = await self._reached()
        if wait and machine.mark == mark:
            waiter = loop.create_future()
            machine.waiting.append(waiter)
            await asyncio.wait({waiter}, timeout=wait)
            machine = await self._reached()
        machine.cared_at = loop.time() if machine.has_agent else machine.cared_at
        report = Report(
            boot_id=machine.boot_id,
            uptime=loop.time() - machine.born,
            agent="1" if machine.has_agent else "",
            jobs={job.id: job.report() for job in machine.jobs.values() if not job.forgotten},
            mark=machine.mark,
            notice=machine.notice,
            watch=_watch(self.wire.world, machine),
            host_key=machine.host_key,
        )
        await asyncio.sleep(USUAL["report"] + trouble.late)
        await self.wire.caller.point("after report")
        if trouble.lose or trouble.refuse or machine.mute_until > loop.time():
            raise UnreachableError("report: no answer")
        return report

    async def install(self) -> None:
        """Bring the agent."""
        await self._send("install", lambda machine: self.wire.world.jobs.install(machine, US))

    async def release(self) -> None:
        """End every job, and take our mark off."""
        await self._send("release", lambda machine: self.wire.world.jobs.release(machine, US))

    async def put(self, files: Mapping[Path, str]) -> None:
        """Bring files."""
        await self._send("put", lambda machine: None)

    async def start(self, job: Job, *, boot_id: str) -> JobReport:
        """Upload and start."""
        return await self._send("start", lambda machine: self.wire.world.jobs.start(machine, job, boot_id))

    async def kill(self, job: str) -> JobReport:
        """End a job."""
        return await self._send("kill", lambda machine: self.wire.world.jobs.kill(machine, job))

    async def collect(self, job: Job, into: Path) -> Collected:
        """End a job, and bring what it left into a folder."""

        def act(machine: RealMachine) -> tuple[JobReport, str, bool]:
            report = self.wire.world.jobs.kill(machine, job.id)
            real = machine.jobs[job.id]
            if not report.over or real.forgotten:
                raise HostRefusedError(f"{job.id} was forgotten, or its processes do not end")
            whole = real.run is not None and real.run.code is not None
            return report, f"{job.id} ran on {machine.cloud_id}\n", whole

        report, log, whole = await self._send("collect", act)
        (into / "log").parent.mkdir(parents=True)
        (into / "log").write_text(log)
        if self.wire.world.is_disk_full:
            raise UnstorableError("no space left on this computer")
        if whole:
            (into / "out.txt").write_text(log)
        if job.checkpoint:
            (into / job.checkpoint).mkdir()
            (into / job.checkpoint / CHECKPOINT).write_text(json.dumps(job.id))
        await self.wire.caller.point("after writing")
        return Collected(report=report, log=into / "log", outputs=("out.txt",) if whole else ())

    async def forget(self, job: str) -> None:
        """Free what a job holds."""
        await self._send("forget", lambda machine: self.wire.world.jobs.forget(machine, job))

    async def papers(self, job: str) -> str:
        """Nobody asks for them here."""
        return ""

    async def log(self, job: str, *, follow: bool = False) -> AsyncIterator[bytes]:
        """Nobody reads it here."""
        yield b""

    async def close(self) -> None:
        """Nothing is held."""

    async def _reached(self) -> RealMachine:
        machine = self.wire.world.machines.get(self.cloud_id)
        if machine is None or not self._answers(machine):
            await asyncio.sleep(NO_ANSWER)
            raise UnreachableError(f"{self.cloud_id or 'a machine without an id'} does not answer")
        return machine

    async def _send(self, call: str, act: Callable[[RealMachine], T]) -> T:
        def arrived() -> T | None:
            machine = self.wire.world.machines.get(self.cloud_id)
            if machine is None or not self._answers(machine):
                return None
            if call not in ("install", "put", "release") and not machine.has_agent:
                raise HostRefusedError("the agent is not installed")
            return _Arrived(act(machine))

        answer: Any = await self.wire.send(call, arrived, UnreachableError(f"{call}: no answer"))
        machine = self.wire.world.machines.get(self.cloud_id)
        if answer is None or (machine and machine.mute_until > self.wire.world.now()):
            await asyncio.sleep(NO_ANSWER)
            raise UnreachableError(f"{self.cloud_id or 'a machine without an id'} does not answer")
        value: T = answer.value
        return value

    def _answers(self, machine: RealMachine) -> bool:
        """Nobody talks to a host under another key than the one that was pinned."""
        return self.wire.world.answers(machine, self.address) and self.host_key in ("", machine.host_key)


def _watch(world: World, machine: RealMachine) -> Watch:
    if machine.is_foreign or not machine.has_agent or world.nature.lease >= FOREVER:
        return Watch.NONE
    return Watch.POWERLESS if machine.is_powerless else Watch.ARMED


@frozen
class _Arrived:
    value: Any
