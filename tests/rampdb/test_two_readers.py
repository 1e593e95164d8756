"""Two reconcilers on one database of ours and one of RAMP's: what an organiser sets to `new` is run once.

Each test plays one interleaving: what the other process does happens at an exact place within our reading.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve

from reconciler.model.change import Step, Update
from reconciler.model.rows import Delivery, Submission
from reconciler.model.snapshot import Recorded
from reconciler.queues.ramp_database import RampQueue
from reconciler.source import Feed, FileSource, SpecFiles
from reconciler.spec.values import Config
from reconciler.store.store import Store
from tests.rampdb.site import SUBMISSIONS, Site

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]

QUEUE = "ramp/iris_test"
POOL = "pool: cpu\ncloud: {local: {}}\nsize: {m: 0..2}\nworkload: {ramp: {kit: /kit}}\n"


async def threaded(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await asyncio.to_thread(call, *args, **kwargs)


@define
class Reader:
    """What a process reads of the store; just before it asks a certain thing for the first time, somebody else acts."""

    store: Store
    before: str = ""
    act: Callable[[], None] = lambda: None

    def _asked(self, what: str) -> None:
        if self.before == what:
            self.before = ""
            self.act()

    def latest_by_key(self, source: str) -> Mapping[str, Submission]:
        self._asked("latest")
        return self.store.latest_by_key(source)

    def deliveries(self, *, submission_ids: Collection[str]) -> Sequence[Delivery]:
        return self.store.deliveries(submission_ids=submission_ids)

    def next_label(self, name: str, taken: Iterable[str] = ()) -> str:
        self._asked("label")
        return self.store.next_label(name, taken)


@define
class Desk:
    """One event, one store, and as many processes as a test wants."""

    site: Site
    store: Store
    folder: Path
    opened: list[RampQueue]

    def process(self, before: str = "", act: Callable[[], None] = lambda: None) -> FileSource:
        """One that looks an hour after everything was written, and that others overtake where they act."""

        async def known(name: str) -> Mapping[str, Submission]:
            return self.store.latest_by_key(name)

        event = evolve(self.site.event, pool="cpu")
        queue = RampQueue.open(
            event, self.folder / "content", name=QUEUE, known=known, clock=lambda: time.time() + 3600
        )
        self.opened.append(queue)
        config = Config(controller="tests", pools=self.folder / "pools", state=self.folder, ramp=(event,))
        feeds = [Feed(queue=queue, pool="cpu")]
        known_by = Reader(self.store, before, act)
        return FileSource(specs=SpecFiles(config=config), feeds=feeds, known=known_by, db=threaded)

    def read(self, process: FileSource, *, now: float | None = None) -> list[Step]:
        """What it would write, as of the moment at which its pass began."""
        at = self.store.now() if now is None else now
        steps, unsettled = asyncio.run(process.intake(Recorded(now=at, identity=self.store.identity)))
        assert not unsettled
        return list(steps)

    def apply(self, steps: Sequence[Step]) -> list[bool]:
        return self.store.apply(steps, now=self.store.now(), by="x")

    def take(self) -> Submission:
        """A process takes the one submission that there is to be taken."""
        assert self.apply(self.read(self.process())) == [True]
        return self.store.submissions()[-1]

    def end(self, row: Submission) -> None:
        """It fails; its sink is still to hear of it."""
        over = Update(table="submissions", id=row.id, version=row.version, event="reject", source="queued",
                      target="failed", sets={"reason": "exit code"})  # fmt: skip
        assert self.apply([Step((over,))]) == [True]

    def record(self, row: Submission) -> None:
        """That RAMP has heard all of it is written down."""
        told = [
            Update(table="deliveries", id=each.id, version=each.version, event="delivered", source="pending",
                   target="delivered")
            for each in self.store.deliveries(submission_ids=[row.id])
        ]  # fmt: skip
        assert told
        assert all(self.apply([Step((each,)) for each in told]))

    def live(self) -> list[str]:
        """What is to be run, by label."""
        return [row.label for row in self.store.submissions(states=["queued"])]


@pytest.fixture
def desk(site: Site, tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "pools").mkdir()
    (tmp_path / "pools" / "cpu.yml").write_text(POOL)
    store = Store.open(f"sqlite:///{tmp_path}/own.db", controller="tests")
    made = Desk(site, store, tmp_path, [])
    yield made
    for queue in made.opened:
        queue.close()
    store.close()


@pytest.fixture
def number(site: Site) -> int:
    return site.submit("alpha", "mine")


def another_content(desk: Desk, number: int) -> None:
    shutil.copy(SUBMISSIONS / "better" / "estimator.py", desk.site.submissions / f"submission_{number:09d}")


def test_one_reset_between_our_delivery_and_its_record_waits_for_the_record(desk: Desk, number: int) -> None:
    first = desk.take()
    desk.end(first)
    desk.site.state(number, "training_error")  # delivered, and not recorded
    desk.site.state(number, "new")
    one, other = desk.process(), desk.process()
    assert (desk.read(one), desk.read(other)) == ([], [])
    desk.record(first)
    both = [desk.read(one), desk.read(other)]
    assert [desk.apply(steps) for steps in both] == [[True], [False]]
    (again,) = desk.store.submissions(states=["queued"])
    assert again.retry_of == first.id


def test_a_reading_from_before_the_end_was_told_asks_for_nothing(desk: Desk, number: int) -> None:
    """It read `new` while the first still waited; until it looked for what is known, all of that one was over."""
    first = desk.take()

    def others() -> None:
        desk.end(first)
        desk.site.state(number, "training_error")
        desk.record(first)

    assert desk.read(desk.process("latest", others)) == []
    desk.site.state(number, "new")
    assert len(desk.read(desk.process())) == 1


def test_a_reset_that_was_served_meanwhile_is_not_served_again(desk: Desk, number: int) -> None:
    first = desk.take()
    desk.end(first)
    desk.record(first)
    late = desk.read(desk.process())
    second = desk.take()
    desk.end(second)
    desk.site.state(number, "training_error")
    desk.record(second)
    assert desk.apply(late) == [False]
    assert desk.live() == []


def test_two_that_read_other_contents_take_one(desk: Desk, number: int) -> None:
    """The files are handed in anew between two readings, and taken just before the process that read first writes."""
    first = desk.take()
    desk.end(first)
    desk.record(first)

    def others() -> None:
        another_content(desk, number)
        desk.take()

    late = desk.read(desk.process("label", others))
    assert desk.apply(late) == [False]
    (newest,) = desk.store.submissions(states=["queued"])
    assert newest.content != first.content


def test_two_that_read_other_contents_of_a_first_one_take_one(desk: Desk, number: int) -> None:
    def others() -> None:
        another_content(desk, number)
        desk.take()

    late = desk.read(desk.process("label", others))
    assert desk.apply(late) == [False]
    assert len(desk.live()) == 1


def test_older_files_never_take_the_place_of_newer_ones(desk: Desk, number: int) -> None:
    """It read the older files, and was overtaken by one that read and took the newer ones."""
    old = desk.take()

    def others() -> None:
        another_content(desk, number)
        desk.take()

    assert desk.read(desk.process("latest", others)) == []
    assert [row.content == old.content for row in desk.store.submissions(states=["queued"])] == [False]


def test_what_a_process_with_a_late_clock_took_is_the_latest(desk: Desk, number: int) -> None:
    first = desk.take()
    desk.end(first)
    desk.record(first)
    assert desk.apply(desk.read(desk.process(), now=first.created - 60)) == [True]
    assert desk.store.latest_by_key(QUEUE)[str(number)].retry_of == first.id
    assert desk.read(desk.process()) == []
