"""What config.yml, pool spec files and submission.yml say, once read and checked. Defaults live here and nowhere else.

The text beside each type is what the JSON Schema and the errors tell people of that key.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from attrs import field, frozen

from reconciler.model.job import OutputLimits
from reconciler.model.offer import Market
from reconciler.spec.forms import Form, Range, Spelling

Seconds = Annotated[float, Form.DURATION]
Name = Annotated[str, Form.NAME]
Tries = Annotated[int | None, Form.TRIES]
Command = Annotated[str, Form.COMMAND]
InstanceType = Annotated[str, Form.TYPE]
Variables = Mapping[Annotated[str, Form.VARIABLE], Annotated[str, Form.VALUE]]
Templates = Mapping[Annotated[str, Form.VARIABLE], Annotated[str, Form.TEMPLATE]]


@frozen(kw_only=True)
class Size:
    """How many machines of one type: exactly `low` where low = high, else as many as the queue needs in between."""

    low: int
    high: int


@frozen(kw_only=True)
class Idle:
    """When a machine without work goes. Seconds."""

    terminate: Annotated[float, Form.DELAY, "a machine without work is terminated after this"] = 600.0
    stop: Annotated[float | None, Form.DELAY, "it is stopped after this, and terminated after the other"] = None


@frozen(kw_only=True)
class Deadlines:
    """How long each unfinished state may last. Seconds."""

    launch: Annotated[Seconds, "from the decision to buy a machine to the cloud's answer"] = 600.0
    boot: Annotated[Seconds, "from bought to the machine's first answer"] = 900.0
    setup: Annotated[Seconds, "the pool's setup; the machine enforces it too"] = 1800.0
    run: Annotated[Seconds, "a job, unless its submission has a limit of its own; the machine enforces it too"] = (
        43200.0
    )
    stage: Annotated[Seconds, "uploading and starting a job"] = 1800.0
    collect: Annotated[Seconds, "bringing results home from a machine that answers"] = 86400.0
    cancel: Annotated[Seconds, "ending a job that was cancelled"] = 600.0
    terminate: Annotated[Seconds, "after this a machine that will not end is shown as overdue"] = 1800.0
    stop: Annotated[Seconds, "stopping a machine; after this it is terminated"] = 900.0
    start: Annotated[Seconds, "starting a stopped machine; after this it is terminated"] = 900.0
    silence: Annotated[Seconds, "a host that answers no probe; after this its machine is terminated"] = 300.0
    deliver: Annotated[Seconds, "telling a sink or a hook of what happened; after this it is given up"] = 86400.0


@frozen(kw_only=True)
class Retries:
    """How often a submission is tried again, for each reason; None is without limit."""

    exit_code: Annotated[Tries, Spelling("exit code"), "the job ended by itself, with an exit code other than 0"] = 0
    timeout: Annotated[Tries, "the job reached its time limit"] = 0
    lost: Annotated[Tries, "the machine, or the job on it, was lost"] = 3
    never_started: Annotated[Tries, Spelling("never started"), "the job never started on its machine"] = 3
    evicted: Annotated[Tries, "the cloud took the machine back"] = None


@frozen(kw_only=True)
class Choice:
    """One of several kinds, with its own settings: `cloud: {local: {…}}`, `workload: {script: {…}}`.

    `settings` is the kind's own options class, structured and checked.
    """

    kind: str
    settings: object


@frozen(kw_only=True)
class Pool:
    """One pool spec file: which machines should exist, and what runs on them."""

    pool: Annotated[Name, "the pool's name"]
    cloud: Annotated[Choice, Form.CLOUD, "where its machines come from, with that cloud's settings"]
    size: Annotated[Mapping[InstanceType, Size], Form.SIZES, "instance type: how many, in order of preference"]
    workload: Annotated[Choice, Form.WORKLOAD, "what runs on its machines, with that workload's settings"]
    adopt: Annotated[
        tuple[Annotated[str, Form.TYPE], ...],
        "machines that somebody else bought, by the cloud's id: used, never ended",
    ] = ()
    market: Annotated[tuple[Market, ...], Form.MARKET, "how machines are paid for, in this order"] = (Market.ON_DEMAND,)
    slots: Annotated[int, Range(1, 1000), "submissions that one machine runs at once"] = 1
    files: Annotated[
        Mapping[Path, Annotated[str, Form.MACHINE_PATH]],
        Form.FILES,
        "path here: path on the machine; brought while the machine is prepared",
    ] = field(factory=dict)
    setup: Annotated[tuple[Command, ...], "shell lines, run in the machine's home while it is prepared"] = ()
    env: Annotated[Templates, "environment variables of the pool's jobs; ${NAME} is kept nowhere but in a job"] = field(
        factory=dict
    )
    idle: Annotated[Idle, "when a machine without work goes"] = Idle()
    deadlines: Annotated[Deadlines, "how long each unfinished state may last"] = Deadlines()
    retries: Annotated[Retries, "how often a submission is tried again, for each reason"] = Retries()
    outputs: Annotated[OutputLimits, "what one job may bring home at most"] = OutputLimits()  # noqa: RUF009  frozen
    source: Path = field(default=Path(), eq=False)  # the file that says so


class Event(StrEnum):
    """What hooks can be told of."""

    QUEUED = "queued"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@frozen(kw_only=True)
class Hook:
    """A command on this computer, told of an event by RECONCILER_* in its environment."""

    command: Annotated[Command, "run on this computer by /bin/sh -c"]
    limit: Annotated[Seconds, "how long it may run"] = 300.0


@frozen(kw_only=True)
class Queue:
    """Where submissions come from, besides `reconcile submit`: each folder within `folder` is one."""

    folder: Annotated[Path | None, "each folder within it is a submission"] = None
    pool: Annotated[Name, "for submissions that name none; without it, the only pool there is"] = ""


@frozen(kw_only=True)
class Route:
    """Which of an event's submissions go to another pool than its own. What is empty fits everybody."""

    pool: Annotated[Name, "the pool that they wait for"]
    team: Annotated[str, "the team's name"] = ""
    name: Annotated[str, "the submission's name; * and ? stand for anything"] = ""


@frozen(kw_only=True)
class RampEvent:
    """One event of a RAMP database: its new submissions are taken, and what becomes of them is written back."""

    database: Annotated[str, Form.DATABASE, "RAMP's own database, never ours"]
    event: Annotated[str, "the event's name, as RAMP has it"]
    pool: Annotated[Name, "for its submissions; without it, the only pool there is"] = ""
    route: Annotated[tuple[Route, ...], "those that go elsewhere; the first that fits counts"] = ()
    only: Annotated[
        tuple[Annotated[int, Range(1, 2**53)], ...],
        "these submissions alone, by RAMP's ids, also where they are not new",
    ] = ()
    logs: Annotated[Path | None, "a folder for a copy of each log, where RAMP looks for it"] = None
    predictions: Annotated[Path | None, "a folder for a copy of each training_output, where RAMP looks for it"] = None


@frozen(kw_only=True)
class Config:
    """config.yml: one deployment. Relative paths here are made absolute when the file is read."""

    controller: Annotated[Name, "names this deployment: every machine is tagged with it"]
    pools: Annotated[Path, "a folder with one spec file a pool"]
    database: Annotated[str, Form.DATABASE, "sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"] = (
        "sqlite:///reconciler.db"
    )
    results: Annotated[Path, "the folder that results come home to"] = Path("results")
    state: Annotated[Path, "what is kept beside the database: submissions by content, local machines"] = Path(
        ".reconciler"
    )
    queue: Annotated[Queue, "where submissions come from, besides `reconcile submit`"] = Queue()
    ramp: Annotated[tuple[RampEvent, ...], "events of RAMP databases, as queues and sinks"] = ()
    hooks: Annotated[Mapping[Event, tuple[Hook, ...]], "event: commands on this computer that are told of it"] = field(
        factory=dict
    )
    interval: Annotated[Seconds, "between passes when nothing wakes the loop"] = 10.0
    source: Path = field(default=Path(), eq=False)  # the file that says so


@frozen(kw_only=True)
class SubmissionOptions:
    """submission.yml: what a submission may say about itself, in its own folder."""

    pool: Annotated[Name, "the pool that it waits for; without it, the queue's"] = ""
    instance_types: Annotated[tuple[InstanceType, ...], "runs on these types only; without it, on any of its pool"] = ()
    priority: Annotated[int, Range(-1_000_000, 1_000_000), "the highest goes first; equal ones in order of arrival"] = 0
    limit: Annotated[float | None, Form.DURATION, "its time limit; without it, the pool's deadlines.run"] = None
    env: Annotated[Variables, "environment variables, over the pool's"] = field(factory=dict)
