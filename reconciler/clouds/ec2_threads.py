"""Blocking calls in threads that the end of the process does not wait for.

An executor's threads are joined at exit: a call that hangs for a minute would keep a stopped reconciler for a minute.
What such a call did is found again at the next start.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


class Threads:
    """So many calls at a time."""

    def __init__(self, at_once: int, name: str) -> None:
        """`name` is what the threads are called."""
        self._slots = asyncio.Semaphore(at_once)
        self._name = name

    async def run(self, work: Callable[[], _T]) -> _T:
        """The call's value, or its exception. A call whose caller has gone away goes on by itself."""
        async with self._slots:
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[_T] = loop.create_future()
            threading.Thread(target=_answered, args=(work, loop, answer), name=self._name, daemon=True).start()
            return await answer


def _answered(work: Callable[[], Any], loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Any]") -> None:
    try:
        value = work()
    except BaseException as error:  # it is the caller's to sort
        _tell(loop, answer, lambda error=error: answer.set_exception(error))  # type: ignore[misc]
    else:
        _tell(loop, answer, lambda: answer.set_result(value))


def _tell(loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Any]", settle: Callable[[], None]) -> None:
    def settled() -> None:
        if not answer.done():
            settle()

    with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
        loop.call_soon_threadsafe(settled)
