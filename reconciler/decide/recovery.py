"""Rows written again after the database was lost: machines from their tags, attempts from the papers they carry. Pure.

What nobody remembers any more is gone: a submission that was queued by command and never started.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from attrs import evolve, field, frozen

from reconciler.decide.outcomes import final, may_retry
from reconciler.lifecycle.submission import SUBMISSION
from reconciler.model.change import Insert, Step, Update, Write
from reconciler.model.job import JobReport, Report
from reconciler.model.offer import Machine, MachineState, Place
from reconciler.model.papers import Papers
from reconciler.model.rows import Attempt, Instance, Outcome, Submission
from reconciler.model.snapshot import Verdict
from reconciler.model.tags import SPEC
from reconciler.spec.values import Pool

# What a machine that does not run is taken in as; any other boots.
STATES: Mapping[MachineState, str] = MappingProxyType(
    {MachineState.STOPPED: "stopped", MachineState.STOPPING: "stopped"}
)


@frozen(kw_only=True)
class Survivor:
    """A machine of ours without a row, and what its host says."""

    machine: Machine
    place: Place
    pool: Pool
    settings: str  # the pool's cloud settings today
    report: Report | None = None  # None: it does not run
    papers: tuple[Papers, ...] = ()  # of the jobs on it


@frozen(kw_only=True)
class Result:
    """Results that are home, and the papers that lie with them."""

    papers: Papers
    report: JobReport
    verdict: Verdict
    folder: str  # relative to the results folder


@frozen(kw_only=True)
class Known:
    """What the database holds now."""

    now: float
    instances: frozenset[str] = frozenset()
    attempts: frozenset[str] = frozenset()
    submissions: Mapping[str, Submission] = field(factory=dict)
    labels: frozenset[str] = frozenset()
    pools: Mapping[str, tuple[Pool, Place]] = field(factory=dict)  # those of today, and where they buy


def machine_step(survivor: Survivor, instance_id: str, known: Known) -> Step:
    """The row of a machine, bound from its birth: the next passes ask its host, and prepare it if it was not."""
    machine = survivor.machine
    row = Instance(
        id=instance_id, version=1, pool=survivor.pool.pool, token=machine.token or f"found-{machine.cloud_id}",
        index=machine.index, type=machine.type, market=str(survivor.pool.market[0]), zone="",
        cloud=survivor.place.cloud, place=survivor.place.settings, settings=survivor.settings,
        spec_hash=machine.tags.get(SPEC, ""), state=STATES.get(machine.state, "booting"), reason="", since=known.now,
        born=machine.born.timestamp() if machine.born else known.now, cloud_id=machine.cloud_id,
        address=machine.address, boot_id="", host_key=survivor.report.host_key if survivor.report else "",
        adopted=False, strikes=0, strikes_since=0.0, not_before=0.0, last_error="", claim_by="", claim_until=0.0,
    )  # fmt: skip
    return Step((Insert(table="instances", row=row, why="adopted"),), f"{row.id}: is {machine.cloud_id}")


def former_id(survivor: Survivor) -> str:
    """The id that its row had, as the name of its setup tells it; empty where that is not known."""
    prefix, suffix = "setup-", f"-{survivor.machine.tags.get(SPEC, '')}"
    jobs = survivor.report.jobs if survivor.report else {}
    names = (job.removeprefix(prefix).removesuffix(suffix) for job in jobs if job.startswith(prefix))
    return next(iter(names), "")


def running_step(papers: Papers, instance_id: str, boot_id: str, known: Known) -> Step | None:
    """An attempt that a machine still holds is open again; None where the database has another idea of it."""
    there = known.submissions.get(papers.submission.id)
    attempt = evolve(
        papers.attempt, instance_id=instance_id, boot_id=boot_id, closed=None, outcome="", exit_code=None, message="",
        ended=None, results="", scores="{}",
    )  # fmt: skip
    if attempt.id in known.attempts:
        return None
    if there is None:
        row = _reborn(papers.submission, known, "running", attempt)
        born: tuple[Write, ...] = (Insert(table="submissions", row=row, why="adopted"),)
    elif there.state == SUBMISSION.initial:
        sets = {"attempt_id": attempt.id, "attempts": attempt.number, "reason": "", "message": ""}
        born = (Update(table="submissions", id=there.id, version=there.version, event="place", source="queued",
                       target="staging", sets=sets),)  # fmt: skip
    else:
        return None
    return Step((*born, Insert(table="attempts", row=attempt)), f"{papers.submission.label}: is on {instance_id}")


def finished_steps(results: Iterable[Result], known: Known) -> list[Step]:
    """Submissions whose results are home: ended as those say, or queued again where their pool would try again.

    One whose pool is no longer there is left as it is: a folder of results.
    """
    by_submission: dict[str, list[Result]] = {}
    for result in results:
        submission = result.papers.submission
        if submission.id not in known.submissions and submission.pool in known.pools:
            by_submission.setdefault(submission.id, []).append(result)
    steps = []
    machines: dict[str, str] = {}
    for _, found in sorted(by_submission.items()):
        found.sort(key=lambda result: result.papers.attempt.number)
        machines |= {result.papers.attempt.instance_id: result.papers.submission.pool for result in found}
        steps.append(_finished(found, known))
    gone = [_gone(name, pool, known) for name, pool in sorted(machines.items()) if name not in known.instances]
    return [*(Step((Insert(table="instances", row=row, why="adopted"),), f"{row.id}: is gone") for row in gone), *steps]


def _finished(found: Sequence[Result], known: Known) -> Step:
    attempts = [_closed(result, known) for result in found]
    last, submission = attempts[-1], found[-1].papers.submission
    counts = Counter(attempt.outcome for attempt in attempts)
    again = may_retry(known.pools[submission.pool][0].retries, last.outcome, counts)
    state = "succeeded" if last.outcome == Outcome.SUCCEEDED else "queued" if again else "failed"
    if last.outcome == Outcome.CANCELLED:
        state = "cancelled"
    row = _reborn(submission, known, state, last)
    row = evolve(row, reason="" if state == "succeeded" else last.outcome, message=last.message,
                 spent=json.dumps(counts, sort_keys=True))  # fmt: skip
    born = Insert(table="submissions", row=row, why="adopted")
    return Step(
        (born, *(Insert(table="attempts", row=attempt) for attempt in attempts)),
        f"{row.label}: {state}, its results are home",
    )


def _closed(result: Result, known: Known) -> Attempt:
    report, verdict = result.report, result.verdict
    attempt = result.papers.attempt
    return evolve(
        attempt, closed=known.now, outcome=final(attempt.outcome, report, verdict.outcome),
        exit_code=report.exit_code, started=report.started.timestamp() if report.started else attempt.started,
        ended=report.ended.timestamp() if report.ended else known.now, peak_memory=report.peak_memory,
        message=verdict.message, scores=json.dumps(dict(verdict.scores), sort_keys=True), results=result.folder,
    )  # fmt: skip


def _reborn(row: Submission, known: Known, state: str, attempt: Attempt) -> Submission:
    label = row.label if row.label not in known.labels else f"{row.label}-{row.id[:8]}"
    return evolve(
        row, version=1, label=label, state=state, reason="", message="", since=known.now, clock=known.now,
        attempts=attempt.number, attempt_id=attempt.id, cancel_wanted=False, absences=0, strikes=0, not_before=0.0,
        last_error="", claim_by="", claim_until=0.0,
    )  # fmt: skip


def _gone(name: str, pool: str, known: Known) -> Instance:
    """The row of a machine that nobody will see again: its attempts point to it."""
    place = known.pools[pool][1]
    return Instance(
        id=name, version=1, pool=pool, token=f"lost-{name}", index=0, type="", market="", zone="", cloud=place.cloud,
        place=place.settings, settings="", spec_hash="", state="terminated", reason="lost with the database",
        since=known.now, born=known.now, cloud_id="", address="", boot_id="", host_key="", adopted=False, strikes=0,
        strikes_since=0.0, not_before=0.0, last_error="", claim_by="", claim_until=0.0,
    )  # fmt: skip
