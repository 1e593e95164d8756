"""An event of a real RAMP database as a queue: what ramp-engine would take, we take."""

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from attrs import evolve

from reconciler.model.rows import Submission
from reconciler.queues.base import Entry, Reading
from reconciler.queues.ramp_database import SETTLED, RampQueue
from reconciler.rampdb.access import names_of
from reconciler.spec.values import RampEvent, Route
from tests.rampdb.news_cases import Story
from tests.rampdb.site import EVENT, SUBMISSIONS, Site

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]


class Desk:
    """A queue on a site, a clock that is ahead of the files, and what we know already."""

    def __init__(self, site: Site, store: Path, event: RampEvent | None = None) -> None:
        self.ahead = 60.0
        self.rows: dict[str, Submission] = {}
        self.queue = RampQueue.open(
            event or site.event, store, name="ramp/iris_test", known=self.known, clock=lambda: time.time() + self.ahead
        )

    async def known(self, queue: str) -> Mapping[str, Submission]:
        assert queue == "ramp/iris_test"
        return self.rows

    def read(self) -> Reading:
        return asyncio.run(self.queue.read())

    def entries(self) -> Mapping[str, Entry]:
        reading = self.read()
        assert reading.good, reading.error
        assert reading.missing_ends
        return {entry.key: entry for entry in reading.entries}

    def takes(self, submission: int, **more: str) -> None:
        self.rows[str(submission)] = Story(submission).submission(**more)


@pytest.fixture
def desk(site: Site, tmp_path: Path) -> Desk:
    return Desk(site, tmp_path / "store")


def test_what_is_new_is_taken_without_the_starting_kits(site: Site, desk: Desk) -> None:
    first, second = site.submit("alpha", "mine"), site.submit("beta", "yours", like="better")
    with_ramp = {row[0]: row[1] for row in site.call("submission.get_submissions", EVENT, state="new")}
    assert len(with_ramp) == 4
    found = desk.entries()
    assert {key: entry.name for key, entry in found.items()} == {str(each): with_ramp[each] for each in (first, second)}
    assert all(entry.renewed and not entry.problem for entry in found.values())
    kept = desk.queue.store / found[str(second)].content / "estimator.py"
    assert kept.read_text() == (SUBMISSIONS / "better" / "estimator.py").read_text()


def test_a_reading_of_nothing_new_copies_nothing(site: Site, desk: Desk) -> None:
    submission = site.submit("alpha", "mine")
    first = desk.entries()
    shutil.rmtree(desk.queue.store)
    assert desk.entries() == first
    assert not desk.queue.store.exists()
    assert str(submission) in first


def test_one_that_was_just_written_is_left_alone(site: Site, desk: Desk) -> None:
    submission = site.submit("alpha", "mine")
    desk.ahead = 0.0
    reading = desk.read()
    assert reading.entries == ()
    assert reading.unsettled == {str(submission)}


def test_one_that_was_handed_in_again_has_another_content(site: Site, desk: Desk) -> None:
    submission = site.submit("alpha", "mine")
    before = desk.entries()[str(submission)]
    assert site.submit("alpha", "mine", like="better") == submission
    assert desk.entries()[str(submission)].content != before.content


def test_one_that_we_have_in_hand_is_there_whatever_its_state(site: Site, desk: Desk) -> None:
    submission = site.submit("alpha", "mine")
    for state in ("sent_to_training", "training", "tested", "training_error"):
        site.state(submission, state)
        desk.takes(submission)
        (entry,) = desk.entries().values()
        assert (entry.content, entry.renewed) == (desk.rows[str(submission)].content, False)
        desk.takes(submission, state="failed")
        assert desk.entries() == {}
        desk.rows.clear()
        assert desk.entries() == {}  # somebody else's


@pytest.mark.parametrize("how", ["deleted", "no longer valid"])
def test_one_that_was_deleted_is_missing(site: Site, desk: Desk, how: str) -> None:
    submission = site.submit("alpha", "mine")
    desk.takes(submission)
    site.state(submission, "training")
    assert list(desk.entries()) == [str(submission)]
    if how == "deleted":
        site.delete(submission)
    else:
        site.execute("UPDATE submissions SET is_valid = :no WHERE id = :id", no=False, id=submission)
    assert desk.entries() == {}


def test_routes_send_teams_and_names_to_pools(site: Site, tmp_path: Path) -> None:
    routes = (
        Route(pool="gpu", name="deep*"),
        Route(pool="fast", team="beta", name="n?w"),
        Route(pool="b", team="beta"),
    )
    desk = Desk(site, tmp_path / "store", evolve(site.event, route=routes))
    asked = {("alpha", "deep1"): "gpu", ("alpha", "other"): "", ("beta", "new"): "fast", ("beta", "old"): "b"}
    ids = {str(site.submit(team, name)): pool for (team, name), pool in asked.items()}
    assert {key: entry.options.pool for key, entry in desk.entries().items()} == ids


def test_a_folder_that_is_not_there_is_that_submissions_problem(site: Site, desk: Desk) -> None:
    gone, fine = site.submit("alpha", "gone"), site.submit("beta", "fine")
    shutil.rmtree(site.submissions / f"submission_{gone:09d}")
    reading = desk.read()
    assert [entry.key for entry in reading.entries] == [str(fine)]
    assert reading.unsettled == {str(gone)}
    desk.ahead += SETTLED
    entry = desk.entries()[str(gone)]
    assert entry.problem.startswith(f"alpha/gone (submission_{gone:09d}): its folder cannot be read on the server")
    assert str(site.folder) not in entry.problem


def test_a_bad_folder_is_that_submissions_problem(site: Site, desk: Desk) -> None:
    bad, fine = site.submit("alpha", "bad"), site.submit("beta", "fine")
    (site.submissions / f"submission_{bad:09d}" / "link").symlink_to("/etc/passwd")
    found = desk.entries()
    assert "is a link that leads out of the folder" in found[str(bad)].problem
    assert found[str(fine)].problem == ""


def test_what_an_earlier_training_left_is_not_part_of_it(site: Site, desk: Desk, home: Callable[[str], Path]) -> None:
    submission = site.submit("alpha", "mine")
    before = desk.entries()[str(submission)]
    shutil.copytree(home("good") / "training_output", site.submissions / before.name / "training_output")
    after = desk.entries()[str(submission)]
    assert after == before


def test_an_event_that_is_not_there_is_a_bad_reading(site: Site, tmp_path: Path) -> None:
    desk = Desk(site, tmp_path / "store", evolve(site.event, event="iris_other"))
    reading = desk.read()
    assert (reading.good, reading.entries) == (False, ())
    assert "has no event iris_other; it has iris_test" in reading.error


def test_another_programs_database_is_a_bad_reading(database_url: str, tmp_path: Path) -> None:
    site = Site(database_url, tmp_path)
    site.execute("CREATE TABLE other (id INTEGER)")
    reading = Desk(site, tmp_path / "store").read()
    assert not reading.good
    assert "is not a database of ramp-database 0.10" in reading.error


def test_a_file_that_is_not_there_is_a_bad_reading_and_is_not_made(tmp_path: Path) -> None:
    reading = Desk(Site(f"sqlite:///{tmp_path}/ramp.db", tmp_path), tmp_path / "store").read()
    assert not reading.good
    assert "is not there" in reading.error
    assert not (tmp_path / "ramp.db").exists()


def test_names_tell_databases_apart_where_they_must() -> None:
    one, other = RampEvent(database="sqlite:///a.db", event="e"), RampEvent(database="sqlite:///b.db", event="e")
    third = RampEvent(database="sqlite:///b.db", event="f")
    assert names_of([one, third]) == ("ramp/e", "ramp/f")
    first, second, unique = names_of([one, other, third])
    assert first.startswith("ramp/e@")
    assert second.startswith("ramp/e@")
    assert first != second
    assert unique == "ramp/f"
