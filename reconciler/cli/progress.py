"""How a run looks while it lasts: a live display for people on a terminal, a line a change in a pipe, or nothing.

Each is told of every pass that the loop made, and prints what changed in it. None of them reads the database.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from attrs import Factory, define, field, frozen

from reconciler.cli.changes import Change, changes
from reconciler.cli.printing import STYLES, cell, clock, console, lasting, plain, say, state_cell
from reconciler.lifecycle.instance import INSTANCE
from reconciler.lifecycle.submission import SUBMISSION
from reconciler.loop import Passed

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

MOST_ROWS = 12  # submissions or machines that the display names
REFRESHES = 4  # a second
ENDS = frozenset({"succeeded", "failed", "cancelled"})


class Progress(Protocol):
    """What a run tells people."""

    def __enter__(self) -> "Progress": ...

    def __exit__(self, *_: object) -> None: ...

    def tell(self, passed: Passed) -> None:
        """A pass is over."""
        ...


class Silent:
    """`--quiet`."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to end."""

    def tell(self, passed: Passed) -> None:
        """Say nothing."""


@frozen
class Lines:
    """One line a change, with its time: for pipes, logs and cron. No escape codes."""

    prefix: str = ""  # whose change it is, where several are served

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to end."""

    def tell(self, passed: Passed) -> None:
        """Print what the pass changed."""
        for change in loud(passed):
            say(f"{clock(passed.recorded.now)} {self.prefix}{change}")


def loud(passed: Passed) -> Iterator[Change]:
    """The changes of a pass that people want to read while all goes well, and what goes wrong."""
    return (change for change in changes(passed.steps, passed.recorded) if not change.quiet)


@define
class Display:
    """A live display: numbers, what runs, machines on their way, what is waited for. Ends stay above it as lines."""

    done: dict[str, int] = Factory(dict)  # final state → submissions that ended so far
    controller: str = ""
    now: Callable[[], float] = time.time
    _console: "Console" = field(factory=console)
    _passed: Passed | None = None
    _at: float = 0.0  # when the last pass was, by our own clock
    _waiting: dict[str, float] = Factory(dict)  # pool → since when something is queued there, as far as we saw
    _live: "Live | None" = None

    def __enter__(self) -> "Display":
        from rich.live import Live

        self._live = Live(
            get_renderable=self.picture, console=self._console, refresh_per_second=REFRESHES, transient=True
        )
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the display away, and give the cursor back."""
        if self._live:
            self._live.stop()

    def tell(self, passed: Passed) -> None:
        """Take a pass into the picture, and print what ended in it."""
        self._passed, self._at = passed, self.now()
        queued = [pool for pool in passed.recorded.waiting if _for_slot(passed, pool) > 0]
        self._waiting = {pool: self._waiting.get(pool, passed.recorded.now) for pool in queued}
        for change in loud(passed):
            if change.table == "submissions" and change.target in ENDS:
                self.done[change.target] = self.done.get(change.target, 0) + 1
                self._console.print(cell(f"{clock(passed.recorded.now)} {change}", STYLES[change.target]))
            elif change.sign == "!" or change.subject.startswith("pool "):
                self._console.print(cell(f"{clock(passed.recorded.now)} {change}"))

    def picture(self) -> "Group":
        """What is shown now."""
        from rich.console import Group

        passed = self._passed
        if passed is None:
            return Group(cell("starting …"))
        now = passed.recorded.now + (self.now() - self._at)
        width = self._console.width
        return Group(*(_cut(line, width) for line in [self._numbers(passed), *_rows(passed, now, self._waiting)]))

    def _numbers(self, passed: Passed) -> "Text":
        waiting = passed.recorded.waiting.values()
        queued = sum(each.ready + each.held for each in waiting)
        machines = Counter(row.state for row in passed.recorded.instances.values() if not INSTANCE.is_final(row.state))
        ended = ", ".join(f"{count} {state}" for state, count in self.done.items() if count)
        running = Counter(row.state for row in passed.recorded.submissions.values())
        parts = (
            self.controller,
            f"{queued} queued",
            *(f"{running[state]} {state}" for state in SUBMISSION.by_name if running[state]),
            ended or "0 done",
            f"{machines.total()} machine{'' if machines.total() == 1 else 's'}",
        )
        return cell(" · ".join(part for part in parts if part), "bold")


def _rows(passed: Passed, now: float, waiting: Mapping[str, float]) -> Iterator["Text"]:
    """Submissions on machines, then machines on their way, then what is waited for."""
    recorded = passed.recorded
    on = {row.id: recorded.attempts[row.attempt_id].instance_id for row in recorded.submissions.values()
          if row.attempt_id in recorded.attempts}  # fmt: skip
    lines = [
        _line(row.label, row.state, now - row.since, f"on {on.get(row.id, '?')}" + _trouble(row.last_error))
        for row in recorded.submissions.values()
    ]
    lines += [
        _line(row.id, row.state, now - row.since, (row.reason or row.type) + _trouble(row.last_error))
        for row in recorded.instances.values()
        if row.state not in ("ready", "stopped") and not INSTANCE.is_final(row.state)
    ]
    yield from lines[:MOST_ROWS]
    if len(lines) > MOST_ROWS:
        yield cell(f"  … and {len(lines) - MOST_ROWS} more", "dim")
    for why in _awaited(passed, now, waiting):
        yield cell(f"  waiting: {why}", "yellow")


def _trouble(error: str) -> str:
    return f" ({error})" if error else ""


def _line(name: str, state: str, lasted: float, what: str) -> "Text":
    from rich.text import Text

    return Text.assemble(
        f"  {plain(name):<24.24} ", state_cell(f"{state:<12}"), f"{lasting(lasted):>6}  ", cell(what, "dim")
    )


def _awaited(passed: Passed, now: float, since: Mapping[str, float]) -> Iterator[str]:
    """Queues and since when, holds that are in force, submissions held back, and what is set aside."""
    for pool, begun in since.items():
        yield f"{_for_slot(passed, pool)} of pool {pool} for a free slot, for {lasting(now - begun)}"
    for hold in passed.recorded.holds:
        if hold.until > now:
            yield f"{hold.reason}, for {lasting(hold.until - now)} more"
    for pool, waiting in passed.recorded.waiting.items():
        if waiting.held and waiting.next_due is not None:
            yield f"{waiting.held} of pool {pool} are tried again in {lasting(waiting.next_due - now)}"
    yield from passed.standing.set_aside[:3]


def _for_slot(passed: Passed, pool: str) -> int:
    """How many of a pool's queue want nothing but a slot."""
    return passed.recorded.waiting[pool].ready - passed.standing.queued_aside.get(pool, 0)


def _cut(line: "Text", width: int) -> "Text":
    line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line


def progress(*, quiet: bool, controller: str, done: Mapping[str, int]) -> Progress:
    """The right one for where standard output goes."""
    if quiet:
        return Silent()
    made = console()
    if made.is_terminal and not made.is_dumb_terminal:
        return Display(done=dict(done), controller=controller, console=made)
    return Lines()
