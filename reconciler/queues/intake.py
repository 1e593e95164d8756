"""What a reading of a queue means for what is recorded. Pure.

A changed folder is a new submission: it takes the place of one that still waits, and waits itself for one that runs.
A folder that is gone in two good readings withdraws one that waits, and nothing else, unless its queue says so; one
that comes back is taken. What has ended otherwise is not taken again unless it changed, or its queue asks for it anew.
A bad reading means nothing.
"""

from collections.abc import Mapping

from attrs import frozen

from reconciler.lifecycle.submission import SUBMISSION
from reconciler.model.rows import Outcome, Submission
from reconciler.queues.base import Entry, Reading

WITHDRAWN = "withdrawn"  # the reason of a submission whose folder was gone: when it is back, it is taken again
ABSENCES = 2  # good readings in a row that a waiting submission must be missing from


@frozen
class Take:
    """A new submission."""

    entry: Entry


@frozen
class Supersede:
    """A new submission, and the one of the same key that still waits gives way."""

    submission: Submission
    entry: Entry


@frozen
class Withdraw:
    """A waiting submission whose folder is gone."""

    submission: Submission


@frozen
class Absent:
    """A waiting submission is missing from a good reading: once more, and it is withdrawn."""

    submission: Submission


@frozen
class Present:
    """A submission that was missing is there again."""

    submission: Submission


@frozen
class Renew:
    """One that has ended, and that its queue asks for again."""

    submission: Submission
    entry: Entry


@frozen
class End:
    """One that has begun, and whose queue does not want it any more."""

    submission: Submission


Intention = Take | Supersede | Withdraw | Absent | Present | Renew | End


def intake(reading: Reading, latest: Mapping[str, Submission]) -> tuple[Intention, ...]:
    """What to do for each entry, and for each waiting submission that has none; `latest` is by key."""
    if not reading.good:
        return ()
    wanted: list[Intention] = []
    for entry in reading.entries:
        known = latest.get(entry.key)
        if known is None:
            wanted.append(Take(entry))
        elif not _same(known, entry):
            wanted += _changed(known, entry)
        elif entry.renewed and SUBMISSION.is_final(known.state):
            wanted.append(Renew(known, entry))
        elif known.absences and not SUBMISSION.is_final(known.state):
            wanted.append(Present(known))
    there = {entry.key for entry in reading.entries} | reading.unsettled
    for key, row in latest.items():
        if key not in there and not SUBMISSION.is_final(row.state):
            wanted += _missing(row, reading)
        elif key in reading.unsettled and row.absences and not SUBMISSION.is_final(row.state):
            wanted.append(Present(row))
    return tuple(wanted)


def _missing(row: Submission, reading: Reading) -> list[Intention]:
    if row.state != SUBMISSION.initial and (not reading.missing_ends or row.cancel_wanted):
        return []
    if row.absences + 1 < ABSENCES:
        return [Absent(row)]
    return [Withdraw(row) if row.state == SUBMISSION.initial else End(row)]


def _changed(known: Submission, entry: Entry) -> list[Intention]:
    """What becomes of a folder whose content is another than the one that is known."""
    if SUBMISSION.is_final(known.state):
        return [Take(entry)]
    if known.state == SUBMISSION.initial:
        return [Supersede(known, entry)]
    return []  # it runs: the new one waits until it has ended


def _same(known: Submission, entry: Entry) -> bool:
    """Whether nothing is new: a problem is told once, and a content is taken once."""
    if SUBMISSION.is_final(known.state) and known.reason == WITHDRAWN:
        return False
    if entry.problem:
        return known.reason == Outcome.INVALID and known.message == entry.problem
    return known.content == entry.content
