"""What becomes of a submission, written to a real RAMP database and read back by RAMP's own functions."""

import asyncio
import itertools
import random
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from reconciler.model.offer import Fault
from reconciler.model.snapshot import Done, Failed
from reconciler.rampdb.participants import CANCELLED, OUR_FAULT
from reconciler.rampdb.states import as_time
from reconciler.sinks.base import News
from reconciler.sinks.ramp_database import RampSink
from reconciler.spec.values import Route
from tests.rampdb.news_cases import T0, Story
from tests.rampdb.site import EVENT, Site, ramp, tables

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]

Home = Callable[[str], Path]


class Quiet:
    """Leaderboards are slow, and most tests ask nothing of them."""

    def __init__(self) -> None:
        self.asked: list[bool] = []

    async def update(self, *, new_only: bool) -> None:
        self.asked.append(new_only)


def open_sink(site: Site, **more: Any) -> RampSink:
    sink = RampSink.open(evolve(site.event, **more), environ={"LABELS": "hunter22"})
    return evolve(sink, leaderboards=Quiet())


def deliver(sink: RampSink, *news: News) -> None:
    assert asyncio.run(sink.deliver(news)) == [Done()] * len(news)


@pytest.fixture
def sink(site: Site) -> RampSink:
    return open_sink(site)


@pytest.fixture
def story(site: Site) -> Story:
    return Story(site.submit("alpha", "mine"))


def fold_states(site: Site, submission: int) -> set[str]:
    return {row["state"] for row in site.rows("submission_on_cv_folds") if row["submission_id"] == submission}


def test_states_go_back_as_they_happen_with_their_times(site: Site, sink: RampSink, story: Story, home: Home) -> None:
    seen = []
    for event in ("queued", "placed", "started", "over", "succeeded"):
        more = {"state": "collecting"} if event == "over" else {}
        results = home("good") if event == "succeeded" else None
        deliver(sink, story.news(event, 0 if event == "queued" else 1, results, **more))
        row = site.row(story.ramp_id)
        assert fold_states(site, story.ramp_id) == {row["state"]}
        seen.append((row["state"], row["sent_to_training_timestamp"], row["training_timestamp"], row["queue_position"]))
    placed, started = as_time(T0 + 60), as_time(T0 + 62.5)
    assert seen == [
        ("new", None, None, 1),
        ("sent_to_training", placed, None, -1),
        ("training", placed, started, -1),
        ("tested", placed, started, -1),
        ("scored", placed, started, -1),
    ]


def test_scores_times_and_memory_are_what_the_kit_wrote(site: Site, sink: RampSink, story: Story, home: Home) -> None:
    results = home("good")
    deliver(sink, story.news("succeeded", 1, results))
    with ramp():
        import pandas as pd
    scores = site.call("submission.get_scores", story.ramp_id)
    times = site.call("submission.get_time", story.ramp_id)
    for fold in range(3):
        folder = results / "training_output" / f"fold_{fold}"
        wrote = pd.read_csv(folder / "scores.csv", index_col=0)
        for step in ("train", "valid", "test"):
            for name in ("acc", "nll"):
                assert scores.loc[(fold, step), name] == pytest.approx(wrote.loc[step, name], rel=1e-15)
            assert times.loc[fold, step] == float((folder / f"{step}_time").read_text())
    bagged = site.call("submission.get_bagged_scores", story.ramp_id)
    wrote = pd.read_csv(results / "training_output" / "bagged_scores.csv", index_col=[0, 1])
    assert len(bagged) == len(wrote) == 6
    for at in wrote.index:
        assert bagged.loc[at].to_dict() == pytest.approx(wrote.loc[at].to_dict(), rel=1e-15)
    of_all = {row["event_score_type_id"]: row for row in site.rows("submission_scores")
              if row["submission_id"] == story.ramp_id}  # fmt: skip
    assert [row["valid_score_cv_bag"] for row in of_all.values()] == pytest.approx(wrote.loc[("valid", 2)].tolist())
    assert site.call("submission.get_submission_max_ram", story.ramp_id) == 123.5
    assert site.call("submission.get_submission_error_msg", story.ramp_id) == ""


def test_logs_and_predictions_lie_where_ramp_looks_for_them(
    site: Site, sink: RampSink, story: Story, home: Home
) -> None:
    results = home("good")
    deliver(sink, story.news("succeeded", 1, results))
    name = f"submission_{story.ramp_id:09d}"
    assert (site.folder / "logs" / name / "log").read_bytes() == (results / "log").read_bytes()
    copied, made = site.folder / "predictions" / name, results / "training_output"
    assert {file.relative_to(copied) for file in copied.rglob("*")} == {
        file.relative_to(made) for file in made.rglob("*")
    }
    assert (copied / "fold_0" / "y_pred_test.npz").exists()
    assert [entry.name for entry in (site.folder / "predictions").iterdir()] == [name]
    deliver(sink, Story(story.ramp_id, T0 + 600, "s2").news("failed", 1, home("raises"), reason="exit code"))
    assert not copied.exists()
    assert [entry.name for entry in (site.folder / "logs").iterdir()] == [name]


def test_a_failure_of_the_code_shows_its_traceback(site: Site, sink: RampSink, story: Story, home: Home) -> None:
    results = home("raises")
    with (results / "log").open("a") as log:
        log.write("at hunter22\n")
    told = evolve(story, templates={"WHERE": "${LABELS}"})
    deliver(sink, told.news("failed", 1, results, reason="exit code", message="exit code 1: ValueError"))
    row = site.row(story.ramp_id)
    assert (row["state"], fold_states(site, story.ramp_id)) == ("training_error", {"training_error"})
    words = site.call("submission.get_submission_error_msg", story.ramp_id)
    assert words.startswith("Traceback (most recent call last):")
    assert "ValueError: expected 5 features, and the flowers have 4" in words
    assert "estimator.py" in words
    assert words.endswith("at ***")
    assert str(Path(__file__).parents[2]) not in words
    assert "/submissions/" not in words


def test_a_time_limit_says_so(site: Site, sink: RampSink, story: Story, home: Home) -> None:
    deliver(sink, story.news("failed", 1, home("good"), reason="timeout"))
    assert site.row(story.ramp_id)["state"] == "training_error"
    assert site.row(story.ramp_id)["error_msg"].endswith("\nWorker killed due to timeout after 7200s.")


@pytest.mark.parametrize("reason", ["lost", "evicted", "never started"])
def test_a_failure_of_ours_is_none_of_the_participants(site: Site, sink: RampSink, story: Story, reason: str) -> None:
    deliver(sink, story.news("failed", 1, reason=reason, message="i-0123 at 10.0.0.7 was lost"))
    assert (site.row(story.ramp_id)["state"], site.row(story.ramp_id)["error_msg"]) == ("checking_error", OUR_FAULT)


def test_what_can_never_run_says_why(site: Site, sink: RampSink, story: Story) -> None:
    why = "alpha/mine (submission_000000003): link is a link that leads out of the folder"
    deliver(sink, story.news("failed", 0, reason="invalid", message=why))
    row = site.row(story.ramp_id)
    assert row["state"] == "checking_error"
    assert row["error_msg"] == why


def test_results_that_do_not_fit_the_event_are_no_scores(site: Site, sink: RampSink, story: Story, home: Home) -> None:
    results = home("good")
    before = site.call("submission.get_scores", story.ramp_id)
    (results / "training_output" / "fold_2").rename(results / "training_output" / "gone")
    deliver(sink, story.news("succeeded", 1, results))
    row = site.row(story.ramp_id)
    assert row["state"] == "checking_error"
    assert "the kit made 2 folds, and the event has 3" in row["error_msg"]
    assert site.call("submission.get_scores", story.ramp_id).equals(before)


def test_one_that_was_cancelled_does_not_come_back_as_new(site: Site, sink: RampSink, story: Story) -> None:
    deliver(sink, story.news("started"), story.news("cancelled", reason="cancelled"))
    assert (site.row(story.ramp_id)["state"], site.row(story.ramp_id)["error_msg"]) == ("checking_error", CANCELLED)


@pytest.mark.parametrize("reason", ["withdrawn", "superseded"])
def test_what_ramp_took_back_is_not_told_to_it(site: Site, sink: RampSink, story: Story, reason: str) -> None:
    before = site.row(story.ramp_id)
    deliver(sink, story.news("cancelled", 0, reason=reason))
    assert {**site.row(story.ramp_id), "queue_position": -1} == before


def test_one_that_was_deleted_is_no_error(site: Site, sink: RampSink, story: Story, home: Home) -> None:
    site.delete(story.ramp_id)
    before = tables(site.url)
    deliver(sink, story.news("cancelled", reason="cancelled"), story.news("succeeded", 1, home("good")))
    assert tables(site.url) == before


def test_an_interrupted_one_is_new_until_its_next_attempt(site: Site, sink: RampSink, story: Story) -> None:
    deliver(sink, story.news("started", 1), story.news("requeued", 1, late=9.0))
    assert (site.row(story.ramp_id)["state"], site.row(story.ramp_id)["queue_position"]) == ("new", 1)
    deliver(sink, story.news("placed", 2))
    assert site.row(story.ramp_id)["state"] == "sent_to_training"
    deliver(sink, story.news("requeued", 1, late=9.0), story.news("started", 1))
    assert site.row(story.ramp_id)["state"] == "sent_to_training"


def test_in_whatever_order_news_comes_and_however_often_the_end_is_the_same(
    site: Site, sink: RampSink, story: Story, home: Home
) -> None:
    results = home("good")
    again = evolve(story, ours="s2", at=T0 + 1000)
    told = [
        story.news("queued", 0), story.news("placed", 1), story.news("started", 1), story.news("requeued", 1, late=9.0),
        story.news("placed", 2), story.news("failed", 2, home("raises"), reason="exit code"),
        again.news("queued", 0, retry_of="s1"), again.news("placed", 1), again.news("started", 1),
        again.news("over", 1, state="collecting"), again.news("succeeded", 1, results),
    ]  # fmt: skip
    deliver(sink, *told)
    expected = _steady(site)
    for seed in range(4):
        shuffled = random.Random(seed).sample(told * 2, 2 * len(told))
        deliver(sink, *shuffled)
        assert _steady(site) == expected
    fresh = site.submit("beta", "same")
    for seed in range(3):
        other = evolve(story, ramp_id=fresh, at=T0 + 10_000 * (seed + 1))
        last = other.news("succeeded", 1, results)
        early = [other.news("placed", 1), other.news("started", 1), last]
        deliver(sink, *itertools.chain(random.Random(seed).sample(early, 3), [last]))
        assert site.row(fresh)["state"] == "scored"


def test_one_that_the_organiser_resets_stays_reset(site: Site, sink: RampSink, story: Story, home: Home) -> None:
    deliver(sink, story.news("started"))
    site.state(story.ramp_id, "new")
    deliver(sink, story.news("succeeded", 1, home("good")), story.news("placed"))
    assert site.row(story.ramp_id)["state"] == "new"
    again = evolve(story, ours="s2", at=T0 + 1000)
    deliver(sink, again.news("queued", 0, retry_of="s1"), again.news("succeeded", 1, home("good")))
    assert site.row(story.ramp_id)["state"] == "scored"


def test_one_that_we_try_again_is_new_again(site: Site, sink: RampSink, story: Story, home: Home) -> None:
    deliver(sink, story.news("failed", 1, home("raises"), reason="exit code"))
    again = evolve(story, ours="s2", at=T0 + 1000)
    deliver(sink, again.news("queued", 0, retry_of="s1"))
    assert site.row(story.ramp_id)["state"] == "new"
    deliver(sink, story.news("failed", 1, home("good"), reason="exit code"))
    assert site.row(story.ramp_id)["state"] == "new"


def test_positions_count_those_that_wait_for_the_same_pool(site: Site) -> None:
    names = [("alpha", "a"), ("beta", "deep"), ("beta", "b"), ("alpha", "c")]
    ids = [site.submit(team, name) for team, name in names]
    sink = open_sink(site, route=(Route(pool="gpu", name="deep*"),))

    def shown() -> list[int]:
        return [site.row(each)["queue_position"] for each in ids]

    deliver(sink, Story(ids[0]).news("queued", 0))
    assert shown() == [1, 1, 2, 3]
    deliver(sink, Story(ids[0]).news("placed"))
    assert shown() == [-1, 1, 1, 2]


def test_ramps_own_leaderboards_are_made(site: Site, story: Story, home: Home) -> None:
    other = site.submit("beta", "broken", like="raises")
    sink = RampSink.open(site.event, environ={})
    deliver(
        sink,
        story.news("succeeded", 1, home("good")),
        evolve(story, ramp_id=other, ours="s2").news("failed", 1, home("raises"), reason="exit code"),
    )
    (event,) = site.rows("events")
    acc = site.call("submission.get_bagged_scores", story.ramp_id).loc[("valid", 2), "acc"]
    assert "mine" in event["public_leaderboard_html_with_links"]
    assert f"{acc:.2f}"[:4] in event["public_leaderboard_html_with_links"]
    assert "broken" in event["failed_leaderboard_html"]
    assert "broken" not in event["private_leaderboard_html"]
    with ramp():
        public = site.call("leaderboard.get_leaderboard", "public", EVENT)
    assert event["public_leaderboard_html_with_links"] == public
    by_team = [row["leaderboard_html"] or "" for row in site.rows("event_teams")]
    assert ["mine" in each for each in by_team] == [True, False]


def test_leaderboards_that_cannot_be_made_hold_up_nothing_and_are_told_once(
    site: Site, story: Story, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    (site.folder / "kit" / "problem.py").write_text("raise RuntimeError('no such package')\n")
    sink = RampSink.open(site.event, environ={})
    news = story.news("succeeded", 1, home("good"))
    deliver(sink, news)
    deliver(sink, news)
    assert site.row(story.ramp_id)["state"] == "scored"
    (record,) = [each for each in caplog.records if each.name == "reconciler.rampdb.leaderboards"]
    assert record.message == f"leaderboards of {EVENT}: RAMP's tool failed: RuntimeError: no such package"


def test_only_the_end_asks_for_all_leaderboards(sink: RampSink, story: Story, home: Home) -> None:
    deliver(sink, story.news("placed"), story.news("started"))
    deliver(sink, story.news("succeeded", 1, home("good")))
    assert isinstance(sink.leaderboards, Quiet)
    assert sink.leaderboards.asked == [True, False]


def test_a_database_that_cannot_be_reached_is_told_of_later(tmp_path: Path) -> None:
    sink = open_sink(Site(f"sqlite:///{tmp_path}/ramp.db", tmp_path))
    (answer,) = asyncio.run(sink.deliver([Story(1).news("placed")]))
    assert isinstance(answer, Failed)
    assert answer.fault is Fault.UNREACHABLE
    assert "is not there" in answer.message


def test_a_folder_that_cannot_be_written_leaves_the_state_as_it_was(
    site: Site, sink: RampSink, story: Story, home: Home
) -> None:
    (site.folder / "predictions").write_text("in the way")
    before = tables(site.url)
    (answer,) = asyncio.run(sink.deliver([story.news("succeeded", 1, home("good"))]))
    assert isinstance(answer, Failed)
    assert answer.fault is Fault.OURS
    assert tables(site.url) == before


def _steady(site: Site) -> Mapping[str, Any]:
    """Everything that RAMP holds."""
    return {name: [_plain(row) for row in rows] for name, rows in tables(site.url).items()}


def _plain(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in row.items()}
