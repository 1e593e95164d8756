"""What can be wrong with a database, said for people, and whether it is their settings or the world that is at fault.

A URL's password is in no message: every text goes through `StoreError.of`, which knows the URL and blots it out.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from attrs import frozen
from sqlalchemy import URL, exc


class StoreError(Exception):
    """The database cannot be used. `usage`: the settings are wrong (exit 2), not the world just now (exit 1)."""

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.usage = usage

    @classmethod
    def of(cls, url: URL, message: str, *, usage: bool = False) -> "StoreError":
        """The error of one database, named first, its password blotted out wherever it stands."""
        text = f"{name_of(url)}: {message}"
        return cls(text.replace(url.password, "***") if url.password else text, usage=usage)


@frozen
class _Kind:
    """What one kind of refusal means for people."""

    message: str
    usage: bool = False


_LOCKED = _Kind("the database is locked by another process; stop that process, or try again")
_READ_ONLY = _Kind("the database is read-only; nothing was written. Make its file and folder, or its role, writable")
_FULL = _Kind("the disk that holds the database is full; nothing was written. Make room and start again")
_DAMAGED = _Kind("the database is damaged; restore a copy, or see `sqlite3 FILE .recover`", usage=True)

# The names and states by which SQLite and PostgreSQL tell these apart. A longer name begins with its kind's.
_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "SQLITE_NOTADB": _Kind("is not a SQLite database; name another file, or move this one away", usage=True),
        "SQLITE_CORRUPT": _DAMAGED,
        "SQLITE_BUSY": _LOCKED,
        "SQLITE_LOCKED": _LOCKED,
        "SQLITE_READONLY": _READ_ONLY,
        "SQLITE_FULL": _FULL,
        "SQLITE_CANTOPEN": _Kind("cannot be opened; is its folder there, and may we write in it?"),
        "SQLITE_PERM": _Kind("cannot be opened: no permission"),
        "55P03": _LOCKED,  # lock_not_available
        "25006": _READ_ONLY,  # read_only_sql_transaction
        "53100": _FULL,  # disk_full
        "42501": _Kind("the role may not do this; nothing was written. Grant it the schema"),  # insufficient_privilege
    }
)


def name_of(url: URL) -> str:
    """The database as people know it: the file of SQLite, the URL without its password otherwise."""
    if url.get_backend_name() == "sqlite":
        return url.database or "the database in memory"
    return url.render_as_string(hide_password=True)


def code_of(error: BaseException) -> str:
    """The driver's own name for an error: SQLITE_BUSY, or an SQLSTATE; empty where it has none."""
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    return str(getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or "")


def is_duplicate(error: exc.IntegrityError) -> bool:
    """Whether the row, or its like, is there already; any other violation is a bug of ours."""
    return code_of(error) in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "23505")


@contextmanager
def told_for_people(url: URL) -> Iterator[None]:
    """Raise what a driver says of the database as a StoreError. Errors in our own statements stay as they are."""
    try:
        yield
    except (exc.OperationalError, exc.InternalError, exc.InterfaceError, exc.TimeoutError, sqlite3.Error) as error:
        raise _translated(url, error) from error
    except exc.DatabaseError as error:
        if code_of(error).startswith(tuple(_KINDS)):
            raise _translated(url, error) from error
        raise


def _translated(url: URL, error: Exception) -> StoreError:
    code = code_of(error)
    kind = next((kind for name, kind in _KINDS.items() if code.startswith(name)), None)
    if kind:
        return StoreError.of(url, kind.message, usage=kind.usage)
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    lines = str(cause).strip().splitlines() or [type(error).__name__]
    return StoreError.of(url, f"cannot be reached: {lines[0]}")
