"""Wakes a running loop at once when a command wrote something: a file beside SQLite, NOTIFY on PostgreSQL.

A ring carries nothing and may be lost: whoever hears one looks at the database, and looks now and then without one.
"""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from sqlalchemy import text

from reconciler.store.store import Store

_CHANNEL = "reconciler"
_AGAIN = 1.0  # seconds before a lost connection is made again

_GATHER = 20  # milliseconds for which rings that follow each other are taken as one


def ring(store: Store) -> None:
    """Wake whoever listens to this database. Raises StoreError."""
    database = store.database
    if not database.is_sqlite:
        with database.writing() as connection:
            connection.execute(text(f"NOTIFY {_CHANNEL}"))
    elif not database.is_in_memory:
        _bell(store).write_text("ring\n")


async def rings(store: Store) -> AsyncGenerator[None]:
    """Yields once as soon as it listens, since what rang before may have been missed, then at every ring."""
    if store.database.is_in_memory:
        yield
        await asyncio.Event().wait()  # nobody else can write to it
    listening = (_watched if store.database.is_sqlite else _notified)(store)
    try:
        async for _ in listening:
            yield
    finally:
        await listening.aclose()


def _bell(store: Store) -> Path:
    return Path(f"{store.database.url.database}-bell")


async def _watched(store: Store) -> AsyncGenerator[None]:
    from watchfiles import awatch

    bell = _bell(store)
    bell.touch()
    stop = asyncio.Event()
    changes = awatch(bell, watch_filter=None, stop_event=stop, debounce=_GATHER, step=_GATHER)
    first = asyncio.ensure_future(anext(changes))
    try:
        await asyncio.sleep(0)  # lets it begin: awatch watches before it waits for the first time
        yield
        await first
        yield
        async for _ in changes:
            yield
    finally:
        stop.set()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await changes.aclose()


async def _notified(store: Store) -> AsyncGenerator[None]:
    from psycopg import AsyncConnection, OperationalError

    engine = store.database.engine
    _, given = engine.dialect.create_connect_args(engine.url)
    arguments: dict[str, Any] = {**given, "connect_timeout": 10}
    while True:
        try:
            async with await AsyncConnection.connect(**arguments, autocommit=True) as connection:
                await connection.execute(f"LISTEN {_CHANNEL}".encode())
                yield
                async for _ in connection.notifies():
                    yield
        except OperationalError:
            await asyncio.sleep(_AGAIN)
