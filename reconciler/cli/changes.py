"""What steps change, as a diff that a person can read: `--dry-run` prints it beforehand, a run as it happens.

`+` comes into being, `~` goes on, `-` goes, `!` wants somebody's attention, `>` is an effect that goes on being tried.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from attrs import frozen

from reconciler.act.runner import table_of
from reconciler.cli.printing import lasting
from reconciler.decide.case import Decision
from reconciler.decide.holds import named
from reconciler.lifecycle.delivery import DELIVERY
from reconciler.lifecycle.instance import INSTANCE
from reconciler.lifecycle.submission import SUBMISSION
from reconciler.lifecycle.table import Kind, Lifecycle
from reconciler.model.change import Insert, Replace, Step, Update, Write
from reconciler.model.offer import Fault
from reconciler.model.rows import Attempt, Instance
from reconciler.model.snapshot import Recorded

LIFECYCLES: Mapping[str, Lifecycle] = MappingProxyType(
    {"submissions": SUBMISSION, "instances": INSTANCE, "deliveries": DELIVERY}
)
OURS = f"{Fault.OURS}: "  # what the last error of a row begins with that waits for us
_PLACES = re.compile(r"\S*/\S*")  # paths in an error: each try has one of its own
LEAVING = frozenset({"draining", "stopping", "terminating", "terminated", "failed"})  # of an instance: it goes


@frozen
class Change:
    """One line. `quiet` ones are of no interest while a run goes well: deliveries, notes."""

    sign: str
    subject: str
    text: str
    quiet: bool = False
    table: str = ""
    id: str = ""
    target: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {self.subject}: {self.text}"


@frozen
class Names:
    """What rows are called: a submission has a label, everything else its id."""

    labels: Mapping[str, str]

    @classmethod
    def of(cls, recorded: Recorded, steps: Iterable[Step]) -> "Names":
        """The labels of all rows that a pass knows or makes."""
        rows = [*recorded.submissions.values(), *recorded.heads, *recorded.wishes]
        born = [
            write.row
            for step in steps
            for write in step.writes
            if isinstance(write, Insert) and write.table == "submissions"
        ]
        return cls({row.id: row.label for row in (*rows, *born)})

    def subject(self, table: str, row_id: str) -> str:
        """What a line begins with."""
        kind = {"submissions": "submission", "instances": "instance", "deliveries": "delivery"}[table]
        return f"{kind} {self.labels.get(row_id, row_id)}"


def changes(steps: Iterable[Step], recorded: Recorded) -> Iterator[Change]:
    """The lines of steps, in their order."""
    known = list(steps)
    names = Names.of(recorded, known)
    for step in known:
        found = [
            *_bought(step),
            *(change for write in step.writes for change in _of_write(write, step, names)),
            *(change for write in step.writes for change in _waits_for_us(write, recorded, names)),
        ]
        yield from found or [Change("~", *_split(step.why), quiet=True)]


def plan(decision: Decision, recorded: Recorded) -> Iterator[Change]:
    """What the next pass would do: its steps, machines that it would end without a row, effects that go on."""
    yield from changes(decision.steps, recorded)
    for orphan in decision.orphans:
        yield Change("-", f"machine {orphan.cloud_id}", f"ended: {orphan.why}")
    moved = {(write.table, write.id) for step in decision.steps for write in step.writes if isinstance(write, Update)}
    names = Names.of(recorded, ())
    for table, lifecycle in LIFECYCLES.items():
        for row in table_of(recorded, table).values():
            state = lifecycle.by_name[row.state]
            if state.kind is Kind.INTENT and (table, row.id) not in moved:
                error = f" (last: {row.last_error})" if row.last_error else ""
                yield Change(">", names.subject(table, row.id), f"{row.state} goes on{error}")


def _split(why: str) -> tuple[str, str]:
    """`subject: text`, as decisions write them."""
    subject, colon, text = why.partition(": ")
    return (subject, text) if colon else ("the reconciler", why)


def _bought(step: Step) -> Iterator[Change]:
    """Machines of one launch, in one line."""
    born = [write.row for write in step.writes if isinstance(write, Insert) and isinstance(write.row, Instance)]
    if born:
        first = born[0]
        yield Change("+", f"pool {first.pool}", f"{len(born)} x {first.type} ({first.market})")


def _of_write(write: Write, step: Step, names: Names) -> Iterator[Change]:
    kind = _KINDS.get((type(write), write.table))
    if kind is not None:
        yield from kind(write, step, names)


def _moved(write: Update, step: Step, names: Names) -> Iterator[Change]:
    if not write.event or write.event == "rebooted":
        return
    sign, text = "~", write.target if write.source == write.target else f"{write.source} → {write.target}"
    if write.table == "instances" and write.target in LEAVING and write.source not in LEAVING:
        sign = "-"
    placed = next((w.row for w in step.writes if isinstance(w, Insert) and isinstance(w.row, Attempt)), None)
    why = f" on {placed.instance_id}" if placed else _because(write)
    yield Change(
        sign, names.subject(write.table, write.id), text + why, quiet=write.table == "deliveries",
        table=write.table, id=write.id, target=write.target,
    )  # fmt: skip


def _waits_for_us(write: Write, recorded: Recorded, names: Names) -> Iterator[Change]:
    """A submission or machine that cannot go on for a fault on this side, once for each reason."""
    if not isinstance(write, Update) or write.event or write.table not in ("submissions", "instances"):
        return
    row, error = table_of(recorded, write.table).get(write.id), str(write.sets.get("last_error", ""))
    if row is None or not error.startswith(OURS) or _PLACES.sub("", error) == _PLACES.sub("", row.last_error):
        return
    again = lasting(float(str(write.sets["not_before"])) - recorded.now)
    yield Change(
        "!", names.subject(write.table, write.id),
        f"{row.state} waits: {error.removeprefix(OURS)}; tried again in {again}, then now and then",
    )  # fmt: skip


def _because(write: Update) -> str:
    reason, message = str(write.sets.get("reason") or ""), str(write.sets.get("message") or "")
    if not reason and not message:
        return ""
    said = message if not reason or message.startswith(reason) else f"{reason}: {message}" if message else reason
    return f" ({said})"


def _born(write: Insert, _: Step, names: Names) -> Iterator[Change]:
    row = write.row
    yield Change(
        "+", names.subject(write.table, row.id), f"{row.state} for pool {row.pool or '(none)'}", table=write.table,
        id=row.id, target=row.state,
    )  # fmt: skip


def _news(write: Insert, _: Step, names: Names) -> Iterator[Change]:
    row = write.row
    about = names.labels.get(row.submission_id, row.submission_id)
    yield Change("+", f"delivery {row.id}", f"{row.sink} is told: {about} {row.event}", quiet=True)


def _pool_new(write: Insert, _: Step, __: Names) -> Iterator[Change]:
    yield Change("+", f"pool {write.row.name}", "new" + (f" ({write.row.problem})" if write.row.problem else ""))


def _pool_edited(write: Update, step: Step, _: Names) -> Iterator[Change]:
    if write.sets:
        gone = write.sets.get("present") is False
        yield Change("-" if gone else "~", f"pool {write.id}", _split(step.why)[1])


def _held(write: Replace, _: Step, __: Names) -> Iterator[Change]:
    hold = write.row
    yield Change("!", f"held back {named(hold)}", hold.reason)


def _strange(write: Replace, _: Step, __: Names) -> Iterator[Change]:
    row = write.row
    yield Change("!", f"machine {row.cloud_id}", f"has our tag and no row here; counted against pool {row.pool}")


# What a write is, and of which table → how it is told. What is not named is told with something else, or not at all.
_KINDS: Mapping[tuple[type, str], Callable[..., Iterator[Change]]] = MappingProxyType(
    {
        (Insert, "submissions"): _born,
        (Insert, "deliveries"): _news,
        (Insert, "pools"): _pool_new,
        (Update, "submissions"): _moved,
        (Update, "instances"): _moved,
        (Update, "deliveries"): _moved,
        (Update, "pools"): _pool_edited,
        (Replace, "holds"): _held,
        (Replace, "strangers"): _strange,
    }
)
