"""A sink that is an event of a RAMP database: what becomes of its submissions is written where RAMP would write it.

Each piece of news is one transaction, of the same rows as ramp-engine's dispatcher writes (ramp_engine/dispatcher.py).
What an older attempt has to tell is dropped, the same news twice is written twice (`rampdb.states`). Leaderboards
follow, once for all news that came together. Predictions stay files.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from attrs import evolve, field, frozen
from sqlalchemy import Connection

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
        submission = int(news.submission.source_key)
        final = news.delivery.event in _FINAL
        log = news.results / "log" if final and news.results else None
        predictions = news.results / OUTPUT if tidings.state == SCORED and news.results else None
        folders = Folders.of(self.event)
        with folders.staged(basename(submission), log, predictions) as staged:
            try:
                output = read_output(predictions) if predictions else None
                self._transact(news, tidings, submission, folders, staged, output)
            except OutputError as error:
                unfit = evolve(tidings, state=CHECKING_ERROR)
                words = f"The training worked, and its results do not fit the event: {error}. {participants.OUR_FAULT}"
                self._transact(news, unfit, submission, folders, staged, None, words)

    def _transact(
        self,
        news: News,
        tidings: Tidings,
        submission: int,
        folders: Folders,
        staged: Staged,
        output: Output | None,
        words: str = "",
    ) -> None:
        with self.ramp.writing() as connection:
            found = standing(connection, submission)
            if found is None or not wanted(found, tidings):
                return
            if news.delivery.event in _FINAL:
                self._finish(connection, news, submission, output)
                error = words or ("" if tidings.state == SCORED else self._failure(news, tidings))
                write_state(connection, submission, tidings, error=error)
                folders.put(basename(submission), staged)  # last: what RAMP refused is not shown as its results
            else:
                write_state(connection, submission, tidings)

    def _finish(self, connection: Connection, news: News, submission: int, output: Output | None) -> None:
        """Raises OutputError."""
        if output is not None:
            write_scores(connection, submission, output)
        memory = peak_memory(news.results, news.attempt.peak_memory if news.attempt else None)
        if memory is not None:
            write_memory(connection, submission, memory)

    def _failure(self, news: News, tidings: Tidings) -> str:
        """What its participant reads."""
        attempt = news.attempt
        orders = Assignment.from_json(attempt.frozen) if attempt else None
        hidden = participants.secrets(self.environ, orders.templates if orders else {}, self.event.database)
        if news.delivery.event == CANCELLED:
            return participants.CANCELLED
        if tidings.state == CHECKING_ERROR:
            own = participants.cleaned(news.submission.message, hidden) if attempt is None else ""
            return f"{own}\n{participants.OUR_FAULT}".strip()
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


def _ended_well(news: News) -> bool:
    """Whether the job's exit code was 0: its attempt says so once results are home, until then the submission does."""
    if news.attempt is not None and news.attempt.exit_code is not None:
        return news.attempt.exit_code == 0
    return news.submission.state == "collecting" and not news.submission.reason
