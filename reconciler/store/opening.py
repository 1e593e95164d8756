"""What happens before the first read: is it a database, is it ours, is it of this version. Refusing writes nothing."""

import sqlite3
import time
from collections.abc import Callable

from sqlalchemy import Connection, insert, inspect, select, text

from reconciler.model.rows import Identity
from reconciler.store.engine import Database
from reconciler.store.errors import StoreError, code_of, told_for_people
from reconciler.store.tables import BY_NAME, HEAD, HISTORY, IDENTITY, VERSION_TABLE

_PAUSE = 0.05  # seconds between tries to turn a new file into one with a write-ahead log


def prepare(database: Database) -> None:
    """Bring the schema to this version, whoever else is doing the same. Raises StoreError."""
    with database.reading() as connection:
        if _version(connection, database) == HEAD:
            return
    if database.is_sqlite and not database.is_in_memory:
        _use_wal(database)
    with database.writing() as connection:
        if _version(connection, database) != HEAD:  # else another process was faster
            from reconciler.store.migrations.upgrade import upgrade  # alembic is slow to import

            upgrade(connection)


def identify(database: Database, controller: str, new_id: Callable[[], str], now: float) -> Identity:
    """Whose database this is; a new one is given to the controller. Raises StoreError for another controller's."""
    with database.reading() as connection:
        found = _identity(connection)
    if found is None:
        with database.writing() as connection:
            found = _identity(connection)
            if found is None:
                found = Identity(controller, new_id(), now)
                row = {"controller": found.controller, "database_id": found.database_id, "created": found.created}
                connection.execute(insert(IDENTITY).values(row))
    _check_owner(database, found, controller)
    return found


def look(database: Database, controller: str) -> tuple[str, Identity | None]:
    """The version of the schema, empty where there is none yet, and whose it is. Writes nothing. Raises StoreError."""
    with database.reading() as connection:
        version = _version(connection, database)
        found = _identity(connection) if version else None
    if found is not None:
        _check_owner(database, found, controller)
    return version, found


def _check_owner(database: Database, found: Identity, controller: str) -> None:
    if found.controller != controller:
        raise StoreError.of(
            database.url,
            f"belongs to the controller {found.controller!r}, and this configuration says {controller!r}; "
            "name another database, or that controller",
            usage=True,
        )


def _identity(connection: Connection) -> Identity | None:
    row = connection.execute(select(IDENTITY)).first()
    return Identity(*row) if row else None


def _version(connection: Connection, database: Database) -> str:
    """The version of the schema, empty for a new database. Raises StoreError for what is not ours or newer."""
    present = inspect(connection)
    if present.has_table(VERSION_TABLE):
        version = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
        if version:
            _check_known(str(version), database)
            return str(version)
    names = set(present.get_table_names()) - {VERSION_TABLE}
    ours = {*BY_NAME, HISTORY.name, IDENTITY.name}
    foreign = sorted(names if database.is_sqlite else names & ours)
    if foreign:
        raise StoreError.of(
            database.url,
            f"holds another program's tables ({', '.join(foreign[:5])}); name a database of its own",
            usage=True,
        )
    return ""


def _check_known(version: str, database: Database) -> None:
    if version == HEAD:
        return
    from reconciler.store.migrations.upgrade import is_known

    if not is_known(version):
        raise StoreError.of(
            database.url, f"was written by a newer version of reconciler (schema {version}); install that", usage=True
        )


def _use_wal(database: Database) -> None:
    """Let readers and a writer work at once; the file remembers it.

    SQLite does not wait for locks here by itself, and two processes may start at once.
    """
    with told_for_people(database.url), database.engine.connect() as connection:
        driver = connection.connection.cursor()
        for tries_left in reversed(range(max(1, int(database.patience / _PAUSE)))):
            try:
                driver.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if not code_of(error).startswith("SQLITE_BUSY") or not tries_left:
                    raise
            time.sleep(_PAUSE)
