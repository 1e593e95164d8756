"""Cases to decide, made of as little as the test is about; and strategies for random ones."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import strategies as st

from reconciler.decide.case import Case, Decision, Desired, PoolWish
from reconciler.lifecycle.instance import INSTANCE
from reconciler.lifecycle.table import Kind
from reconciler.model.assignment import Assignment
from reconciler.model.change import Insert, Update
from reconciler.model.job import JobReport, JobState, Report
from reconciler.model.offer import Machine, MachineState, Place
from reconciler.model.rows import Attempt, Identity, Instance, PoolRow, Submission
from reconciler.model.snapshot import Heard, Observed, Recorded, Silence, Waiting
from reconciler.spec.canonical import pool_to_json
from reconciler.spec.options import LocalCloud, Script
from reconciler.spec.places import place
from reconciler.spec.values import Choice, Config, Pool, Size

NOW = 1_000_000.0
CONFIG = Config(controller="iris", pools=Path("/specs"), results=Path("/results"), state=Path("/state"))
IDENTITY = Identity("iris", "d1", 0.0)
POOL = Pool(
    pool="cpu",
    cloud=Choice(kind="local", settings=LocalCloud(folder=Path("/machines"))),
    size={"small": Size(low=0, high=2)},
    workload=Choice(kind="script", settings=Script(command="true")),
)
PLACE: Place = place(POOL, CONFIG)
HASH = "v1"


def instance(name: str, state: str = "ready", **changes: Any) -> Instance:
    """A machine that was born an hour ago."""
    bound = "" if state == "launching" else f"m-{name}"
    row = Instance(
        id=name, version=1, pool="cpu", token=f"t-{name}", index=0, type="small", market="on-demand", zone="",
        cloud=PLACE.cloud, place=PLACE.settings, settings="{}", spec_hash=HASH, state=state, reason="",
        since=NOW - 60.0, born=NOW - 3600.0, cloud_id=bound, address=bound, boot_id=f"b-{name}", host_key="",
        adopted=False, strikes=0, strikes_since=0.0, not_before=0.0, last_error="", claim_by="", claim_until=0.0,
    )  # fmt: skip
    return evolve(row, **changes)


def submission(name: str, state: str = "queued", **changes: Any) -> Submission:
    """A submission that was made ten minutes ago."""
    row = Submission(
        id=name, version=1, name=name, label=name, pool="cpu", priority=0, types="[]", limit=None, env="{}",
        source="command", source_key="", content="c", retry_of="", state=state, reason="", message="",
        since=NOW - 60.0, clock=NOW - 60.0, created=NOW - 600.0, attempts=0, attempt_id="", spent="{}",
        cancel_wanted=False, absences=0, strikes=0, not_before=0.0, last_error="", claim_by="", claim_until=0.0,
    )  # fmt: skip
    return evolve(row, **changes)


def at_work(name: str, on: str, state: str = "running", **changes: Any) -> tuple[Submission, Attempt]:
    """A submission with an open attempt on an instance."""
    attempt_id = f"{name}.1"
    orders = Assignment(
        attempt=attempt_id, submission=name, pool="cpu", content="c", workload="script", settings="{}", limit=600.0,
        max_bytes=1, max_files=1,
    )  # fmt: skip
    attempt = Attempt(
        id=attempt_id, submission_id=name, number=1, instance_id=on, boot_id=f"b-{on}", frozen=orders.to_json(),
        opened=NOW - 60.0, started=None, ended=None, closed=None, outcome="", exit_code=None, peak_memory=None,
        message="", scores="{}", results="",
    )  # fmt: skip
    return submission(name, state, attempts=1, attempt_id=attempt_id, **changes), attempt


def case(
    *,
    instances: Sequence[Instance] = (),
    work: Sequence[tuple[Submission, Attempt]] = (),
    queue: Sequence[Submission] = (),
    pool: Pool | None = POOL,
    spec_hash: str = HASH,
    recorded: Mapping[str, Any] | None = None,
    observed: Mapping[str, Any] | None = None,
    settle: bool = False,
) -> Case:
    """A case of one pool, or of none where `pool` is None. `queue` is in the order in which the store reads it."""
    spec = pool or POOL
    wish = PoolWish(pool=spec, spec=pool_to_json(spec), spec_hash=spec_hash)
    row = PoolRow(spec.pool, 1, wish.spec, wish.spec_hash, True, "", 0.0)
    by_types: dict[str, int] = {}
    for one in queue:
        by_types[one.types] = by_types.get(one.types, 0) + 1
    given = {
        "now": NOW,
        "identity": IDENTITY,
        "pools": {row.name: row},
        "instances": {one.id: one for one in instances},
        "submissions": {one.id: one for one, _ in work},
        "attempts": {attempt.id: attempt for _, attempt in work},
        "waiting": {"cpu": Waiting(ready=len(queue), by_types=by_types)} if queue else {},
        "heads": tuple(queue),
        **(recorded or {}),
    }
    ids = itertools.count(1)
    return Case(
        desired=Desired(config=CONFIG, pools={spec.pool: wish} if pool else {}, settle=settle),
        recorded=Recorded(**given),
        observed=Observed(**(observed or {})),
        me="me",
        new_id=lambda: f"{next(ids):04x}",
    )


def moves(decision: Decision, table: str = "instances") -> dict[str, tuple[str, str]]:
    """Row → (event, target) of each transition."""
    writes = [write for step in decision.steps for write in step.writes]
    return {w.id: (w.event, w.target) for w in writes if isinstance(w, Update) and w.event and w.table == table}


def births(decision: Decision, kind: type) -> list[Any]:
    """New rows of one kind."""
    writes = [write for step in decision.steps for write in step.writes]
    return [write.row for write in writes if isinstance(write, Insert) and isinstance(write.row, kind)]


def heard(row: Instance, *jobs: JobReport, asked: float = NOW, boot_id: str | None = None) -> Heard:
    """A host's answer."""
    boot = row.boot_id if boot_id is None else boot_id
    return Heard(report=Report(boot_id=boot, uptime=9.0, agent="1", jobs={job.job: job for job in jobs}), asked=asked)


def machine(row: Instance, state: MachineState = MachineState.RUNNING, **changes: Any) -> Machine:
    """The machine of an instance, as its cloud lists it."""
    known = {"cloud_id": row.cloud_id, "token": row.token, "index": row.index, "type": row.type, "address": row.address}
    return Machine(**{**known, "state": state, **changes})


LIVE_STATES = [state.name for state in INSTANCE.states if state.kind is not Kind.FINAL]
KINDS = ("small", "large")
REASONS = ("", "size", "drift", "evicted")


@st.composite
def random_cases(draw: st.DrawFn) -> Case:
    """Anything that the database, the clouds and the hosts might say, whether it can come to pass or not."""
    sizes = {kind: draw(st.tuples(st.integers(0, 3), st.integers(0, 3)).map(sorted)) for kind in KINDS}
    pool = evolve(
        POOL,
        size={kind: Size(low=low, high=high) for kind, (low, high) in sizes.items()},
        slots=draw(st.integers(1, 2)),
    )
    rows = [
        instance(
            f"i{number}", draw(st.sampled_from(LIVE_STATES)), type=draw(st.sampled_from(KINDS)),
            spec_hash=draw(st.sampled_from((HASH, "v0"))), reason=draw(st.sampled_from(REASONS)),
            since=NOW - draw(st.sampled_from((1.0, 400.0, 1e6))), strikes=draw(st.integers(0, 6)),
        )
        for number in range(draw(st.integers(0, 5)))
    ]  # fmt: skip
    work = []
    for number, row in enumerate(rows):
        if row.state in ("ready", "draining", "terminating") and draw(st.booleans()):
            state = draw(st.sampled_from(("staging", "running", "collecting", "cancelling")))
            work.append(at_work(f"w{number}", row.id, state, cancel_wanted=draw(st.booleans())))
    queue = [
        submission(f"q{number}", types=draw(st.sampled_from(("[]", '["large"]'))))
        for number in range(draw(st.integers(0, 4)))
    ]
    hosts: dict[str, Heard | Silence] = {}
    for row in rows:
        said = draw(st.sampled_from(("nothing", "silence", "report", "another boot")))
        jobs = [_job(draw, attempt.id) for _, attempt in work if attempt.instance_id == row.id and draw(st.booleans())]
        if said == "silence":
            hosts[row.id] = Silence(error="no", at=NOW)
        elif said != "nothing":
            hosts[row.id] = heard(row, *jobs, boot_id=row.boot_id if said == "report" else "other")
    return case(
        instances=rows, work=work, queue=queue, pool=pool, observed={"hosts": hosts}, settle=draw(st.booleans())
    )  # fmt: skip


def _job(draw: st.DrawFn, job: str) -> JobReport:
    state = draw(st.sampled_from(list(JobState)))
    return JobReport(job=job, state=state, exit_code=draw(st.integers(0, 2)) if state is JobState.EXITED else None)


def types(*names: str) -> str:
    """As a row has it."""
    return json.dumps(list(names))
