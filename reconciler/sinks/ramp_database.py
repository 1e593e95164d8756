"""A sink that is an event of a RAMP database: what becomes of its submissions is written where RAMP would write it.

Each piece of news is one transaction, of the same rows as ramp-engine's dispatcher writes (ramp_engine/dispatcher.py).
What an older attempt has to tell is dropped, the same news twice is written twice (`rampdb.states`). Leaderboards
follow, once for all news that came together. Predictions stay files.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from attrs import evolve, field, frozen

from reconciler.model.assignment import Assignment
from reconciler.model.offer import Fault
from reconciler.model.printable import printable
from reconciler.model.rows import Outcome
from reconciler.model.snapshot import Done, Failed
from reconciler.rampdb import participants
from reconciler.rampdb.access import Ramp, basename
from reconciler.rampdb.folders import Folders, Staged
from reconciler.rampdb.leaderboards import Leaderboards
from reconciler.rampdb.memory import peak_memory
from reconciler.rampdb.output import Output, OutputError, read_output
from reconciler.rampdb.positions import positions
from reconciler.rampdb.states import (
    CHECKING_ERROR,
    NEW,
    SCORED,
    SENT,
    TESTED,
    TRAINING,
    TRAINING_ERROR,
    Tidings,
    as_time,
    wanted,
)
from reconciler.rampdb.writes import standing, write_memory, write_positions, write_scores, write_state
from reconciler.sinks.base import News
from reconciler.spec.sinks import CANCELLED, OVER, PLACED, REQUEUED
from reconciler.spec.values import Event, RampEvent
from reconciler.store.errors import StoreError

# What each piece of news says in RAMP's words. A failure is the participant's, or ours: see `_THEIRS`.
_STATES: Mapping[str, str] = MappingProxyType(
    {
        Event.QUEUED: NEW,
        PLACED: SENT,
        Event.STARTED: TRAINING,
        OVER: TESTED,  # where the job ended well: else the failure says what it was
        Event.SUCCEEDED: SCORED,
        Event.FAILED: TRAINING_ERROR,
        REQUEUED: NEW,  # as RAMP does with one that was interrupted
        CANCELLED: CHECKING_ERROR,  # `new` would have it run again
    }
)
# Failures of a submission's own code; all others are on our side, and told as RAMP tells those.
_THEIRS = frozenset({Outcome.EXIT_CODE, Outcome.TIMEOUT, Outcome.INVALID})
# A cancelled one that RAMP itself took back: it is deleted there, or came again with other files.
_TAKEN_BACK = frozenset({"withdrawn", "superseded"})
_FINAL = frozenset({Event.SUCCEEDED, Event.FAILED, CANCELLED})
OUTPUT = "training_output"


@frozen(kw_only=True)
class _Writing:
    """All that one piece of news changes in RAMP's rows."""

    submission: int  # RAMP's id
    tidings: Tidings
    error: str | None = None  # what its participant reads; None before the end
    memory: float | None = None  # MiB
    output: Output | None = None


@frozen
class RampSink:
    """Writes the news of one event's submissions."""

    event: RampEvent
    ramp: Ramp
    leaderboards: Leaderboards
    environ: Mapping[str, str] = field(kw_only=True)  # what pools' ${NAME}s stand for: never shown

    @classmethod
    def open(cls, event: RampEvent, *, environ: Mapping[str, str]) -> "RampSink":
        """Raises StoreError for a database URL that is none, or has no driver here."""
        return cls(event, Ramp.open(event), Leaderboards(event.database, event.event), environ=environ)

    def close(self) -> None:
        """Let go of the database."""
        self.ramp.close()

    async def deliver(self, news: Sequence[News]) -> Sequence[Done | Failed]:
        """Write each in turn, then number the queue and make the leaderboards."""
        answers: list[Done | Failed] = [await asyncio.to_thread(self._tell, each) for each in news]
        told = [each for each, answer in zip(news, answers, strict=True) if isinstance(answer, Done)]
        if told:
            problem = await asyncio.to_thread(self._number)
            answers = [problem or answer if isinstance(answer, Done) else answer for answer in answers]
            await self.leaderboards.update(new_only=not any(each.delivery.event in _FINAL for each in told))
        return answers

    def _tell(self, news: News) -> Done | Failed:
        try:
            tidings = tidings_of(news)
            if tidings is not None:
                self._write(news, tidings)
        except StoreError as error:
            return Failed(fault=Fault.UNREACHABLE, message=error.message)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return Failed(fault=Fault.OURS, message=f"results cannot be copied: {where}{error.strerror}")
        return Done()

    def _write(self, news: News, tidings: Tidings) -> None:
        """Raises StoreError, and OSError for copies that cannot be made."""
        writing, home = self._writing(news, tidings), news.results if news.delivery.event in _FINAL else None
        folders = Folders.of(self.event)
        predictions = home / OUTPUT if home and tidings.state == SCORED else None
        with folders.staged(basename(writing.submission), home / "log" if home else None, predictions) as staged:
            try:
                if predictions:
                    writing = evolve(writing, output=read_output(predictions))
                self._record(writing, folders, staged)
            except OutputError as error:
                self._record(_unfit(writing, error), folders, staged)

    def _writing(self, news: News, tidings: Tidings) -> "_Writing":
        submission = int(news.submission.source_key)
        if news.delivery.event not in _FINAL:
            return _Writing(submission=submission, tidings=tidings)
        error = "" if tidings.state == SCORED else self._failure(news, tidings)
        memory = peak_memory(news.results, news.attempt.peak_memory if news.attempt else None)
        return _Writing(submission=submission, tidings=tidings, error=error, memory=memory)

    def _record(self, writing: "_Writing", folders: Folders, staged: Staged) -> None:
        """One transaction, in which everything changes or nothing. Raises OutputError, StoreError, OSError."""
        with self.ramp.writing() as connection:
            found = standing(connection, writing.submission)
            if found is None or not wanted(found, writing.tidings):
                return
            if writing.output is not None:
                write_scores(connection, writing.submission, writing.output)
            if writing.memory is not None:
                write_memory(connection, writing.submission, writing.memory)
            write_state(connection, writing.submission, writing.tidings, error=writing.error)
            if writing.error is not None:
                folders.put(basename(writing.submission), staged)  # last: a refused write shows no new files

    def _failure(self, news: News, tidings: Tidings) -> str:
        """What its participant reads."""
        attempt = news.attempt
        orders = Assignment.from_json(attempt.frozen) if attempt else None
        hidden = participants.secrets(self.environ, orders.templates if orders else {}, self.event.database)
        if news.delivery.event == CANCELLED:
            return participants.CANCELLED
        if tidings.state == CHECKING_ERROR:
            own = news.submission.message if attempt is None else ""  # what was wrong with it, before it went anywhere
            return participants.cleaned(own, hidden) or participants.OUR_FAULT
        shown = participants.of_log(news.results / "log", hidden) if news.results else ""
        if attempt and orders and attempt.outcome == Outcome.TIMEOUT:
            return f"{shown}\nWorker killed due to timeout after {orders.limit:g}s.".strip("\n")
        return shown or participants.cleaned(news.submission.message, hidden)

    def _number(self) -> Failed | None:
        """Queue positions, as the event's queue stands now."""
        try:
            with self.ramp.writing() as connection:
                rows = self.ramp.submissions(connection, self.ramp.row(connection))
                write_positions(connection, positions(self.event.route, rows), rows)
        except StoreError as error:
            return Failed(fault=Fault.UNREACHABLE, message=printable(error.message))
        return None


def tidings_of(news: News) -> Tidings | None:
    """The news in RAMP's words; None where RAMP has no word for it."""
    event, submission, attempt = news.delivery.event, news.submission, news.attempt
    state = _STATES.get(event)
    if state is None or (event == CANCELLED and submission.reason in _TAKEN_BACK):
        return None
    if event == OVER and not _ended_well(news):
        return None
    if event == Event.QUEUED and not submission.retry_of:
        return None  # it is `new`, or it would not have come to us
    if event == Event.FAILED and (attempt is None or attempt.outcome not in _THEIRS):
        state = CHECKING_ERROR
    started = attempt.started if attempt else None
    if event == Event.STARTED and started is None:
        started = news.delivery.created
    return Tidings(
        state=state,
        moment=as_time(attempt.opened if attempt else news.delivery.created),
        started=as_time(started) if started is not None and state not in (NEW, SENT) else None,
        again=event == Event.QUEUED,
    )


def _unfit(writing: _Writing, error: OutputError) -> _Writing:
    """A training that worked, on a kit that is not the event's: for the organisers to mend."""
    words = f"The training worked, and its results do not fit the event: {error}. {participants.OUR_FAULT}"
    return evolve(writing, tidings=evolve(writing.tidings, state=CHECKING_ERROR), output=None, error=words)


def _ended_well(news: News) -> bool:
    """Whether the job's exit code was 0: its attempt says so once results are home, until then the submission does."""
    if news.attempt is not None and news.attempt.exit_code is not None:
        return news.attempt.exit_code == 0
    return news.submission.state == "collecting" and not news.submission.reason
