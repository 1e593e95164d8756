"""What an attempt's end means: its outcome, and whether its submission is tried again."""

import json
from collections.abc import Mapping
from types import MappingProxyType

from reconciler.decide.deadlines import backoff
from reconciler.model.job import Cause, JobReport, JobState
from reconciler.model.rows import Outcome, Submission
from reconciler.spec.values import Retries

# The outcome → how many retries the pool allows for it. An outcome that is not here is never tried again.
BUDGETS: Mapping[str, str] = MappingProxyType(
    {
        Outcome.EXIT_CODE: "exit_code",
        Outcome.TIMEOUT: "timeout",
        Outcome.LOST: "lost",
        Outcome.NEVER_STARTED: "never_started",
        Outcome.EVICTED: "evicted",
    }
)

# Seconds before the next attempt, doubling with each of that outcome; an eviction is nobody's fault and waits for none.
BACKOFF_FIRST = 10.0
BACKOFF_MOST = 600.0

# Found before collecting; they stand, whatever lies in the folder, unless the job ended by itself after all.
CUT_SHORT = frozenset({Outcome.EVICTED, Outcome.LOST, Outcome.NEVER_STARTED, Outcome.TIMEOUT})


def of_report(job: JobReport) -> str:
    """What the agent's last word says of an attempt; empty where the workload has to say it."""
    if job.state is JobState.EXITED:
        return "" if job.exit_code == 0 else Outcome.EXIT_CODE
    return Outcome.TIMEOUT if job.cause is Cause.TIMEOUT else Outcome.LOST


def final(found: str, job: JobReport | None, verdict: str) -> str:
    """The outcome once results are home: what was found before, the agent's last word, the workload's verdict."""
    if job is not None and job.state is JobState.EXITED:
        return verdict
    if found == Outcome.TIMEOUT and job is not None and job.state is JobState.GONE:
        return Outcome.LOST  # we took it for overdue before its host could say that it had been lost long ago
    if found in CUT_SHORT:
        return found
    return verdict if job is None or verdict == Outcome.INVALID else of_report(job) or verdict


def spent(submission: Submission, outcome: str) -> dict[str, int]:
    """How many attempts ended how, with this one."""
    counts: dict[str, int] = json.loads(submission.spent or "{}")
    counts[outcome] = counts.get(outcome, 0) + 1
    return counts


def may_retry(retries: Retries, outcome: str, counts: Mapping[str, int]) -> bool:
    """Whether the budget for this outcome lasts, `counts` including this attempt."""
    name = BUDGETS.get(outcome)
    if name is None:
        return False
    allowed: int | None = getattr(retries, name)
    return allowed is None or counts.get(outcome, 0) <= allowed


def retry_at(outcome: str, counts: Mapping[str, int], now: float) -> float:
    """When the next attempt may be placed."""
    if outcome == Outcome.EVICTED:
        return now
    return now + backoff(counts.get(outcome, 1), BACKOFF_FIRST, BACKOFF_MOST)
