"""The rows that RAMP's own tools would write (ramp_database/tools/submission.py), in one transaction of ours each."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import BindParameter, Connection, bindparam, select, update

from reconciler.rampdb.access import SubmissionRow
from reconciler.rampdb.output import BAGGED, STEPS, Output, check
from reconciler.rampdb.states import NEW, Standing, Tidings
from reconciler.rampdb.tables import FOLD_SCORES, FOLDS, SCORE_TYPES, SCORES, SUBMISSIONS, packed


@frozen
class Shape:
    """Which rows of scores a submission has."""

    folds: Sequence[int]  # ids, in the order of the folds
    scores: Mapping[int, str]  # id → the score's name


def standing(connection: Connection, submission: int) -> Standing | None:
    """Where a submission stands, locked until the transaction ends; None where it has been deleted."""
    c = SUBMISSIONS.c
    found = connection.execute(
        select(c.state, c.sent_to_training_timestamp, c.queue_position).where(c.id == submission).with_for_update()
    ).first()
    return Standing(state=found[0], sent=found[1], position=found[2]) if found else None


def shape(connection: Connection, submission: int) -> Shape:
    """The rows that were made for a submission's scores when it was handed in."""
    folds = connection.scalars(select(FOLDS.c.id).where(FOLDS.c.submission_id == submission).order_by(FOLDS.c.id)).all()
    scores = connection.execute(
        select(SCORES.c.id, SCORE_TYPES.c.name)
        .join(SCORE_TYPES, SCORE_TYPES.c.id == SCORES.c.event_score_type_id)
        .where(SCORES.c.submission_id == submission)
        .order_by(SCORES.c.id)
    )
    return Shape(folds, {row[0]: row[1] for row in scores})


def write_state(connection: Connection, submission: int, tidings: Tidings, *, error: str | None = None) -> None:
    """`set_submission_state` and `set_submission_error_msg`: the submission and its folds, with the times of it."""
    values: dict[str, Any] = {"state": tidings.state}
    if tidings.state != NEW:
        values |= {"sent_to_training_timestamp": tidings.moment, "queue_position": -1}
    if tidings.started is not None:
        values["training_timestamp"] = tidings.started
    if error is not None:
        values["error_msg"] = error
    connection.execute(update(SUBMISSIONS).where(SUBMISSIONS.c.id == submission).values(values))
    connection.execute(update(FOLDS).where(FOLDS.c.submission_id == submission).values(state=tidings.state))


def write_memory(connection: Connection, submission: int, memory: float) -> None:
    """`set_submission_max_ram`. MiB."""
    connection.execute(update(SUBMISSIONS).where(SUBMISSIONS.c.id == submission).values(max_ram=memory))


def write_scores(connection: Connection, submission: int, output: Output) -> None:
    """`set_time`, `set_scores` and `set_bagged_scores`. Raises OutputError where the results do not fit the event.

    A step that the results leave out keeps what RAMP put there when the submission came: the worst score there is.
    """
    found = shape(connection, submission)
    check(output, len(found.folds), list(found.scores.values()))
    for fold_id, fold in zip(found.folds, output.folds, strict=True):
        times = {f"{step}_time": fold.times[step] for step in STEPS}
        connection.execute(update(FOLDS).where(FOLDS.c.id == fold_id).values(times))
        _write_fold(connection, fold_id, fold.scores, found.scores)
    for score_id, name in found.scores.items():
        _write_bagged(
            connection, score_id, {step: output.bagged[step][name] for step in BAGGED if step in output.bagged}
        )


def _write_fold(
    connection: Connection, fold: int, scores: Mapping[str, Mapping[str, float]], names: Mapping[int, str]
) -> None:
    c = FOLD_SCORES.c
    values: dict[str, BindParameter[float]] = {f"{step}_score": bindparam(step) for step in scores}
    connection.execute(
        update(FOLD_SCORES)
        .where(c.submission_on_cv_fold_id == fold, c.submission_score_id == bindparam("of"))
        .values(values),
        [{"of": of, **{step: scores[step][name] for step in scores}} for of, name in names.items()],
    )


def _write_bagged(connection: Connection, score: int, values: Mapping[str, Sequence[float]]) -> None:
    sets: dict[str, float | bytes] = {}
    for step, each in values.items():
        sets |= {f"{step}_score_cv_bag": each[-1], f"{step}_score_cv_bags": packed(each)}
    if sets:
        connection.execute(update(SCORES).where(SCORES.c.id == score).values(sets))


def write_positions(connection: Connection, positions: Mapping[int, int], rows: Sequence[SubmissionRow]) -> None:
    """Number the queue anew: 1 is next. Only what changed is written."""
    for row in rows:
        position = positions.get(row.id, -1)
        if position != row.position:
            connection.execute(update(SUBMISSIONS).where(SUBMISSIONS.c.id == row.id).values(queue_position=position))
