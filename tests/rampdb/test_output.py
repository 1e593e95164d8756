"""Results as RAMP writes them, and as it never would."""

import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.rampdb.memory import peak_memory
from reconciler.rampdb.output import OutputError, check, read_output
from reconciler.rampdb.tables import packed

Home = Callable[[str], Path]


def test_a_real_training_is_read(home: Home) -> None:
    output = read_output(home("good") / "training_output")
    check(output, 3, ["acc", "nll"])
    assert {step: list(scores) for step, scores in output.folds[0].scores.items()} == {
        step: ["acc", "nll", "time"] for step in ("train", "valid", "test")
    }
    assert len(output.bagged["valid"]["acc"]) == 3


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("fold_1/scores.csv", None, "fold_1/scores.csv cannot be read: No such file or directory"),
        ("fold_1/scores.csv", b"", "fold_1/scores.csv is not a table"),
        ("fold_1/scores.csv", b"step,acc,nll\ntrain,1\n", "fold_1/scores.csv is not the table that RAMP writes"),
        ("fold_1/scores.csv", b"acc,nll\n1,2\n", "fold_1/scores.csv is not the table that RAMP writes"),
        ("fold_1/scores.csv", b"step,acc\nlater,1\n", "fold_1/scores.csv has other steps than train, valid and test"),
        ("fold_1/scores.csv", b"step,acc\ntrain,1\n", "fold_1/scores.csv has no score `nll`, as the event has"),
        ("fold_1/scores.csv", b"step,acc\ntrain,\x1b[1m\n", "fold_1/scores.csv has `` where a number belongs"),
        ("fold_1/scores.csv", b"\xff\xfe", "fold_1/scores.csv is not UTF-8"),
        ("fold_1/train_time", b"soon", "fold_1/train_time has `soon` where a number belongs"),
        ("fold_1/train_time", b"1" * 2_000_000, "fold_1/train_time is larger than 1 MiB"),
        ("bagged_scores.csv", None, "bagged_scores.csv cannot be read: No such file or directory"),
        ("bagged_scores.csv", b"step,n_bag,acc\nvalid,0,1\n", "bagged_scores.csv has no `nll` for valid, as the event"),
    ],
)
def test_what_does_not_fit_says_where(home: Home, file: str, content: bytes | None, expected: str) -> None:
    folder = home("good") / "training_output"
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(OutputError) as caught:
        check(read_output(folder), 3, ["acc", "nll"])
    assert str(caught.value).startswith(expected)


def test_bags_are_in_order_whatever_the_order_of_rows(home: Home) -> None:
    folder = home("good") / "training_output"
    (folder / "bagged_scores.csv").write_text("step,n_bag,acc\ntest,10,3\ntest,9,2\ntest,0,1\n")
    assert read_output(folder).bagged == {"test": {"acc": [1.0, 2.0, 3.0]}}


def test_an_array_is_what_numpy_reads() -> None:
    import pickle

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import numpy as np
    for values in ([0.1, 0.25, 1e-300], [float("inf"), float("-inf")], []):
        array = pickle.loads(zlib.decompress(packed(values)))
        assert array.dtype == np.float64
        assert array.tolist() == values


def test_the_profile_of_memory_goes_before_the_hosts_measure(tmp_path: Path) -> None:
    assert peak_memory(None, None) is None
    assert peak_memory(tmp_path, 12.5) == 12.5
    (tmp_path / "mprof.dat").write_text("CMDLINE python\nMEM 80.5 1.0\nMEM 120.25 2.0\nMEM x 3.0\n")
    assert peak_memory(tmp_path, 12.5) == 120.25
