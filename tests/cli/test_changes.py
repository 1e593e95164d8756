"""Steps read as a diff: in a dry run beforehand, and a line a change while a run lasts."""

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from attrs import evolve
from rich.console import Console

from reconciler.cli.changes import changes, plan
from reconciler.cli.progress import Display, Lines, loud
from reconciler.decide.case import Decision, Orphan
from reconciler.decide.settled import Standing
from reconciler.loop import Passed
from reconciler.model.change import Insert, Replace, Step, Update
from reconciler.model.offer import Place
from reconciler.model.rows import Hold, Identity, PoolRow, Stranger
from reconciler.model.snapshot import Recorded, Waiting
from tests.cli.cli_rows import Invoke, tree
from tests.store.store_rows import DELIVERY, attempt, born, instance, move, place, submission

NOW = 1_800_000_000.0
GOOD, M1 = submission("7f", label="good"), instance("m1", state="ready")
RECORDED = Recorded(now=NOW, identity=Identity("tests", "db", 0.0), heads=(GOOD,), instances={"m1": M1})


def lines(*steps: Step) -> list[str]:
    return [str(change) for change in changes(steps, RECORDED)]


BOUGHT = born(*(instance(f"n{at}", type="c5.xlarge", market="spot") for at in range(2)))
RUNNING = evolve(GOOD, state="running")


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (born(submission("9a", label="new")), "+ submission new: queued for pool cpu"),
        (BOUGHT, "+ pool cpu: 2 x c5.xlarge (spot)"),
        (place(GOOD, M1), "~ submission good: queued → staging on m1"),
        (Step((move("submissions", RUNNING, "over", "collecting"),)), "~ submission good: running → collecting"),
        (
            Step((move("submissions", RUNNING, "x", "failed", reason="lost", message="its machine is gone"),)),
            "~ submission good: running → failed (lost: its machine is gone)",
        ),
        (
            Step((move("instances", M1, "idle", "terminating", reason="idle"),)),
            "- instance m1: ready → terminating (idle)",
        ),
        (Step((move("instances", instance("m2"), "bound", "booting"),)), "~ instance m2: launching → booting"),
        (Step((Insert(table="pools", row=PoolRow("cpu", 1, "", "", True, "", NOW)),)), "+ pool cpu: new"),
        (
            Step((Update(table="pools", id="cpu", version=1, sets={"spec": "x"}),), "pool cpu: edited"),
            "~ pool cpu: edited",
        ),
        (
            Step((Update(table="pools", id="cpu", version=1, sets={"present": False}),), "pool cpu: its file is gone"),
            "- pool cpu: its file is gone",
        ),
        (
            Step((Replace("holds", Hold("pool:cpu:ab", "", "", "", NOW, 1, "setup failed: exit code 1")),)),
            "! held back cpu: setup failed: exit code 1",
        ),
        (
            Step((Replace("strangers", Stranger("local", "{}", "i-1", "cpu", "local", NOW)),)),
            "! machine i-1: has our tag and no row here; counted against pool cpu",
        ),
        (
            Step((Update(table="submissions", id="7f", version=1, sets={"strikes": 1}),), "good: unreachable"),
            "~ good: unreachable",
        ),
        (born(evolve(DELIVERY, submission_id="7f")), "+ delivery s1/queued/table: table is told: good queued"),
    ],
)  # fmt: skip
def test_a_step_is_a_line(step: Step, line: str) -> None:
    assert lines(step) == [line]


def test_a_plan_tells_of_orphans_and_of_effects_that_go_on() -> None:
    ending = instance("m2", state="terminating", last_error="denied: no")
    recorded = evolve(RECORDED, instances={"m1": M1, "m2": ending})
    orphan = Orphan(place=Place(cloud="local", settings="{}"), cloud_id="i-9", why="its row is final")
    found = [str(change) for change in plan(Decision(orphans=(orphan,)), recorded)]
    assert found == [
        "- machine i-9: ended: its row is final",
        "> instance m2: terminating goes on (last: denied: no)",
    ]


def passed(steps: Sequence[Step] = (), **changed: object) -> Passed:
    return Passed(
        recorded=evolve(RECORDED, **changed), decision=Decision(), applied=len(steps), steps=tuple(steps),
        standing=Standing(set_aside=("7 queued for pool gpu: no such pool",)),
    )  # fmt: skip


def test_what_waits_for_us_is_told_once_for_each_reason() -> None:
    def struck(error: str) -> Step:
        sets = {"strikes": 1, "last_error": error, "not_before": NOW + 5}
        return Step((Update(table="submissions", id="7f", version=1, sets=sets),), "good: waits")

    def told(before: str, error: str) -> list[str]:
        row = evolve(GOOD, state="collecting", last_error=before)
        return [str(each) for each in loud(passed([struck(error)], submissions={"7f": row}))]

    again = "tried again in 5s, then now and then"
    line = f"! submission good: collecting waits: cannot write {{}}: No space left on device; {again}"
    full = "ours: cannot write /results/.incoming/7f.1~{}: No space left on device"
    assert told("", full.format("a")) == [line.format("/results/.incoming/7f.1~a")]
    assert told(full.format("a"), full.format("b")) == []
    assert told("ours: cannot write /r: Permission denied", full.format("b")) == [
        line.format("/results/.incoming/7f.1~b")
    ]
    assert told("", "unreachable: no answer") == []


def test_a_pipe_gets_a_line_a_change(capsys: pytest.CaptureFixture[str]) -> None:
    evil = submission("8b", label="\x1b[31mevil")
    with Lines() as progress:
        progress.tell(passed([born(evil), born(DELIVERY)]))
        progress.tell(passed())
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("+ submission \\x1b[31mevil: queued for pool cpu")


def test_the_display_fits_80_columns_and_shows_what_is_waited_for() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, markup=False, color_system=None)
    clock = iter(range(1000))
    many = {
        f"s{at}": submission(f"s{at}", label="long" * 20, state="running", attempt_id=f"s{at}.1") for at in range(30)
    }
    display = Display(controller="tests", done={"failed": 2}, console=console, now=lambda: float(next(clock)))
    display.tell(
        passed(
            [Step((move("submissions", RUNNING, "collected", "succeeded"),))],
            submissions=many,
            attempts={f"s{at}.1": attempt(f"s{at}") for at in range(30)},
            waiting={"cpu": Waiting(ready=5, held=1, next_due=NOW + 30)},
            holds=(Hold("local {}", "big", "spot", "", NOW + 60, 1, "capacity: none"),),
        )
    )
    console.print(display.picture())
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "succeeded" in text.splitlines()[0]
    assert "tests · 6 queued · 30 running · 2 failed, 1 succeeded · 1 machine" in text
    assert "… and 18 more" in text
    aside = Standing(queued_aside={"cpu": 2})
    display.tell(evolve(passed(waiting={"cpu": Waiting(ready=5), "gpu": Waiting(ready=2)}), standing=aside))
    console.print(display.picture())
    assert "3 of pool cpu for a free slot" in out.getvalue()
    display.tell(evolve(passed(waiting={"cpu": Waiting(ready=2)}), standing=aside))
    out.truncate(0)
    console.print(display.picture())
    assert "for a free slot" not in out.getvalue()
    for part in ("5 of pool cpu for a free slot", "1 of pool cpu are tried again", "capacity: none", "no such pool"):
        assert f"waiting: {part}" in text or part in text


def test_a_dry_run_of_a_fresh_deployment_changes_nothing(invoke: Invoke, here: Path) -> None:
    (here / "submissions" / "hello").mkdir()
    (here / "submissions" / "hello" / "run.sh").write_text("true")
    before = tree(here)
    told = invoke("--dry-run")
    while told.exit_code == 0 and "submission" not in told.stdout:  # a queue takes what was left alone for two seconds
        told = invoke("--dry-run")
    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines() == ["+ submission hello: queued for pool cpu", "+ pool cpu: new"]
    assert tree(here) == before
    assert not (here / ".reconciler").exists()
