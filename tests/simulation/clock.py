"""An event loop on virtual time: when nothing is left to do, the clock jumps to the next timer.

There are no threads in it. What would go to a thread is run in place, at a point where the process may die or pause.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

START = 1_000_000.0  # seconds since the epoch at which every story begins

T = TypeVar("T")

# How the running process does what belongs in a thread; each process sets its own (see process.py).
in_a_thread: ContextVar[Callable[[Callable[[], Any]], Awaitable[Any]] | None] = ContextVar("in_a_thread", default=None)


class StuckError(Exception):
    """Everybody waits and no timer is set: in the real world, for ever."""


class _Jump(selectors.SelectSelector):
    """Never waits for a file: it moves the clock instead."""

    now = START

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise StuckError("everybody waits for somebody else")
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Real asyncio, unreal time."""

    def __init__(self) -> None:
        self.jump = _Jump()
        super().__init__(self.jump)

    def time(self) -> float:
        """Seconds since the epoch, as this world counts them."""
        return self.jump.now

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Run in place, as the process that asks."""
        run = in_a_thread.get()

        async def at_once() -> T:
            return await run(lambda: func(*args)) if run else func(*args)

        return self.create_task(at_once())


def run(story: Coroutine[Any, Any, T]) -> T:
    """Run a story to its end; every task that it leaves behind is cancelled."""
    loop = VirtualLoop()
    loop.set_exception_handler(lambda _, __: None)  # dead processes leave tasks whose ends nobody reads
    try:
        return loop.run_until_complete(story)
    finally:
        loop.run_until_complete(_clear())
        loop.close()


async def _clear() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
