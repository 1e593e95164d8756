"""The bell: a command's ring wakes a loop in another process."""

import asyncio
import subprocess
import sys
from contextlib import aclosing

from sqlalchemy import text

from reconciler.store.bell import ring, rings
from reconciler.store.store import Store

RING = """
import sys
from reconciler.store.bell import ring
from reconciler.store.store import Store
ring(Store.open(sys.argv[1], controller="tests"))
"""


def url_of(store: Store) -> str:
    return store.database.url.render_as_string(hide_password=False)


def test_a_ring_of_another_process_is_heard(store: Store) -> None:
    async def listen() -> None:
        async with aclosing(rings(store)) as heard:
            await anext(heard)  # it listens
            await asyncio.to_thread(subprocess.run, [sys.executable, "-c", RING, url_of(store)], check=True)
            await anext(heard)
            ring(store)
            await anext(heard)

    asyncio.run(asyncio.wait_for(listen(), 60))


def test_listening_is_given_up_at_once(store: Store) -> None:
    async def listen() -> None:
        async with aclosing(rings(store)) as heard:
            await anext(heard)
            waiting = asyncio.ensure_future(anext(heard))
            await asyncio.sleep(0.05)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert waiting.cancelled()

    asyncio.run(asyncio.wait_for(listen(), 60))


def test_a_lost_connection_is_made_again_and_told(postgres_url: str) -> None:
    store = Store.open(postgres_url, controller="tests")
    others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"

    def cut() -> None:
        with store.database.writing() as connection:
            assert connection.execute(text(f"SELECT pg_terminate_backend(pid) {others}")).all()

    async def listen() -> None:
        async with aclosing(rings(store)) as heard:
            await anext(heard)
            await asyncio.to_thread(cut)
            await anext(heard)  # what rang meanwhile may have been missed
            ring(store)
            await anext(heard)

    asyncio.run(asyncio.wait_for(listen(), 60))
    store.close()


def test_a_database_in_memory_has_nobody_to_ring() -> None:
    store = Store.open("sqlite://", controller="tests")

    async def listen() -> None:
        async with aclosing(rings(store)) as heard:
            await anext(heard)
            ring(store)
            more = asyncio.ensure_future(anext(heard))
            await asyncio.sleep(0.05)
            assert not more.done()
            more.cancel()
            await asyncio.gather(more, return_exceptions=True)

    asyncio.run(listen())
    store.close()
