"""What RAMP leaves in training_output, read as other people's files: bounded, never unpickled, never believed.

`training_output/fold_<i>/` holds predictions, scores.csv (a row for each of train, valid and test, a column a score)
and, after a failure, error.txt; `training_output/bagged_scores.csv` has a row for each step and number of bagged folds.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from reconciler.model.printable import printable
from reconciler.rampdb.memory import PROFILE, profiled

OUTPUT = "training_output"
PREDICTIONS = ("y_pred_train.npz", "y_pred_test.npz")
STEPS = ("train", "valid", "test")

_FOLD = re.compile(rf"{OUTPUT}/(fold_[^/]+)/([^/]+)")
_MOST_BYTES = 256 * 1024  # of one table of scores
_MOST_SCORES = 100  # columns of one table
_MOST = 1e300  # beyond it a mean might overflow
_LONGEST_NAME = 60
_NO_SCORE = frozenset({"step", "n_bag", "time"})


class UnreadableError(ValueError):
    """A file that came home is not what RAMP writes. The message says which and why, on one line."""


def folds(outputs: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """Fold → the names of its files, in the order of their numbers."""
    found: dict[str, set[str]] = {}
    for name in outputs:
        if match := _FOLD.fullmatch(name):
            found.setdefault(match[1], set()).add(match[2])
    return {fold: frozenset(found[fold]) for fold in sorted(found, key=lambda fold: (len(fold), fold))}


def failed_folds(found: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """The folds in which the submission raised."""
    return tuple(fold for fold, names in found.items() if "error.txt" in names)


def unfinished(found: Mapping[str, frozenset[str]]) -> str:
    """Why RAMP would not call this trained; empty when it would."""
    if not found:
        return f"there is no fold in {OUTPUT}"
    for fold, names in found.items():
        for each in PREDICTIONS:
            if each not in names:
                return f"{OUTPUT}/{printable(fold, _LONGEST_NAME)} has no {each}"
    return ""


def scores(home: Path, outputs: Sequence[str]) -> Mapping[str, float]:
    """`valid acc`: the mean over folds; `bagged valid acc`: of all folds together; `peak memory (MiB)`, if profiled.

    Tables that an old RAMP does not write are left out. Raises UnreadableError.
    """
    there = frozenset(outputs)
    tables = [name for name in there if (match := _FOLD.fullmatch(name)) and match[2] == "scores.csv"]
    found = _means([_by_step(home, name) for name in sorted(tables)])
    bagged = f"{OUTPUT}/bagged_scores.csv"
    if bagged in there:
        found |= {f"bagged {name}": value for name, value in _by_step(home, bagged).items()}
    if len(found) > 2 * len(STEPS) * _MOST_SCORES:
        raise UnreadableError(f"{OUTPUT} holds {len(found)} different scores, which is more than a kit can have")
    if PROFILE in there and (peak := profiled(home / PROFILE)):
        found["peak memory (MiB)"] = peak
    return found


def _means(tables: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each score over the folds that have it."""
    values: dict[str, list[float]] = {}
    for table in tables:
        for name, value in table.items():
            values.setdefault(name, []).append(value)
    return {name: math.fsum(value / len(each) for value in each) for name, each in values.items()}


def _by_step(home: Path, name: str) -> dict[str, float]:
    """`<step> <score>` → value. Of several rows for a step, the last one, which in a bagged table has all folds."""
    where = printable(name, 2 * _LONGEST_NAME)
    header, *rows = _table(home / name, where)
    columns = [(at, printable(each, _LONGEST_NAME)) for at, each in enumerate(header) if each not in _NO_SCORE]
    names = [column for _, column in columns]
    if "step" not in header or len(header) > _MOST_SCORES or not all(names) or len(set(names)) < len(names):
        raise UnreadableError(f"{where} has another header than RAMP writes")
    found: dict[str, float] = {}
    for row in rows:
        step = row[header.index("step")] if len(row) == len(header) else ""
        if step not in STEPS:
            raise UnreadableError(f"{where} has a row that RAMP does not write: {printable(','.join(row), 80)}")
        found |= {f"{step} {column}": _number(row[at], f"{step} {column} in {where}") for at, column in columns}
    return found


def _table(file: Path, where: str) -> list[list[str]]:
    """The rows of a small CSV file, with its header."""
    try:
        with file.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise UnreadableError(f"{where} is larger than {_MOST_BYTES // 1024} KiB")
        rows = list(_rows(data.decode("utf-8")))
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{where} is not UTF-8") from error
    except (OSError, csv.Error) as error:
        raise UnreadableError(f"{where} cannot be read: {printable(str(error))}") from error
    if not rows:
        raise UnreadableError(f"{where} is empty")
    return rows


def _rows(text: str) -> Iterator[list[str]]:
    return (row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row)


def _number(text: str, where: str) -> float:
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not abs(value) <= _MOST:
        raise UnreadableError(f"{where} is not a number: '{printable(text, _LONGEST_NAME)}'")
    return value
