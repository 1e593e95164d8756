"""One call for what is asked in the same moments: fifty machines that fall idle one by one are ended by a few calls."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Batch(Generic[_T]):
    """Gathers the ids of callers that come within some seconds of the first; each gets the answer for all of them."""

    def __init__(self, call: Callable[[Sequence[str]], Awaitable[_T]], seconds: float) -> None:
        self._call = call
        self._seconds = seconds
        self._ids: dict[str, None] = {}
        self._going: asyncio.Task[_T] | None = None  # until its ids are taken

    async def __call__(self, ids: Sequence[str]) -> _T:
        """The shared call's answer, or its exception. It goes on when its callers are cancelled."""
        if self._going is None or self._going.done():
            self._ids = {}
            self._going = asyncio.ensure_future(self._go())
            self._going.add_done_callback(_seen)
        self._ids |= dict.fromkeys(ids)
        return await asyncio.shield(self._going)

    async def _go(self) -> _T:
        await asyncio.sleep(self._seconds)
        ids, self._going = list(self._ids), None
        return await self._call(ids)


def _seen(task: "asyncio.Task[_T]") -> None:
    """Nobody may be waiting for it any more."""
    if not task.cancelled():
        task.exception()
