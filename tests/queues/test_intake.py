"""What readings mean: every rule on its own, then any story at all."""

from collections.abc import Mapping

import pytest
from attrs import evolve
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.lifecycle.submission import SUBMISSION
from reconciler.model.rows import Outcome, Submission
from reconciler.queues.base import Entry, Reading
from reconciler.queues.intake import (
    ABSENCES,
    WITHDRAWN,
    Absent,
    Intention,
    Present,
    Supersede,
    Take,
    Withdraw,
    intake,
)
from reconciler.spec.values import SubmissionOptions

RUNNING = tuple(s.name for s in SUBMISSION.states if s.name != "queued" and not SUBMISSION.is_final(s.name))
FINAL = tuple(s.name for s in SUBMISSION.states if SUBMISSION.is_final(s.name))


def entry(content: str = "c1", problem: str = "", key: str = "a") -> Entry:
    return Entry(key=key, name=key, content="" if problem else content, options=SubmissionOptions(), problem=problem)


def row(state: str = "queued", content: str = "c1", **values: object) -> Submission:
    plain = Submission(
        id="s1", version=1, name="a", label="a", pool="p", priority=0, types="[]", limit=None, env="{}",
        source="folder", source_key="a", content=content, retry_of="", state=state, reason="", message="",
        since=0.0, clock=0.0, created=0.0, attempts=0, attempt_id="", spent="{}", cancel_wanted=False,
        absences=0, strikes=0, not_before=0.0, last_error="", claim_by="", claim_until=0.0,
    )  # fmt: skip
    return evolve(plain, **values)  # type: ignore[arg-type]


def decide(known: Submission | None, *entries: Entry, good: bool = True, unsettled: str = "") -> tuple[Intention, ...]:
    reading = Reading(queue="folder", entries=entries, good=good, unsettled=frozenset(unsettled))
    return intake(reading, {known.source_key: known} if known else {})


def test_a_new_folder_is_taken() -> None:
    assert decide(None, entry()) == (Take(entry()),)


def test_a_bad_one_is_taken_to_be_shown_and_only_once() -> None:
    bad = entry(problem="a link")
    assert decide(None, bad) == (Take(bad),)
    shown = row("failed", "", reason=Outcome.INVALID, message="a link")
    assert decide(shown, bad) == ()
    worse = entry(problem="a FIFO")
    assert decide(shown, worse) == (Take(worse),)
    assert decide(shown, entry()) == (Take(entry()),)


@pytest.mark.parametrize("state", ["queued", *RUNNING, *FINAL])
def test_what_has_not_changed_is_not_taken_again(state: str) -> None:
    assert decide(row(state), entry()) == ()


@pytest.mark.parametrize("new", [entry("c2"), entry(problem="a link")])
def test_a_changed_folder_takes_the_place_of_one_that_waits(new: Entry) -> None:
    assert decide(row("queued"), new) == (Supersede(row("queued"), new),)


@pytest.mark.parametrize("state", RUNNING)
def test_a_changed_folder_waits_for_one_that_runs(state: str) -> None:
    assert decide(row(state), entry("c2")) == ()


@pytest.mark.parametrize("state", FINAL)
def test_a_changed_folder_is_taken_when_the_other_has_ended(state: str) -> None:
    assert decide(row(state), entry("c2")) == (Take(entry("c2")),)


def test_a_folder_that_is_gone_in_two_good_readings_withdraws_one_that_waits() -> None:
    assert decide(row("queued")) == (Absent(row("queued")),)
    last = row("queued", absences=ABSENCES - 1)
    assert decide(last) == (Withdraw(last),)


@pytest.mark.parametrize("state", [*RUNNING, *FINAL])
@pytest.mark.parametrize("absences", [0, 1, 5])
def test_a_folder_that_is_gone_does_nothing_to_one_that_does_not_wait(state: str, absences: int) -> None:
    assert decide(row(state, absences=absences)) == ()


def test_a_folder_that_is_back_is_counted_anew() -> None:
    missed = row("queued", absences=1)
    assert decide(missed, entry()) == (Present(missed),)


def test_a_folder_that_is_back_after_it_was_withdrawn_is_taken() -> None:
    assert decide(row("cancelled", reason=WITHDRAWN, absences=1), entry()) == (Take(entry()),)
    assert decide(row("cancelled", reason="cancelled"), entry()) == ()


def test_one_that_is_being_written_is_not_missing() -> None:
    assert decide(row("queued"), unsettled="a") == ()
    missed = row("queued", absences=1)
    assert decide(missed, unsettled="a") == (Present(missed),)
    assert decide(row("cancelled", reason=WITHDRAWN, absences=1), unsettled="a") == ()


@pytest.mark.parametrize("known", [None, row("queued", absences=1), row("queued", "c0"), row("succeeded", "c0")])
def test_a_bad_reading_means_nothing(known: Submission | None) -> None:
    assert decide(known, good=False) == ()


class World:
    """Folders as people change them, rows as intake and the loop change them."""

    def __init__(self) -> None:
        self.folders: dict[str, str] = {}
        self.rows: list[Submission] = []
        self.gone: dict[str, int] = {}  # good readings in a row without the folder

    @property
    def latest(self) -> Mapping[str, Submission]:
        return {each.source_key: each for each in self.rows}

    def read(self, *, good: bool, unsettled: str) -> Reading:
        present = {key: text for key, text in self.folders.items() if key not in unsettled}
        found = tuple(
            entry(text, problem=text if text.startswith("bad") else "", key=key) for key, text in present.items()
        )
        if good:
            known = {*self.latest, *self.folders}
            self.gone = {k: 0 if k in self.folders or k in unsettled else self.gone.get(k, 0) + 1 for k in known}
        return Reading(queue="folder", entries=found, good=good, unsettled=frozenset(unsettled))

    def apply(self, wanted: tuple[Intention, ...]) -> None:
        for one in wanted:
            if isinstance(one, Absent | Present):
                self._turn(one.submission, absences=one.submission.absences + 1 if isinstance(one, Absent) else 0)
                continue
            if isinstance(one, Withdraw):
                assert self.gone[one.submission.source_key] >= ABSENCES
                self._turn(one.submission, state="cancelled", reason=WITHDRAWN)
            if isinstance(one, Supersede):
                self._turn(one.submission, state="cancelled", reason="superseded")
            if isinstance(one, Supersede | Take):
                self._born(one.entry)

    def _turn(self, old: Submission, **values: object) -> None:
        assert old.state == "queued" or "state" not in values
        self.rows[self.rows.index(old)] = evolve(old, **values)  # type: ignore[arg-type]

    def _born(self, new: Entry) -> None:
        state = {"state": "failed", "reason": Outcome.INVALID, "message": new.problem} if new.problem else {}
        self.rows.append(row(content=new.content, id=f"s{len(self.rows)}", source_key=new.key, **state))

    def move(self, key: str, state: str) -> None:
        known = self.latest.get(key)
        if known and not SUBMISSION.is_final(known.state):
            self.rows[self.rows.index(known)] = evolve(known, state=state)


acts = st.one_of(
    st.tuples(st.just("write"), st.sampled_from("ab"), st.sampled_from(["c1", "c2", "bad link", "bad FIFO"])),
    st.tuples(st.just("remove"), st.sampled_from("ab"), st.just("")),
    st.tuples(st.just("move"), st.sampled_from("ab"), st.sampled_from(["queued", "running", "succeeded", "failed"])),
    st.tuples(st.just("read"), st.sampled_from(["", "a", "b", "ab"]), st.sampled_from(["good", "good", "bad"])),
)


@settings(max_examples=300, deadline=None)
@given(story=st.lists(acts, max_size=30))
@example(  # gone, being written, gone: not twice in a row
    story=[("write", "a", "c1"), ("read", "", "good"), ("remove", "a", ""), ("read", "", "good"), ("read", "a", "good"),
           ("read", "", "good")]
)  # fmt: skip
def test_any_story_ends_with_every_folder_taken_once(story: list[tuple[str, str, str]]) -> None:
    world = World()
    for act, key, what in story:
        if act == "write":
            world.folders[key] = what
        elif act == "remove":
            world.folders.pop(key, None)
        elif act == "move":
            world.move(key, what)
        else:
            reading = world.read(good=what == "good", unsettled=key)
            wanted = intake(reading, world.latest)
            assert reading.good or wanted == ()
            world.apply(wanted)
        for name in "ab":
            live = [each for each in world.rows if each.source_key == name and not SUBMISSION.is_final(each.state)]
            assert len(live) <= 1
    for _ in range(ABSENCES + 2):
        world.move("a", "succeeded")
        world.move("b", "succeeded")
        world.apply(intake(world.read(good=True, unsettled=""), world.latest))
    assert intake(world.read(good=True, unsettled=""), world.latest) == ()  # a converged queue writes nothing
    for key, text in world.folders.items():
        assert text in {world.latest[key].content, world.latest[key].message}
