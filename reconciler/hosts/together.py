"""Calls that come while one like them is under way go together in the next: a command on a machine costs much, however
little it has to do.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any, Generic, TypeVar

from attrs import Factory, define

Item = TypeVar("Item")
Answer = TypeVar("Answer")

PATIENCE = 0.5  # seconds that items wait for the call under way; then they go beside it
LANES = 5  # calls under way at a time
MOST = 64  # items that go together


@define(eq=False)
class _Waiting(Generic[Item, Answer]):
    """One item, and who waits for its answer."""

    item: Item
    key: Hashable
    weight: float
    kind: Hashable
    answer: "asyncio.Future[Answer]" = Factory(lambda: asyncio.get_running_loop().create_future())


class Together(Generic[Item, Answer]):
    """Does items in as few calls as possible: while one is under way, others gather for the next.

    `call` takes items and their kind, and answers for each in order. Items of one kind go together, as long as they
    weigh no more than 1 in all; one that is heavier by itself goes alone and at once. Where a call for several fails as
    `refusal`, each is done alone, so that it fails for itself.
    """

    def __init__(
        self,
        call: Callable[[Sequence[Item], Any], Coroutine[Any, Any, Sequence[Answer]]],
        *,
        refusal: tuple[type[Exception], ...],
        gather: float = 0.0,
    ) -> None:
        """`gather`: seconds that the first one waits for others."""
        self._call = call
        self._gather = gather
        self._refusal = refusal
        self._queue: list[_Waiting[Item, Answer]] = []
        self._lanes: set[asyncio.Task[None]] = set()
        self._given_up: set[asyncio.Future[None]] = set()
        self._impatience: asyncio.TimerHandle | None = None

    async def __call__(self, item: Item, *, key: Hashable, weight: float = 0.0, kind: Hashable = None) -> Answer:
        """The item's answer, or what its call raised. When nobody waits for a call any more, it is cancelled.

        No call has two items of the same `key`.
        """
        if weight > 1:
            (answer,) = await self._call([item], kind)
            return answer
        waiting: _Waiting[Item, Answer] = _Waiting(item, key, weight, kind)
        self._queue.append(waiting)
        if not self._lanes:
            self._open_lane()
        elif self._impatience is None:
            self._impatience = asyncio.get_running_loop().call_later(PATIENCE, self._lose_patience)
        return await waiting.answer

    async def close(self) -> None:
        """Wait until calls that nobody waits for any more have ended what they began."""
        await asyncio.gather(*self._given_up, return_exceptions=True)

    def _give_up(
        self, batch: Sequence[_Waiting[Item, Answer]], doing: "asyncio.Future[None]", _: "asyncio.Future[Answer]"
    ) -> None:
        """Nobody waits any more for what is being done. It is cancelled once: a second time would cut short its end."""
        if all(each.answer.cancelled() for each in batch) and not doing.done() and doing not in self._given_up:
            self._given_up.add(doing)
            doing.add_done_callback(self._given_up.discard)
            doing.cancel()

    def _lose_patience(self) -> None:
        """What is under way takes long: whoever waits since then goes beside it."""
        self._impatience = None
        if self._queue:
            if len(self._lanes) < LANES:
                self._open_lane()
            self._impatience = asyncio.get_running_loop().call_later(PATIENCE, self._lose_patience)

    def _open_lane(self) -> None:
        lane = asyncio.create_task(self._work())
        self._lanes.add(lane)
        lane.add_done_callback(self._lanes.discard)

    async def _work(self) -> None:
        """Call after call, while anybody waits. All who came in this turn of the loop go together."""
        await asyncio.sleep(self._gather)
        while batch := self._next():
            doing = asyncio.ensure_future(self._do(batch))
            for each in batch:
                each.answer.add_done_callback(functools.partial(self._give_up, batch, doing))
            try:
                await asyncio.wait([doing])
            finally:
                doing.cancel()
                await asyncio.gather(doing, return_exceptions=True)
                for each in batch:
                    each.answer.cancel()

    def _next(self) -> list[_Waiting[Item, Answer]]:
        self._queue = [each for each in self._queue if not each.answer.done()]
        batch: list[_Waiting[Item, Answer]] = []
        for each in self._queue:
            weight = sum(other.weight for other in batch) + each.weight
            fits = not batch or (each.kind == batch[0].kind and weight <= 1 and len(batch) < MOST)
            if fits and each.key not in {other.key for other in batch}:
                batch.append(each)
        self._queue = [each for each in self._queue if each not in batch]
        return batch

    async def _do(self, batch: Sequence[_Waiting[Item, Answer]]) -> None:
        try:
            answers = await self._call([each.item for each in batch], batch[0].kind)
        except self._refusal as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            for each in batch:
                if not each.answer.done():
                    await self._do([each])
        except Exception as error:
            _fail(batch, error)
        else:
            for each, answer in zip(batch, answers, strict=True):
                if not each.answer.done():
                    each.answer.set_result(answer)


def _fail(batch: Sequence[_Waiting[Any, Any]], error: Exception) -> None:
    for each in batch:
        if not each.answer.done():
            each.answer.set_exception(error)
