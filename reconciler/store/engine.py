"""Opens SQLite or PostgreSQL, so that the rest of the store need not know which it is.

Writers take turns on both: SQLite's BEGIN IMMEDIATE, an advisory lock on PostgreSQL. So no two transactions of ours can
deadlock, and history is numbered in the order in which it was committed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import frozen
from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event, exc, make_url, text

from reconciler.store.errors import StoreError, told_for_people

_TURN = 7_305_804_402_631_233  # the key of the advisory lock under which every write is made
_PAUSED = 60_000  # milliseconds after which PostgreSQL ends a transaction whose process was stopped within it


@frozen
class Database:
    """An open database. `patience`: how long to wait for another process's lock, in seconds."""

    url: URL
    engine: Engine
    patience: float

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite; else it is PostgreSQL."""
        return self.engine.dialect.name == "sqlite"

    @property
    def is_in_memory(self) -> bool:
        """Whether it ends with this process."""
        return _is_in_memory(self.url)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent snapshot of everything. Raises StoreError."""
        with told_for_people(self.url), self.engine.connect() as connection:
            snapshot = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            with connection.execution_options(**snapshot).begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, alone among writers: all of it is kept, or none. Raises StoreError."""
        with told_for_people(self.url), self.engine.execution_options(writes=True).begin() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _TURN})
            yield connection

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def open_database(url: str, *, patience: float) -> Database:
    """Prepare connections; nothing is read or written yet. Raises StoreError for what is not such a URL."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (exc.ArgumentError, ValueError) as error:
        raise StoreError(
            "database: not a database URL; write sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME", usage=True
        ) from error
    if backend == "sqlite":
        return Database(parsed, _sqlite(parsed, patience), patience)
    if backend == "postgresql":
        return Database(parsed, _postgresql(parsed, patience), patience)
    raise StoreError.of(parsed, f"{backend} is not supported; use sqlite or postgresql+psycopg", usage=True)


def _is_in_memory(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and (not url.database or url.database == ":memory:")


def _sqlite(url: URL, patience: float) -> Engine:
    pool: dict[str, Any] = {"poolclass": StaticPool} if _is_in_memory(url) else {}
    engine = create_engine(url, connect_args={"timeout": patience, "check_same_thread": False}, **pool)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _: object) -> None:
        connection.isolation_level = None  # sqlite3 itself never begins a transaction; we do, below
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.connection.cursor().execute("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(url: URL, patience: float) -> Engine:
    try:
        import psycopg  # noqa: F401  (an extra, which may not be installed)
    except ImportError as error:
        missing = "PostgreSQL needs its driver: pip install 'ec2-reconciler[postgres]'"
        raise StoreError.of(url, missing, usage=True) from error
    limits = f"-c lock_timeout={int(patience * 1000)} -c idle_in_transaction_session_timeout={_PAUSED}"
    given = url.query.get("options", "")
    options = " ".join([*([given] if isinstance(given, str) else given), limits]).strip()
    return create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
        connect_args={"options": options, "connect_timeout": 10},
        pool_pre_ping=True,  # a server that was restarted costs no pass
    )
