"""What is asked in the same moments goes in one call."""

import asyncio
from collections.abc import Sequence

import pytest

from reconciler.clouds.ec2_batches import Batch


def test_callers_of_the_same_moment_share_a_call_and_later_ones_make_another() -> None:
    calls: list[Sequence[str]] = []

    async def call(ids: Sequence[str]) -> int:
        calls.append(ids)
        return len(ids)

    async def story() -> list[int]:
        batch = Batch(call, 0.02)
        return [*await asyncio.gather(batch(["a", "b"]), batch(["b", "c"])), await batch(["d"])]

    assert asyncio.run(story()) == [3, 3, 1]
    assert calls == [["a", "b", "c"], ["d"]]


def test_a_refusal_is_everybodys_and_the_next_call_is_a_new_one() -> None:
    answers = [OSError("refused"), None]

    async def call(ids: Sequence[str]) -> Sequence[str]:
        if error := answers.pop(0):
            raise error
        return ids

    async def story() -> None:
        batch = Batch(call, 0.0)
        told = await asyncio.gather(batch(["a"]), batch(["b"]), return_exceptions=True)
        assert [str(each) for each in told] == ["refused", "refused"]
        assert await batch(["c"]) == ["c"]

    asyncio.run(story())


def test_a_caller_that_leaves_takes_nothing_with_it() -> None:
    calls: list[Sequence[str]] = []

    async def call(ids: Sequence[str]) -> None:
        calls.append(ids)

    async def story() -> None:
        batch = Batch(call, 0.02)
        leaving, staying = asyncio.ensure_future(batch(["a"])), asyncio.ensure_future(batch(["b"]))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        with pytest.raises(asyncio.CancelledError):
            await leaving

    asyncio.run(story())
    assert calls == [["a", "b"]]
