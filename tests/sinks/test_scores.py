"""The table of scores: what is in it, what a spreadsheet makes of it, and who writes it when."""

import asyncio
import csv
import json
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.offer import Fault
from reconciler.model.snapshot import Done, Failed
from reconciler.sinks.scores import Row, ScoresSink, cell, table
from tests.sinks.news_cases import ATTEMPT, SUBMISSION, news


def row(label: str, scores: Mapping[str, float], **more: str) -> Row:
    return evolve(SUBMISSION, label=label, **more), evolve(ATTEMPT, scores=json.dumps(scores))


def test_a_row_a_submission_and_a_column_a_score() -> None:
    rows = [
        row("raises", {}, message="exit code 1, fold_0: ValueError: boom"),
        row("good", {"valid acc": 0.95, "test acc": 0.5}, state="succeeded", message=""),
        (evolve(SUBMISSION, label="waits", state="queued", message=""), None),
        row("better", {"valid acc": 1.0, "bagged valid acc": -1e-07}, state="succeeded", message=""),
    ]
    assert table(rows).splitlines() == [
        "submission,state,attempt,bagged valid acc,test acc,valid acc,message",
        "better,succeeded,2,-1e-07,,1.0,",
        "good,succeeded,2,,0.5,0.95,",
        'raises,failed,2,,,,"exit code 1, fold_0: ValueError: boom"',
        "waits,queued,,,,,",
    ]


def test_nothing_at_all_is_a_header() -> None:
    assert table([]) == "submission,state,attempt,message\n"


@given(st.text(), st.text(), st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), max_size=3))
def test_other_peoples_words_are_cells_and_never_formulas(label: str, message: str, scores: dict[str, float]) -> None:
    lines = list(csv.reader(table([row(label, scores, message=message)]).splitlines()))
    assert [len(line) for line in lines] == [4 + len(scores)] * 2
    texts = [*lines[0], lines[1][0], lines[1][1], lines[1][-1]]
    assert all(text.isprintable() and not text.startswith(("=", "+", "-", "@")) for text in texts)
    assert [float(each) for each in lines[1][3:-1]] == [scores[name] for name in sorted(scores)]


def test_a_formula_stays_readable() -> None:
    assert cell("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert cell(" \t@x") == "'@x"
    assert cell("a=b") == "a=b"


def test_each_pool_has_its_own_file_and_is_read_once(tmp_path: Path) -> None:
    asked = []

    async def rows(pool: str) -> list[Row]:
        asked.append(pool)
        return [row(f"of-{pool}", {}, message="")]

    told = [news(pool=pool) for pool in ("iris", "cpu", "iris")]
    assert asyncio.run(ScoresSink(tmp_path / "results", rows).deliver(told)) == [Done()] * 3
    assert asked == ["cpu", "iris"]
    for pool in asked:
        assert f"of-{pool},failed,2," in (tmp_path / "results" / f"{pool}.csv").read_text()


def test_only_one_reads_and_writes_at_a_time_so_that_no_old_state_wins(tmp_path: Path) -> None:
    inside = 0
    served = 0

    async def rows(_pool: str) -> list[Row]:
        nonlocal inside, served
        inside += 1
        served += 1
        mine = served
        assert inside == 1
        for _ in range(20):
            await asyncio.sleep(0)
        inside -= 1
        return [row(f"state-{mine}", {})]

    async def two_processes() -> None:
        sinks = [ScoresSink(tmp_path, rows) for _ in range(2)]
        answers = await asyncio.gather(*(sink.deliver([news()]) for sink in sinks * 4))
        assert [*answers] == [[Done()]] * 8

    asyncio.run(two_processes())
    assert "state-8," in (tmp_path / "iris.csv").read_text()
    assert {file.name for file in tmp_path.iterdir()} == {"iris.csv", ".scores.lock"}


def test_scores_that_are_none_are_said_and_the_old_table_stays(tmp_path: Path) -> None:
    async def rows(_pool: str) -> list[Row]:
        return [(SUBMISSION, evolve(ATTEMPT, scores='{"acc": "much"}'))]

    (tmp_path / "iris.csv").write_text("old")
    (answer,) = asyncio.run(ScoresSink(tmp_path, rows).deliver([news()]))
    message = f"{tmp_path}/iris.csv cannot be made: the scores of good-2 are not numbers"
    assert answer == Failed(fault=Fault.OURS, message=message)
    assert (tmp_path / "iris.csv").read_text() == "old"
