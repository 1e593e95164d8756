"""What the command line, the queues and the sinks ask, beside a pass: a few rows at a time, final ones too."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Select, func, literal, or_, select, text

from reconciler.model.rows import (
    Attempt,
    Delivery,
    Event,
    Hold,
    Instance,
    Launch,
    PoolRow,
    Stranger,
    Submission,
)
from reconciler.store.engine import Database
from reconciler.store.tables import (
    ATTEMPTS,
    BY_NAME,
    DELIVERIES,
    HISTORY,
    HOLDS,
    INSTANCES,
    LAUNCHES,
    LIVE_INSTANCES,
    PENDING,
    POOLS,
    STRANGERS,
    SUBMISSIONS,
)


class Queries:
    """Reads, each a snapshot of its own. Every one raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _all(self, statement: Select[Any]) -> list[Any]:
        with self._database.reading() as connection:
            return list(connection.execute(statement).all())

    def submissions(
        self,
        *,
        states: Collection[str] = (),
        pool: str = "",
        named: Collection[str] = (),
        limit: int | None = None,
    ) -> list[Submission]:
        """Submissions in order of arrival; of more than `limit`, the latest. `named`: ids, labels or names."""
        c = SUBMISSIONS.c
        statement = select(SUBMISSIONS).order_by(c.created.desc(), c.id.desc()).limit(limit)
        if states:
            statement = statement.where(c.state.in_(states))
        if pool:
            statement = statement.where(c.pool == pool)
        if named:
            statement = statement.where(or_(c.id.in_(named), c.label.in_(named), c.name.in_(named)))
        return [Submission(*row) for row in reversed(self._all(statement))]

    def submission(self, named: str) -> Submission | None:
        """The one of this id, else of this label, else the latest of this name; None for none."""
        found = self.submissions(named=[named])
        by_id = next((row for row in found if row.id == named), None)
        by_label = next((row for row in found if row.label == named), None)
        return by_id or by_label or (found[-1] if found else None)

    def latest_retry(self, row: Submission) -> Submission:
        """The latest of a submission, its retries, and theirs."""
        retries = select(SUBMISSIONS).where(SUBMISSIONS.c.retry_of != "").order_by(SUBMISSIONS.c.created)
        again = {found.retry_of: Submission(*found) for found in self._all(retries)}
        while row.id in again:
            row = again[row.id]
        return row

    def instances(self, *, include_final: bool = False, pool: str = "") -> list[Instance]:
        """Instances in order of birth."""
        statement = select(INSTANCES).order_by(INSTANCES.c.born, INSTANCES.c.token, INSTANCES.c.index)
        if not include_final:
            statement = statement.where(text(LIVE_INSTANCES))
        if pool:
            statement = statement.where(INSTANCES.c.pool == pool)
        return [Instance(*row) for row in self._all(statement)]

    def instance(self, instance_id: str) -> Instance | None:
        """An instance by its id, or by the cloud's; None for none."""
        statement = select(INSTANCES).where(or_(INSTANCES.c.id == instance_id, INSTANCES.c.cloud_id == instance_id))
        return next((Instance(*row) for row in self._all(statement)), None) if instance_id else None

    def attempts_of(self, submission_ids: Collection[str]) -> list[Attempt]:
        """Every attempt of these submissions, by submission, first to last."""
        statement = select(ATTEMPTS).where(ATTEMPTS.c.submission_id.in_(submission_ids))
        return [Attempt(*row) for row in self._all(statement.order_by(ATTEMPTS.c.submission_id, ATTEMPTS.c.number))]

    def attempts(self, ids: Collection[str]) -> dict[str, Attempt]:
        """Attempts by their ids."""
        return {row[0]: Attempt(*row) for row in self._all(select(ATTEMPTS).where(ATTEMPTS.c.id.in_(ids)))}

    def attempt(self, attempt_id: str) -> Attempt | None:
        """One attempt; None for none."""
        return self.attempts([attempt_id]).get(attempt_id)

    def history(self, row: str | None = None, *, after: int = 0, limit: int | None = None) -> list[Event]:
        """History in order, of one row's id or of all, beyond the number `after`."""
        statement = select(HISTORY).where(HISTORY.c.seq > after).order_by(HISTORY.c.seq).limit(limit)
        if row is not None:
            statement = statement.where(HISTORY.c.table.in_(BY_NAME), HISTORY.c.row == row)
        return [Event(*found) for found in self._all(statement)]

    def deliveries(
        self, *, submission_ids: Collection[str] = (), states: Collection[str] = (), limit: int | None = None
    ) -> list[Delivery]:
        """Deliveries in order of birth; without a filter, those that are to be made."""
        statement = select(DELIVERIES).order_by(DELIVERIES.c.created, DELIVERIES.c.id).limit(limit)
        if submission_ids:
            statement = statement.where(DELIVERIES.c.submission_id.in_(submission_ids))
        if states:
            statement = statement.where(DELIVERIES.c.state.in_(states))
        if not submission_ids and not states:
            statement = statement.where(text(PENDING))
        return [Delivery(*row) for row in self._all(statement)]

    def pools(self) -> list[PoolRow]:
        """Every pool that was ever read, by name."""
        return [PoolRow(*row) for row in self._all(select(POOLS).order_by(POOLS.c.name))]

    def holds(self) -> list[Hold]:
        """What is not tried again before a time."""
        return [Hold(*row) for row in self._all(select(HOLDS).order_by(HOLDS.c.until))]

    def strangers(self) -> list[Stranger]:
        """Machines with our tag and no row."""
        return [Stranger(*row) for row in self._all(select(STRANGERS).order_by(STRANGERS.c.seen))]

    def launch(self, token: str) -> Launch | None:
        """One purchase; None for none."""
        return next((Launch(*row) for row in self._all(select(LAUNCHES).where(LAUNCHES.c.token == token))), None)

    def counts(self, table: str) -> dict[str, dict[str, int]]:
        """By pool and state, how many rows of a table that lives by a lifecycle."""
        c = BY_NAME[table].c
        found: dict[str, dict[str, int]] = {}
        for pool, state, count in self._all(select(c.pool, c.state, func.count()).group_by(c.pool, c.state)):
            found.setdefault(pool, {})[state] = count
        return found

    def latest_by_key(self, source: str) -> Mapping[str, Submission]:
        """The latest submission for each key that a queue calls its own by."""
        c = SUBMISSIONS.c
        latest = func.row_number().over(partition_by=c.source_key, order_by=(c.created.desc(), c.id.desc()))
        ranked = select(SUBMISSIONS, latest.label("rank")).where(c.source == source).subquery()
        rows = self._all(select(ranked).where(ranked.c.rank == 1))
        return {row.source_key: Submission(*row[:-1]) for row in rows}

    def next_label(self, name: str, taken: Iterable[str] = ()) -> str:
        """The label of the next submission of a name: name, name-2, name-3 …; `taken` are given out already."""
        c = SUBMISSIONS.c
        used = set(taken)
        with self._database.reading() as connection:
            of_name, of_label = func.count().filter(c.name == name), func.count().filter(c.label == name)
            count, taken_already = connection.execute(
                select(of_name, of_label).where(or_(c.name == name, c.label == name))
            ).one()
            if not (count or taken_already or name in used):
                return name
            number = count + 1
            while True:
                label = name if number == 1 else f"{name}-{number}"
                if label not in used and not connection.execute(select(literal(1)).where(c.label == label)).first():
                    return label
                number += 1
