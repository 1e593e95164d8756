"""Opens SQLite or PostgreSQL, so that the rest of the store need not know which it is.

Writers take turns on both: SQLite's BEGIN IMMEDIATE, an advisory lock on PostgreSQL. So no two transactions of ours can
deadlock, and history is numbered in the order in which it was committed.
"""

import functools
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from attrs import evolve, frozen
from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event, exc, make_url, text

from reconciler.store.errors import StoreError, code_of, told_for_people

_TURN = 7_305_804_402_631_233  # the key of the advisory lock under which every write is made
_LOST = (
    "the database's file is gone, or another: nothing more was written or begun. Put it back, or let `reconcile adopt` "
    "bring back the machines and what runs on them before the reconciler is started again"
)
_PAUSED = 60_000  # milliseconds after which PostgreSQL ends a transaction whose process was stopped within it


@frozen
class Database:
    """An open database. `patience`: how long to wait for another process's lock, in seconds."""

    url: URL
    engine: Engine
    patience: float
    file: tuple[int, int] | None = None  # device and inode of SQLite's file, once it is known which it has to be

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite; else it is PostgreSQL."""
        return self.engine.dialect.name == "sqlite"

    @property
    def is_in_memory(self) -> bool:
        """Whether it ends with this process."""
        return _is_in_memory(self.url)

    def kept(self) -> "Database":
        """The same, that from now on is of no use without the file that it is in now.

        A process goes on with a file that was deleted, and what it writes there nobody will ever read.
        """
        return evolve(self, file=_file_of(self.url)) if self.is_sqlite and not self.is_in_memory else self

    def _check_file(self) -> None:
        if self.file is not None and _file_of(self.url) != self.file:
            raise StoreError.of(self.url, _LOST)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent snapshot of everything. Raises StoreError."""
        self._check_file()
        with told_for_people(self.url), self.engine.connect() as connection:
            snapshot = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            with connection.execution_options(**snapshot).begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, alone among writers: all of it is kept, or none. Raises StoreError."""
        self._check_file()
        with told_for_people(self.url), self.engine.execution_options(writes=True).begin() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _TURN})
            yield connection
            self._check_file()  # to wait for a turn may have taken long

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def open_database(url: str, *, patience: float, look: bool = False) -> Database:
    """Prepare connections; nothing is read or written yet. Raises StoreError for what is not such a URL.

    `look`: also for somebody who may not write where SQLite's file is.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (exc.ArgumentError, ValueError) as error:
        raise StoreError(
            "database: not a database URL; write sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME", usage=True
        ) from error
    if backend == "sqlite":
        return Database(parsed, _sqlite(parsed, patience, look=look), patience)
    if backend == "postgresql":
        return Database(parsed, _postgresql(parsed, patience), patience)
    raise StoreError.of(parsed, f"{backend} is not supported; use sqlite or postgresql+psycopg", usage=True)


def _is_in_memory(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and (not url.database or url.database == ":memory:")


def _file_of(url: URL) -> tuple[int, int] | None:
    try:
        found = Path(url.database or "").stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _sqlite(url: URL, patience: float, *, look: bool) -> Engine:
    in_memory = _is_in_memory(url)
    way: dict[str, Any] = {"poolclass": StaticPool} if in_memory else {}
    if look and not in_memory:
        way = {"creator": lambda: _look(str(url.database), patience)}
    engine = create_engine(url, connect_args={"timeout": patience, "check_same_thread": False}, **way)

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


def _look(file: str, patience: float) -> sqlite3.Connection:
    """A connection to a file that is there, however little we may do with it.

    With a write-ahead log SQLite writes even in order to read. Where it may not, and no log lies beside the file, the
    file is all there is, and stays as it is for the moment that a look takes.
    """
    connect = functools.partial(sqlite3.connect, uri=True, timeout=patience, check_same_thread=False)
    connection = connect(f"file:{quote(file)}?mode=rw")
    try:
        connection.execute("PRAGMA schema_version").fetchone()
        return connection
    except sqlite3.OperationalError as error:
        connection.close()
        denied, log = code_of(error).startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")), Path(f"{file}-wal")
        if not denied or (log.exists() and log.stat().st_size):
            raise
    return connect(f"file:{quote(file)}?immutable=1")


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
