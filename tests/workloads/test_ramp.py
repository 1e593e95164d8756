"""RAMP's own rule on what ramp-workflow 0.7.0 really wrote (data/), and on what it never would."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.rows import Outcome
from reconciler.model.snapshot import Verdict
from reconciler.rampdb.memory import profiled
from reconciler.spec.options import Ramp
from reconciler.workloads.ramp import RampWorkload
from reconciler.workloads.ramp_output import OUTPUT, UnreadableError, scores
from tests.workloads.work_cases import DATA, ORDERS, brought, exited

WORK = RampWorkload(Ramp(kit="~/kit", memory_profiling=True))
HEADER = "step,acc,time\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The results of a good run, to be spoilt."""
    return Path(shutil.copytree(DATA / "good", tmp_path / "home"))


def judge(home: Path, code: int = 0) -> Verdict:
    return WORK.verdict(ORDERS, exited(code), home, brought(home))


def test_a_good_run_has_scores_and_the_peak_of_its_memory() -> None:
    verdict = judge(DATA / "good")
    assert (verdict.outcome, verdict.message) == (Outcome.SUCCEEDED, "")
    kinds = {f"{bag}{step} {score}" for bag, step in (("", "train"), ("", "valid"), ("", "test"), ("bagged ", "valid"),
             ("bagged ", "test")) for score in ("acc", "nll")}  # fmt: skip
    assert verdict.scores.keys() == kinds | {"peak memory (MiB)"}
    # As ramp-test printed them, rounded.
    assert round(verdict.scores["valid acc"], 2) == 0.9
    assert round(verdict.scores["test acc"], 2) == 0.87
    assert round(verdict.scores["bagged test acc"], 2) == 0.87
    assert round(verdict.scores["bagged valid nll"], 2) == 0.44
    assert 20 < verdict.scores["peak memory (MiB)"] < 2000


def test_a_run_that_raised_is_told_by_its_exception() -> None:
    verdict = judge(DATA / "raises", code=1)
    assert verdict.outcome == Outcome.EXIT_CODE
    assert verdict.message == "exit code 1, fold_0: ValueError: expected 5 features, and the flowers have 4"


def test_an_error_in_any_fold_is_a_failure_whatever_the_exit_code(home: Path) -> None:
    (home / OUTPUT / "fold_2" / "error.txt").write_text("Traceback\n\x1b[31mValueError: late\n")
    verdict = judge(home)
    assert (verdict.outcome, verdict.message) == (Outcome.EXIT_CODE, "exit code 0, fold_2: ValueError: late")


def test_an_empty_error_leaves_the_word_to_the_log(home: Path) -> None:
    (home / OUTPUT / "fold_0" / "error.txt").write_text("")
    (home / "log").write_text("MemoryError\n")
    assert judge(home, code=1).message == "exit code 1, fold_0: MemoryError"


def test_folds_that_are_there_are_not_enough_when_the_tool_was_killed(home: Path) -> None:
    verdict = judge(home, code=137)
    assert verdict.outcome == Outcome.EXIT_CODE
    assert verdict.message.startswith("exit code 137 (SIGKILL)")


@pytest.mark.parametrize("name", ["y_pred_train.npz", "y_pred_test.npz"])
def test_a_fold_without_predictions_is_not_trained(home: Path, name: str) -> None:
    (home / OUTPUT / "fold_1" / name).unlink()
    verdict = judge(home)
    assert verdict.outcome == Outcome.INVALID
    assert verdict.message.startswith(f"exit code 0, but training_output/fold_1 has no {name}: ")


def test_no_fold_at_all_is_not_trained(home: Path) -> None:
    shutil.rmtree(home / OUTPUT)
    assert judge(home).outcome == Outcome.INVALID
    assert "there is no fold in training_output" in judge(home).message


def test_an_old_ramp_writes_predictions_alone(home: Path) -> None:
    for file in home.rglob("*scores.csv"):
        file.unlink()
    (home / "mprof.dat").unlink()
    assert judge(home) == Verdict(outcome=Outcome.SUCCEEDED)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"acc,time\n0.9,1\n", "has another header than RAMP writes"),
        (b"step,acc,acc\nvalid,1,2\n", "has another header than RAMP writes"),
        (b"step,,time\nvalid,1,2\n", "has another header than RAMP writes"),
        (b"step" + b",x" * 200 + b"\n", "has another header than RAMP writes"),
        (b"step,acc,time\nvalid,0.9\n", "has a row that RAMP does not write: valid,0.9"),
        (b"step,acc,time\nprivate,0.9,1\n", "has a row that RAMP does not write: private,0.9,1"),
        (b"step,acc,time\nvalid,,1\n", "is not a number: ''"),
        (b"step,acc,time\nvalid,nan,1\n", "is not a number: 'nan'"),
        (b"step,acc,time\nvalid,-inf,1\n", "is not a number: '-inf'"),
        (b"step,acc,time\nvalid,1_0,1\n", "is not a number: '1_0'"),
        (b"step,acc,time\nvalid,1e999,1\n", "is not a number: '1e999'"),
        (b"step,acc,time\nvalid,1.7e308,1\n", "is not a number: '1.7e308'"),
        (b"step,acc,time\nvalid,\x1b[2Jhi,1\n", "is not a number: 'hi'"),
        (b"step,acc,time\nvalid,\xff,1\n", "is not UTF-8"),
        (b'step,acc,time\nvalid,"0.9,1\n', "cannot be read"),
        (b"step,acc,time\n" + b"valid,0.9,1\n" * 30_000, "is larger than 256 KiB"),
        (b"step,acc\nvalid," + b"9" * 200_000 + b"\n", "cannot be read"),
    ],
)
@pytest.mark.parametrize("name", ["fold_1/scores.csv", "bagged_scores.csv"])
def test_a_table_that_is_none_makes_it_invalid(home: Path, name: str, table: bytes, message: str) -> None:
    (home / OUTPUT / name).write_bytes(table)
    verdict = judge(home)
    assert verdict.outcome == Outcome.INVALID
    assert message in verdict.message
    assert f"{OUTPUT}/{name}" in verdict.message


def test_a_table_that_went_missing_on_the_way_is_said(home: Path) -> None:
    collected = brought(home)
    (home / OUTPUT / "fold_0" / "scores.csv").unlink()
    verdict = WORK.verdict(ORDERS, exited(0), home, collected)
    assert verdict.outcome == Outcome.INVALID
    assert "training_output/fold_0/scores.csv cannot be read" in verdict.message


def test_the_mean_is_over_the_folds_and_the_last_bag_counts(tmp_path: Path) -> None:
    files = {
        "fold_0/scores.csv": f"{HEADER}valid,0.5,9\ntest,1e300,9\n",
        "fold_1/scores.csv": f"{HEADER}valid,0.75,9\ntest,1e300,9\n",
        "bagged_scores.csv": "step,n_bag,acc\nvalid,0,0.5\nvalid,1,0.9\n",
    }
    for name, text in files.items():
        (tmp_path / OUTPUT / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / OUTPUT / name).write_text(text)
    found = scores(tmp_path, brought(tmp_path).outputs)
    assert found == {"valid acc": 0.625, "test acc": 1e300, "bagged valid acc": 0.9}


def test_more_scores_than_a_kit_can_have_are_refused(tmp_path: Path) -> None:
    for fold in range(10):
        folder = tmp_path / OUTPUT / f"fold_{fold}"
        folder.mkdir(parents=True)
        columns = [f"s{fold}-{at}" for at in range(99)]
        (folder / "scores.csv").write_text(f"step,{','.join(columns)}\nvalid{',1' * 99}\n")
    with pytest.raises(UnreadableError, match="990 different scores"):
        scores(tmp_path, brought(tmp_path).outputs)


@given(st.one_of(st.binary(), st.binary().map(HEADER.encode().__add__), st.text("valid,0.9\n\"'_nae-").map(str.encode)))
def test_no_table_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, table: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "tables"
    (folder / OUTPUT).mkdir(parents=True, exist_ok=True)
    (folder / OUTPUT / "bagged_scores.csv").write_bytes(table)
    try:
        found = scores(folder, (f"{OUTPUT}/bagged_scores.csv",))
    except UnreadableError as error:
        found = {str(error): 0.0}
    assert all(abs(value) <= 1e300 and text.isprintable() for text, value in found.items())


@given(st.lists(st.floats(0.001, 1e6).map(lambda value: round(value, 6)), min_size=1))
def test_the_peak_is_the_highest_sample(tmp_path_factory: pytest.TempPathFactory, samples: list[float]) -> None:
    file = tmp_path_factory.getbasetemp() / "mprof.dat"
    file.write_text("CMDLINE ramp-test\n" + "".join(f"MEM {value:.6f} 1795259445.3185\n" for value in samples))
    assert profiled(file) == max(samples)


@given(st.one_of(st.binary(), st.binary().map(b"MEM 1.0 2\n".__add__)))
def test_no_record_of_memory_raises(tmp_path_factory: pytest.TempPathFactory, record: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "hostile.dat"
    file.write_bytes(record)
    assert profiled(file) >= 0.0


def test_outputs_are_what_ramp_writes(tmp_path: Path) -> None:
    assert WORK.job(ORDERS, tmp_path).outputs == ("training_output/**", "mprof.dat")
    assert RampWorkload(Ramp(kit="/kit")).job(ORDERS, tmp_path).outputs == ("training_output/**",)
