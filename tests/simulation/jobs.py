"""What a machine does for whoever reaches it: jobs that start, run and end, and the watch that ends it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define

from reconciler.hosts.base import HostRefusedError
from reconciler.model.job import Cause, Job, JobReport, JobState
from tests.simulation.truth import SETUP, RealJob, RealMachine

if TYPE_CHECKING:
    from tests.simulation.world import World

CHECKPOINT = "state.json"  # what a run leaves in its checkpoint folder: which attempt it was


@define(kw_only=True)
class Jobs:
    """The jobs of all machines."""

    world: "World"
    started: Callable[[RealMachine, Job], None] = lambda machine, job: None  # checks.py looks on

    def start(self, machine: RealMachine, job: Job, boot_id: str) -> JobReport:
        """A job starts, once; never on another boot, never after it was killed."""
        if boot_id != machine.boot_id:
            raise HostRefusedError(f"this is the boot {machine.boot_id}, not {boot_id}")
        known = machine.jobs.get(job.id)
        if known is None:
            known = machine.jobs[job.id] = RealJob(job.id, JobState.RUNNING, started=self.world.now())
            self.started(machine, job)
            self._run(machine, job, known)
            machine.changed()
        return known.report()

    def _run(self, machine: RealMachine, job: Job, real: RealJob) -> None:
        world = self.world
        if job.id.startswith(SETUP):
            seconds, code = world.nature.setup, int(world.faults.chance(world.nature.bad_setup))
        else:
            real.run, seconds, code = world.ledger.begin(machine, job)
            real.run.resumed = left_by(job.resume)
            from_there = f" from the checkpoint of {real.run.resumed}" if real.run.resumed else ""
            world.say("host", f"{job.id} runs on {machine.cloud_id}{from_there}")
        if job.limit is not None and job.limit < seconds:
            ended = (JobState.KILLED, None, Cause.TIMEOUT)
            real.timer = world.loop.call_later(job.limit, self.over, machine, real, *ended)
        else:
            real.timer = world.loop.call_later(seconds, self.over, machine, real, JobState.EXITED, code)

    def over(
        self, machine: RealMachine, job: RealJob, state: JobState, code: int | None = None, cause: Cause | None = None
    ) -> None:
        """No process of a job is left."""
        if job.timer:
            job.timer.cancel()
        job.state, job.code, job.cause, job.ended = state, code, cause, self.world.now()
        if job.run:
            self.world.ledger.end(job.run, code)
            self.world.say("host", f"{job.id} {state} {'' if code is None else code}")
        machine.changed()

    def cut(self, machine: RealMachine) -> None:
        """All processes end at once, and nobody writes down how."""
        for job in machine.jobs.values():
            if job.lives:
                self.over(machine, job, JobState.GONE)

    def kill(self, machine: RealMachine, job_id: str) -> JobReport:
        """A job ends with all its processes; one that has not come yet never will."""
        job = machine.jobs.get(job_id)
        if job is None:
            job = machine.jobs[job_id] = RealJob(
                job_id, JobState.KILLED, cause=Cause.REQUEST, ended=self.world.now()
            )  # fmt: skip
            machine.changed()
        elif job.lives and self.world.now() >= machine.stubborn_until:
            self.over(machine, job, JobState.KILLED, None, Cause.REQUEST)
        return job.report()

    def forget(self, machine: RealMachine, job_id: str) -> None:
        """What a job that is over holds is freed."""
        job = machine.jobs.get(job_id)
        if job and job.lives:
            raise HostRefusedError(f"{job_id} is not over")
        if job:
            job.forgotten = True

    def install(self, machine: RealMachine, claim: str) -> None:
        """The agent comes; a machine of ours begins a lease, one of somebody else's is marked as ours."""
        if machine.is_foreign and machine.owner not in ("", claim):
            raise HostRefusedError(f"{machine.cloud_id} is in use by {machine.owner}")
        if machine.is_foreign:
            machine.owner = claim
        machine.has_agent, machine.cared_at = True, self.world.now()

    def release(self, machine: RealMachine, claim: str) -> None:
        """Every job ends, and the mark goes."""
        if machine.owner == claim:
            for job in machine.jobs.values():
                if job.lives:
                    self.over(machine, job, JobState.KILLED, None, Cause.REQUEST)
            machine.owner = ""
            self.world.say("host", f"{machine.cloud_id} is released")

    def holds(self, machine: RealMachine) -> bool:
        """Whether a job, or results that nobody fetched, hold a machine whose lease is over."""
        jobs = machine.jobs.values()
        if any(job.lives for job in jobs):
            machine.unattended = None
            return True
        if not any(job.run and not job.forgotten for job in jobs):
            return False
        if machine.unattended is None:
            machine.unattended = self.world.now()
        return self.world.now() < machine.unattended + self.world.nature.keep_results


def left_by(folder: Path | None) -> str:
    """The attempt that left a checkpoint folder; empty for none."""
    if folder is None:
        return ""
    attempt: str = json.loads((folder / CHECKPOINT).read_text())
    return attempt
