"""What a run that ends leaves people with: every submission, its scores or why it failed and where its log is, then
the machines that go on, and what is left to do.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.deployment import Deployment
from reconciler.cli.printing import cell, lasting, number, say, show, state_cell, table
from reconciler.cli.status import verdict
from reconciler.decide.settled import Standing
from reconciler.lifecycle.submission import SUBMISSION
from reconciler.model.rows import Attempt, Submission

if TYPE_CHECKING:
    from rich.text import Text

MOST = 200  # submissions in the table: the latest
MOST_SCORES = 4  # columns of scores


def summary(deployment: Deployment) -> None:
    """Print the table of submissions, the failures, and the machines that run on."""
    rows = deployment.store.submissions(limit=MOST)
    attempts = deployment.attempts(rows)
    found = {row.id: scores_of(attempts.get(row.attempt_id)) for row in rows}
    names = list(dict.fromkeys(name for scores in found.values() for name in scores))[:MOST_SCORES]
    lines = [_line(row, attempts.get(row.attempt_id), found[row.id], names) for row in rows]
    say()
    show(table(("SUBMISSION", "STATE", "TRY", *names), lines, fold=("SUBMISSION", *names)))
    if not rows:
        say("no submissions")
    for text in explained(deployment, rows, attempts):
        say(text)
    _machines(deployment)


def scores_of(attempt: Attempt | None) -> Mapping[str, Any]:
    """The scores of an attempt, by name."""
    found: Mapping[str, Any] = json.loads(attempt.scores or "{}") if attempt else {}
    return found


def _line(row: Submission, attempt: Attempt | None, scores: Mapping[str, Any], names: list[str]) -> list["Text"]:
    tries = cell(attempt.number if attempt else "")
    return [cell(row.label), state_cell(row.state), tries, *(cell(number(scores.get(name, ""))) for name in names)]


def explained(deployment: Deployment, rows: list[Submission], attempts: Mapping[str, Attempt]) -> Iterator[str]:
    """One line for each that did not work: why, and the path of its log."""
    for row in rows:
        if row.state == "succeeded":
            continue
        attempt = attempts.get(row.attempt_id)
        home = deployment.results(attempt)
        why = verdict(row, attempt) or ("it waits" if not SUBMISSION.is_final(row.state) else "no reason was given")
        place = f" (log: {near(home / 'log')})" if home and str(home / "log") not in why else ""
        yield f"{row.label} {row.state}: {why}{place}"


def near(path: Path) -> Path:
    """A path as one would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _machines(deployment: Deployment) -> None:
    now = deployment.store.now()
    rows = deployment.store.instances()
    if rows:
        say()
        say("machines that go on:")
        lines = [(row.id, row.type, state_cell(row.state), lasting(now - row.since), row.cloud_id) for row in rows]
        show(table(("INSTANCE", "TYPE", "STATE", "FOR", "CLOUD ID"), lines, fold=("INSTANCE", "CLOUD ID")))


def left(standing: Standing, most: int = 10) -> Iterator[str]:
    """What is still in flight, or set aside for somebody to look at."""
    for title, what in (("in flight", standing.in_flight), ("set aside", standing.set_aside)):
        for text in what[:most]:
            yield f"{title}: {text}"
        if len(what) > most:
            yield f"{title}: … and {len(what) - most} more"
