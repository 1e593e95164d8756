"""What `ramp-test --save-output` leaves in training_output, as rows for RAMP's tables.

Read as other people's files: bounded, and never unpickled. The layout is ramp-workflow's: `fold_<i>/` with scores.csv
(`step,<score>…,time`) and train_time, valid_time, test_time (seconds), and bagged_scores.csv (`step,n_bag,<score>…`).
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from reconciler.model.printable import printable

STEPS = ("train", "valid", "test")
BAGGED = ("valid", "test")
_MOST_BYTES = 1024 * 1024  # of one file
_MOST_FOLDS = 10_000


class OutputError(ValueError):
    """What came home does not fit the event; the message says what, on one line."""


@frozen
class Fold:
    """One fold's results."""

    times: Mapping[str, float]  # step → seconds
    scores: Mapping[str, Mapping[str, float]]  # step → score → value


@frozen
class Output:
    """The results of one training."""

    folds: Sequence[Fold]
    bagged: Mapping[str, Mapping[str, Sequence[float]]]  # step → score → a value for each number of folds, ascending


def read_output(folder: Path) -> Output:
    """The results in a training_output. Raises OutputError for what is missing or not what RAMP writes."""
    count = sum(1 for number in range(_MOST_FOLDS) if (folder / f"fold_{number}").is_dir())
    return Output([_fold(folder / f"fold_{number}") for number in range(count)], _bagged(folder / "bagged_scores.csv"))


def check(output: Output, folds: int, names: Sequence[str]) -> None:
    """Raise OutputError unless the results have the event's folds and scores."""
    if len(output.folds) != folds:
        raise OutputError(f"the kit made {len(output.folds)} folds, and the event has {folds}")
    for number, fold in enumerate(output.folds):
        for step in fold.scores:
            for name in names:
                if name not in fold.scores[step]:
                    raise OutputError(
                        f"fold_{number}/scores.csv has no score `{printable(name, 60)}`, as the event has"
                    )
    for step, scores in output.bagged.items():
        for name in names:
            if name not in scores:
                raise OutputError(f"bagged_scores.csv has no `{printable(name, 60)}` for {step}, as the event has")


def _fold(folder: Path) -> Fold:
    times = {step: _number(_text(folder / f"{step}_time").strip(), folder / f"{step}_time") for step in STEPS}
    file = folder / "scores.csv"
    scores = {row["step"]: {name: _number(row[name], file) for name in row if name != "step"} for row in _table(file)}
    if not scores or not scores.keys() <= set(STEPS):
        raise OutputError(f"{_shown(file)} has other steps than train, valid and test")
    return Fold(times, scores)


def _bagged(file: Path) -> Mapping[str, Mapping[str, Sequence[float]]]:
    """RAMP takes the last number of folds for the score, and all of them in order for the curve."""
    rows = sorted(_table(file), key=lambda row: _number(row.get("n_bag", ""), file))
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        for name in row.keys() - {"step", "n_bag"}:
            found.setdefault(row["step"], {}).setdefault(name, []).append(_number(row[name], file))
    return found


def _table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a column `step`."""
    try:
        header, *rows = (row for row in csv.reader(io.StringIO(_text(file), newline=""), strict=True) if row)
    except (csv.Error, ValueError) as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{_shown(file)} is not a table") from error
    if "step" not in header or any(len(row) != len(header) for row in rows):
        raise OutputError(f"{_shown(file)} is not the table that RAMP writes")
    return [dict(zip(header, row, strict=True)) for row in rows]


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise OutputError(f"{_shown(file)} cannot be read: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise OutputError(f"{_shown(file)} is larger than 1 MiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise OutputError(f"{_shown(file)} is not UTF-8") from error


def _number(text: str, file: Path) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise OutputError(f"{_shown(file)} has `{printable(text, 60)}` where a number belongs") from error


def _shown(file: Path) -> str:
    """The file's place in training_output: the server's own folders are nobody's business."""
    return file.name if file.parent.name == "training_output" else f"{file.parent.name}/{file.name}"
