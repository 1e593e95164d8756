"""What each submission with an open attempt does next, from its host's report, its effect's answer and its machine.

An attempt closes on evidence alone: the agent's word that nothing of it is left, or the cloud's that its machine is
stopped or gone. Everything that ends on a host that answers goes through collecting, whose effect kills first.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import evolve, field, frozen

from reconciler.decide.case import Case, Draft
from reconciler.decide.deadlines import MARGIN, deadline
from reconciler.decide.moves import can, move_instance, move_submission, strike
from reconciler.decide.outcomes import final, may_retry, of_report, retry_at, spent
from reconciler.decide.telling import tell
from reconciler.lifecycle.instance import INSTANCE, OFF
from reconciler.lifecycle.submission import SUBMISSION
from reconciler.model.assignment import Assignment
from reconciler.model.change import Step, Update
from reconciler.model.job import JobReport
from reconciler.model.offer import Fault
from reconciler.model.rows import Attempt, Instance, Outcome, Submission
from reconciler.model.snapshot import Done, Failed, Verdict
from reconciler.spec.sinks import CANCELLED, OVER, REQUEUED
from reconciler.spec.values import Deadlines, Retries


@frozen
class View:
    """One submission with its open attempt, and all that is known about it in this pass."""

    case: Case
    row: Submission
    attempt: Attempt
    instance: Instance | None  # None: final, or of a version that we cannot read
    due: float = field(init=False)  # when its state is overdue

    @due.default
    def _find_due(self) -> float:
        """A run's deadline is the limit that its host enforces, and a margin."""
        row = self.row
        if row.state == "running":
            return row.clock + Assignment.from_json(self.attempt.frozen).limit + MARGIN
        return deadline(SUBMISSION, row.state, row.clock, self.deadlines)

    @property
    def deadlines(self) -> Deadlines:
        """Those of its pool, or the defaults where the pool is no longer known."""
        wish = self.case.desired.pools.get(self.row.pool)
        return wish.pool.deadlines if wish else Deadlines()

    @property
    def job(self) -> JobReport | None:
        """What the latest report of its host says of it."""
        heard = self.case.heard(self.attempt.instance_id)
        return heard.report.jobs.get(self.attempt.id) if heard else None

    def step(self, event: str, why: str, found: str = "", **sets: Any) -> Step:
        """A transition that leaves the attempt open, with what was found of its outcome so far."""
        writes = [move_submission(self.case, self.row, event, **sets)]
        if found:
            writes.append(Update(table="attempts", id=self.attempt.id, version=None, sets={"outcome": found}))
        return Step(tuple(writes), f"{self.row.label}: {why}")


def submissions(case: Case, draft: Draft) -> None:
    """Move every submission with an open attempt by the first rule that applies, then cancel what still waits."""
    for row in case.recorded.submissions.values():
        attempt = case.recorded.attempts.get(row.attempt_id)
        if attempt is None:  # a row of a version that we cannot read: left alone
            continue
        draft.decide("submissions", row.id, partial(_next, case, draft, row, attempt))
    for row in case.recorded.wishes:
        cancel = move_submission(case, row, "cancel", reason=Outcome.CANCELLED)
        told = tell(case, row, "", CANCELLED)
        draft.add(Step((cancel, *told), f"{row.label}: cancelled"), ("submissions", row.id))


def _next(case: Case, draft: Draft, row: Submission, attempt: Attempt) -> Step | None:
    """The step of the first rule that has something to say; else when to look again."""
    view = View(case, row, attempt, case.recorded.instances.get(attempt.instance_id))
    step = next(filter(None, (rule(view) for rule in RULES)), None)
    if step is None:
        _end_wedged_machine(view, draft)
        draft.due(view.due)
    return step


def _machine_gone(view: View) -> Step | None:
    """No process of it can be left: its machine has ended, or is stopped."""
    row, instance = view.row, view.instance
    if instance is None or instance.state not in OFF:
        return None
    if row.state == "collecting" and not _nothing_is_home(view):
        return _look_at_once(view)  # what was brought home before the machine went counts: its effect looks
    if row.state == "cancelling":
        return close(view, "machine_gone", Outcome.CANCELLED, None, None)
    found = Outcome.NEVER_STARTED if row.state == "staging" else Outcome.LOST
    outcome = Outcome.EVICTED if instance.reason == "evicted" else found
    return close(view, "machine_gone", outcome, None, None, f"its machine {instance.id} is gone: {instance.reason}")


def _look_at_once(view: View) -> Step | None:
    """Its effect has nobody to wait for any more, however often the machine did not answer."""
    row = view.row
    if row.not_before <= view.case.now:
        return None
    update = Update(table="submissions", id=row.id, version=row.version, sets={"not_before": 0.0})
    return Step((update,), f"{row.label}: its machine is gone: what is home of it counts")


def _nothing_is_home(view: View) -> bool:
    answer = view.case.answer("submissions", view.row.id, view.row.state, view.row.since)
    return answer is not None and isinstance(answer.result, Done) and answer.result.event == "machine_gone"


def _answered(view: View) -> Step | None:
    """What came of the effect of its state."""
    row = view.row
    answer = view.case.answer("submissions", row.id, row.state, row.since)
    if answer is None:
        return None
    if isinstance(answer.result, Failed):
        return _failed(view, answer.result)
    return _did(view, answer.result)


def _did(view: View, done: Done) -> Step | None:
    row = view.row
    if row.state == "staging" and done.job:
        return _reported(view, done.job)
    if row.state == "collecting" and done.verdict:
        outcome = final(view.attempt.outcome, done.job, done.verdict.outcome)
        return close(view, "collected", outcome, done.job, done.verdict, done.verdict.message)
    if row.state == "cancelling":
        return close(view, "killed", Outcome.CANCELLED, done.job, done.verdict)
    return None


def _failed(view: View, failed: Failed) -> Step:
    if view.row.state == "staging" and failed.fault is Fault.REFUSED:
        return view.step("overdue", failed.message, Outcome.NEVER_STARTED, message=failed.message)
    return Step((strike("submissions", view.row, failed, view.case.now),), f"{view.row.label}: {failed.message}")


def _cancelled(view: View) -> Step | None:
    """Somebody asked."""
    if view.row.cancel_wanted and can(SUBMISSION, view.row.state, "cancel"):
        return view.step("cancel", "is being cancelled")
    return None


def _seen(view: View) -> Step | None:
    """Its host's report names it, or no longer does."""
    row = view.row
    if row.state not in ("staging", "running"):
        return None
    if view.job:
        return _reported(view, view.job)
    heard = view.case.heard(view.attempt.instance_id)
    if row.state == "running" and heard and heard.asked > row.since:
        return view.step("missing", "its host does not know it any more", Outcome.LOST)
    return None


def _reported(view: View, job: JobReport) -> Step | None:
    if job.over:
        over = view.step("over", "is over", of_report(job))
        return Step((*over.writes, *tell(view.case, view.row, view.attempt.id, OVER)), over.why)
    if view.row.state != "staging":
        return None
    started = view.step("started", "runs")
    at = job.started.timestamp() if job.started else view.case.now
    begun = Update(table="attempts", id=view.attempt.id, version=None, sets={"started": at})
    return Step((*started.writes, begun, *tell(view.case, view.row, view.attempt.id, "started")), started.why)


def _noticed(view: View) -> Step | None:
    """The cloud takes its machine back: stop it while there is time to bring home what is there."""
    if view.instance is None or view.instance.reason != "evicted" or not can(SUBMISSION, view.row.state, "notice"):
        return None
    return view.step("notice", "its machine is being evicted", Outcome.EVICTED)


def _overdue(view: View) -> Step | None:
    """Its state's deadline has passed."""
    row = view.row
    if view.due > view.case.now:
        return None
    if row.state in ("collecting", "cancelling") and not _nothing_is_left(view):
        return None
    if row.state == "cancelling":
        return close(view, "killed", Outcome.CANCELLED, None, None)
    if row.state == "collecting":
        why = f"results could not be brought home: {row.last_error}"
        return close(view, "overdue", Outcome.LOST, None, None, why)
    found = Outcome.NEVER_STARTED if row.state == "staging" else Outcome.TIMEOUT
    return view.step("overdue", f"{row.state} took too long", found)


def _nothing_is_left(view: View) -> bool:
    """Evidence that no process of it is left, though its effect came to nothing.

    Its host says so; or we cannot end its machine, and the limit that its host enforces has passed with a margin.
    """
    if view.job is not None:
        return view.job.over
    limit = Assignment.from_json(view.attempt.frozen).limit
    instance = view.instance
    return bool(instance and instance.state == "terminating" and instance.since + limit + MARGIN <= view.case.now)


def _end_wedged_machine(view: View, draft: Draft) -> None:
    """A job that can be neither ended nor brought home in time is ended with its machine."""
    instance = view.instance
    if view.row.state not in ("cancelling", "collecting") or view.due > view.case.now or instance is None:
        return
    if can(INSTANCE, instance.state, "unreachable") and draft.is_free("instances", instance.id):
        end = move_instance(view.case, instance, "unreachable", reason="unreachable")
        draft.add(Step((end,), f"{instance.id}: {view.row.label} cannot be ended on it"), ("instances", instance.id))


def close(
    view: View, event: str, outcome: str, job: JobReport | None, verdict: Verdict | None, message: str = ""
) -> Step:
    """Close the attempt, and with it decide whether the submission ends or is tried again."""
    case, row = view.case, view.row
    wish = case.desired.pools.get(row.pool)
    counts = spent(row, outcome)
    again = may_retry(wish.pool.retries if wish else Retries(), outcome, counts)
    worked = outcome == Outcome.SUCCEEDED
    move = move_submission(
        case, row, event, worked=worked, may_retry=again,
        reason="" if worked else str(outcome), message=message, spent=json.dumps(counts, sort_keys=True),
    )  # fmt: skip
    if move.target == "queued":
        move = evolve(move, sets={**move.sets, "not_before": retry_at(outcome, counts, case.now)})
    if move.target == "cancelled":
        move = evolve(move, sets={**move.sets, "reason": str(Outcome.CANCELLED)})
    sets: dict[str, Any] = {"closed": case.now, "outcome": str(outcome), "message": message}
    if job:
        sets |= {
            "exit_code": job.exit_code,
            "started": job.started.timestamp() if job.started else view.attempt.started,
            "ended": job.ended.timestamp() if job.ended else case.now,
            "peak_memory": job.peak_memory,
        }
    if verdict:
        sets |= {"scores": json.dumps(dict(verdict.scores), sort_keys=True), "results": verdict.results}
    closed = Update(table="attempts", id=view.attempt.id, version=None, sets=sets)
    told = tell(case, row, view.attempt.id, REQUEUED if move.target == "queued" else move.target)
    return Step((move, closed, *told), f"{row.label}: {outcome}")


# The cloud's word before the host's; what somebody asked for before what a report says; deadlines last.
RULES: tuple[Callable[[View], Step | None], ...] = (
    _machine_gone,
    _answered,
    _cancelled,
    _seen,
    _noticed,
    _overdue,
)
