"""The database as the rest of the program sees it: one read for a pass, one guarded write, and queries for people."""

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Double, literal, select

from reconciler.model.change import Step
from reconciler.model.offer import Place
from reconciler.model.rows import Identity
from reconciler.model.snapshot import Recorded
from reconciler.store import load, selects, write
from reconciler.store.engine import Database, open_database
from reconciler.store.opening import identify, prepare
from reconciler.store.queries import Queries
from reconciler.store.selects import server_clock
from reconciler.store.tables import BY_NAME

PATIENCE = 30.0  # seconds to wait for another process's lock
HELD_UP = 86400.0  # seconds for which a place is still looked at after the last row there has ended


def _random_id() -> str:
    return secrets.token_hex(8)


class Store(Queries):
    """An open database of one controller. Its calls block: the loop makes them from a thread of their own."""

    def __init__(self, database: Database, identity: Identity, clock: Callable[[], float]) -> None:
        super().__init__(database)
        self.identity = identity
        self._clock = clock

    @classmethod
    def open(
        cls,
        url: str,
        *,
        controller: str,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = _random_id,
        patience: float = PATIENCE,
        look: bool = False,
    ) -> "Store":
        """Open a database, or make a new one this controller's. Raises StoreError, and then nothing was written.

        `clock` (seconds since the epoch) is SQLite's; PostgreSQL has its own. `look`: also for somebody who may only
        read SQLite's file, which then has to be there.
        """
        database = open_database(url, patience=patience, look=look)
        try:
            prepare(database)
            identity = identify(database, controller, new_id, clock())
            return cls(database.kept(), identity, clock)
        except BaseException:
            database.close()
            raise

    @property
    def database(self) -> Database:
        """The connections, for the bell beside it."""
        return self._database

    def now(self) -> float:
        """The database's clock, in seconds since the epoch, UTC. Raises StoreError."""
        if self._database.is_sqlite:
            return self._clock()
        with self._database.reading() as connection:
            return float(connection.execute(select(server_clock())).scalar_one())

    def _now(self) -> ColumnElement[float]:
        return literal(self._clock(), Double) if self._database.is_sqlite else server_clock()

    def places(self) -> list[Place]:
        """Where machines may be, whatever the pools' files say now. Raises StoreError.

        Where live rows are; and where rows ended within a day, since a call that was held up on its way may still buy.
        """
        with self._database.reading() as connection:
            found: list[Any] = list(connection.execute(selects.places(self._now() - HELD_UP)))
        return [Place(cloud=cloud, settings=settings) for cloud, settings in found]

    def load(self, room: load.Room, *, tokens: Collection[str] = ()) -> Recorded:
        """All that a pass needs, as of one instant. Raises StoreError.

        `room` says of everything but the heads how many queued submissions each pool and type could place: so many
        heads, and a few more, are read. `tokens` are those of listed machines that no live row may have: see
        Recorded.ended.
        """
        with self._database.reading() as connection:
            now = self._clock() if self._database.is_sqlite else None
            return load.load(connection, self.identity, now, room, tokens)

    def apply(self, steps: Sequence[Step], *, now: float, by: str) -> list[bool]:
        """Write steps, each whole or not at all, in one transaction; tells which were not stale.

        Raises StoreError, and then nothing was written; ValueError for a step that no lifecycle allows, likewise.
        """
        if not steps:
            return []
        try:
            with self._database.writing() as connection:
                return write.Writer(connection, now, by).apply(steps)
        except write.HalfDoneError:  # rare: only now are savepoints worth their statements
            with self._database.writing() as connection:
                return write.Writer(connection, now, by, careful=True).apply(steps)

    def claim(self, table: str, rows: Sequence[Any], *, by: str, until: float) -> set[str]:
        """Claim the effects of rows until a time; returns the ids of those that nobody else claimed meanwhile.

        The same call with `until` 0 and `by` "" lets go of them. Raises StoreError.
        """
        if not rows:
            return set()
        with self._database.writing() as connection:
            return write.claim(connection, BY_NAME[table], rows, by=by, until=until)

    def close(self) -> None:
        """Let go of the connections."""
        self._database.close()
