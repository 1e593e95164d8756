"""What an effect is: the one thing to do for rows in one intent state, safe to repeat, harmless whenever it lands."""

from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from attrs import frozen

from reconciler.clouds.base import Cloud
from reconciler.decide.case import Desired
from reconciler.hosts.base import Host
from reconciler.model.assignment import Assignment
from reconciler.model.offer import Fault, Place
from reconciler.model.rows import Attempt, Delivery, Instance, Launch, Submission
from reconciler.model.snapshot import Answer, Done, Failed, Recorded
from reconciler.sinks.base import Sink
from reconciler.spec.environment import fill_all
from reconciler.spec.errors import Wrong
from reconciler.workloads.base import Workload

Row = Submission | Instance | Delivery


class Reader(Protocol):
    """What effects read of the store beyond the pass's snapshot."""

    def launch(self, token: str) -> Launch | None:
        """The purchase of a token."""
        ...

    def submissions(self, *, named: Collection[str]) -> Sequence[Submission]:
        """Submissions by id, also final ones."""
        ...

    def attempts(self, ids: Collection[str]) -> Mapping[str, Attempt]:
        """Attempts by id, also closed ones."""
        ...


class Database(Protocol):
    """Runs store calls where they do not block the loop."""

    async def __call__(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The call's value, or its exception."""
        ...


@frozen(kw_only=True)
class Tools:
    """The outside world, as it is handed to effects."""

    reader: Reader
    db: Database
    cloud: Callable[[Place, str], Cloud]  # a place and the settings to reach it by
    host: Callable[[Instance], Host]
    keep_hosts: Callable[[Collection[str]], Awaitable[None]]  # let go of the ways into all instances but these
    workload: Callable[[str, str], Workload]  # kind, settings as JSON
    sinks: Mapping[str, Sink]
    environ: Mapping[str, str]  # where ${NAME} of a pool's env is looked up, at the last moment
    results: Path
    content: Path  # the store of submissions by content


@frozen(kw_only=True)
class World:
    """One pass, as its effects see it."""

    recorded: Recorded
    desired: Desired
    tools: Tools

    def place(self, row: Instance) -> tuple[Cloud, Instance]:
        """The cloud that a row's machine lives in, by the settings that it was born with."""
        return self.tools.cloud(Place(cloud=row.cloud, settings=row.place), row.settings), row

    def filled(self, templates: Mapping[str, str]) -> dict[str, str]:
        """A pool's environment with its secrets. Raises OSError where ours has no such variable."""
        try:
            return fill_all(templates, self.tools.environ)
        except Wrong as error:
            raise OSError(f"env of the pool: {error}") from error

    def work(self, row: Submission) -> tuple[Attempt, Instance, Assignment]:
        """A submission's open attempt, its machine and its orders. Raises KeyError when it has none."""
        attempt = self.recorded.attempts[row.attempt_id]
        return attempt, self.recorded.instances[attempt.instance_id], Assignment.from_json(attempt.frozen)


Run = Callable[[Sequence[Any], World], Awaitable[Sequence[Done | Failed]]]


@frozen(kw_only=True)
class Effect:
    """One intent state's effect. Rows with the same key run together, in one call."""

    table: str
    state: str
    run: Run
    together: Callable[[Any], Hashable] = lambda row: row.id


def answers(table: str, rows: Sequence[Row], results: Sequence[Done | Failed]) -> list[Answer]:
    """One answer a row, for the state that the effect was run for."""
    return [
        Answer(table=table, id=row.id, state=row.state, since=row.since, result=result)
        for row, result in zip(rows, results, strict=True)
    ]


def all_failed(rows: Sequence[Row], fault: Fault, message: str) -> list[Done | Failed]:
    """The same failure for each row of a call that failed whole."""
    return [Failed(fault=fault, message=message) for _ in rows]
