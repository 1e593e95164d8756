"""What is really so in the simulated world, whoever knows it: machines, jobs, and a ledger of every job's real run.

Nothing here misbehaves. Lies, delays and losses lie between this and the reconciler: see world.py.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from attrs import Factory, define, field

from reconciler.model.job import Cause, Job, JobReport, JobState, Notice
from reconciler.model.offer import LaunchRequest, MachineState

SETUP = "setup-"


@define
class Run:
    """One real run of one submission's command, from its first process to its last."""

    submission: str
    attempt: str
    machine: str
    start: float
    end: float | None = None
    code: int | None = None  # None: cut short
    resumed: str = ""  # the attempt whose checkpoint it was given


@define
class Behaviour:
    """What a submission's command does: it runs so long and exits so; the last of each list repeats."""

    seconds: tuple[float, ...] = (5.0,)
    codes: tuple[int, ...] = (0,)

    def of(self, number: int) -> tuple[float, int]:
        """Seconds and exit code of the `number`th run that came to its end, from 0."""
        return self.seconds[min(number, len(self.seconds) - 1)], self.codes[min(number, len(self.codes) - 1)]


@define
class RealJob:
    """A job on a machine: its folder there, and whether a process of it lives."""

    id: str
    state: JobState
    started: float | None = None
    ended: float | None = None
    code: int | None = None
    cause: Cause | None = None
    run: Run | None = None
    timer: asyncio.TimerHandle | None = None
    forgotten: bool = False

    def report(self) -> JobReport:
        """What the agent says of it."""
        return JobReport(
            job=self.id,
            state=self.state,
            cause=self.cause,
            exit_code=self.code,
            started=None if self.started is None else datetime.fromtimestamp(self.started, UTC),
            ended=None if self.ended is None else datetime.fromtimestamp(self.ended, UTC),
        )

    @property
    def lives(self) -> bool:
        """Whether a process of it is left."""
        return self.state in (JobState.STARTING, JobState.RUNNING)


@define
class RealMachine:
    """A machine as it is."""

    cloud_id: str
    request: LaunchRequest
    index: int
    place: str
    born: float
    seen_at: float  # listings and look-ups know it from then on
    answers_at: float  # its host answers from then on
    states: list[tuple[float, MachineState]] = field()  # since when it was in which
    boot: int = 1
    starts: int = 1  # after each it answers at another address
    has_agent: bool = False
    jobs: dict[str, RealJob] = Factory(dict)
    evicted: bool = False  # the cloud takes it back: so says a listing, also after its end
    notice: Notice = Notice.NONE  # what its own metadata tell it
    impaired_until: float = 0.0  # the cloud's own checks of it fail
    is_foreign: bool = False  # somebody else bought it
    owner: str = ""  # who marked a foreign machine as theirs
    is_powerless: bool = False  # its watch may not shut it down
    cared_at: float = 0.0  # its lease was renewed
    tries: list[float] = Factory(list)  # when a start of it was refused for lack of capacity
    unattended: float | None = None  # since when its lease has been over and only results hold it
    silent_until: float = 0.0  # cut off: nothing gets through, and its jobs run on
    mute_until: float = 0.0  # what is sent arrives, and no answer comes back
    stubborn_until: float = 0.0  # its jobs do not end when they are killed
    ended_at: float | None = None
    late: bool = False  # bought by a call that a process had slept in: see checks.py
    version: int = 0
    waiting: list[asyncio.Future[None]] = Factory(list)

    @states.default
    def _begin(self) -> list[tuple[float, MachineState]]:
        return [(self.born, MachineState.PENDING)]

    @property
    def state(self) -> MachineState:
        """What it is in now."""
        return self.states[-1][1]

    def turn(self, state: MachineState, now: float) -> None:
        """It is in another state from now on."""
        self.states.append((now, state))

    def state_at(self, then: float) -> MachineState:
        """What it was in."""
        return next((state for since, state in reversed(self.states) if since <= then), self.states[0][1])

    @property
    def host_key(self) -> str:
        """The key under which its host answers, on every boot."""
        return f"ssh-ed25519 {self.cloud_id}"

    @property
    def boot_id(self) -> str:
        """The agent's word for this boot."""
        return f"{self.cloud_id}.boot{self.boot}"

    @property
    def lives(self) -> bool:
        """Whether it is there, and costs money."""
        return self.state is not MachineState.TERMINATED

    @property
    def runs(self) -> bool:
        """Whether processes run on it; they do until it is really gone."""
        return self.state in (MachineState.RUNNING, MachineState.STOPPING, MachineState.SHUTTING_DOWN)

    @property
    def runs_or_will(self) -> bool:
        """Whether a watch of its own looks after it: it is on."""
        return self.state in (MachineState.PENDING, MachineState.RUNNING)

    @property
    def mark(self) -> str:
        """Names the state of affairs that a report tells."""
        return f"{self.boot}.{self.version}"

    def changed(self) -> None:
        """Another state of affairs: whoever waits for one is told."""
        self.version += 1
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(None)
        self.waiting.clear()


@define
class Ledger:
    """Every real run there ever was, in order of their starts."""

    clock: Callable[[], float]
    wrong: Callable[[str], None]
    behaviours: dict[str, Behaviour] = Factory(dict)
    runs: list[Run] = Factory(list)

    def of(self, submission: str) -> list[Run]:
        """The runs of one submission."""
        return [run for run in self.runs if run.submission == submission]

    def begin(self, machine: RealMachine, job: Job) -> tuple[Run, float, int]:
        """A process of a submission starts: the run, how long it will take, and how it will exit."""
        name = job.env["RECONCILER_SUBMISSION"]
        before = self.of(name)
        alive = [run for run in before if run.end is None]
        if alive:
            self.wrong(f"two live attempts of {name}: {alive[0].attempt} on {alive[0].machine} and {job.id}")
        seconds, code = self.behaviours[name].of(sum(run.code is not None for run in before))
        run = Run(name, job.id, machine.cloud_id, self.clock())
        self.runs.append(run)
        return run, seconds, code

    def end(self, run: Run, code: int | None) -> None:
        """The last process of a run ended; by itself if there is an exit code."""
        if run.end is None:
            run.end, run.code = self.clock(), code
