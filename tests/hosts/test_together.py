"""Calls that go together: which do, in what order, and what becomes of those whose company fails or leaves."""

import asyncio
from collections.abc import Sequence

import pytest
from attrs import Factory, define

from reconciler.hosts.together import MOST, Together


class RefusedError(Exception):
    """What the calls of these tests refuse with."""


@define
class Desk:
    """Answers an item with itself doubled, call after call, each as soon as it is let."""

    calls: list[list[str]] = Factory(list)
    bad: str = ""
    may_go: asyncio.Event = Factory(asyncio.Event)
    cancelled: int = 0

    async def call(self, items: Sequence[str], kind: object) -> Sequence[str]:
        self.calls.append(list(items))
        try:
            await self.may_go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.bad in items:
            raise RefusedError(self.bad)
        return [f"{item}{item}{kind or ''}" for item in items]

    async def turns(self, count: int = 10) -> None:
        """So many turns of the loop."""
        for _ in range(count):
            await asyncio.sleep(0)


def _together(desk: Desk) -> Together[str, str]:
    return Together(desk.call, refusal=(RefusedError,))


def test_what_comes_while_a_call_is_under_way_goes_in_the_next() -> None:
    async def story() -> None:
        desk = Desk()
        together = _together(desk)
        first = asyncio.ensure_future(together("a", key="a"))
        await desk.turns()
        others = [asyncio.ensure_future(together(item, key=item)) for item in "bcd"]
        await desk.turns()
        assert desk.calls == [["a"]]
        desk.may_go.set()
        assert [await each for each in (first, *others)] == ["aa", "bb", "cc", "dd"]
        assert desk.calls == [["a"], ["b", "c", "d"]]
        assert await together("e", key="e") == "ee"

    asyncio.run(story())


def test_what_comes_in_one_turn_goes_at_once_and_a_call_has_its_limits() -> None:
    async def story() -> None:
        desk = Desk()
        desk.may_go.set()
        together = _together(desk)
        await asyncio.gather(*(together(str(number), key=number) for number in range(MOST + 3)))
        assert [len(call) for call in desk.calls] == [MOST, 3]
        await asyncio.gather(*(together(item, key=item, weight=0.4) for item in "abc"))
        assert desk.calls[2:] == [["a", "b"], ["c"]]
        assert await asyncio.gather(*(together(item, key=item, kind=kind) for item, kind in ("a1", "b2", "c1"))) == [
            "aa1", "bb2", "cc1",
        ]  # fmt: skip
        assert desk.calls[4:] == [["a", "c"], ["b"]]

    asyncio.run(story())


def test_no_call_has_the_same_twice() -> None:
    async def story() -> None:
        desk = Desk()
        desk.may_go.set()
        together = _together(desk)
        got = await asyncio.gather(*(together(item, key=item) for item in "aabab"))
        assert got == ["aa", "aa", "bb", "aa", "bb"]
        assert desk.calls == [["a", "b"], ["a", "b"], ["a"]]

    asyncio.run(story())


def test_what_is_heavy_goes_alone_and_waits_for_nobody() -> None:
    async def story() -> None:
        desk = Desk()
        together = _together(desk)
        going = [
            asyncio.ensure_future(together("a", key="a")),
            asyncio.ensure_future(together("b", key="b", weight=1.5)),
        ]
        await desk.turns()
        assert sorted(desk.calls) == [["a"], ["b"]]
        desk.may_go.set()
        assert await asyncio.gather(*going) == ["aa", "bb"]

    asyncio.run(story())


def test_a_call_that_takes_long_is_not_waited_for() -> None:
    async def story() -> None:
        desk = Desk()
        together = _together(desk)
        first = asyncio.ensure_future(together("a", key="a"))
        await desk.turns()
        second = asyncio.ensure_future(together("b", key="b"))
        while desk.calls != [["a"], ["b"]]:  # pytest's own time limit is the only one
            await asyncio.sleep(0.01)
        assert not first.done()
        desk.may_go.set()
        assert await asyncio.gather(first, second) == ["aa", "bb"]

    asyncio.run(story())


def test_of_those_that_were_refused_together_each_is_asked_alone() -> None:
    async def story() -> None:
        desk = Desk(bad="b")
        desk.may_go.set()
        together = _together(desk)
        got = await asyncio.gather(*(together(item, key=item) for item in "abc"), return_exceptions=True)
        assert (got[0], got[2]) == ("aa", "cc")
        assert isinstance(got[1], RefusedError)
        assert desk.calls == [["a", "b", "c"], ["a"], ["b"], ["c"]]

    asyncio.run(story())


def test_any_other_failure_is_everybodys() -> None:
    async def story() -> None:
        desk = Desk(bad="b")
        desk.may_go.set()
        together: Together[str, str] = Together(desk.call, refusal=())
        got = await asyncio.gather(*(together(item, key=item) for item in "abc"), return_exceptions=True)
        assert all(isinstance(each, RefusedError) for each in got)
        assert len(desk.calls) == 1

    asyncio.run(story())


def test_a_call_is_given_up_when_the_last_one_leaves() -> None:
    async def story() -> None:
        desk = Desk()
        together = _together(desk)
        going = [asyncio.ensure_future(together(item, key=item)) for item in "ab"]
        await desk.turns()
        going[0].cancel()
        await desk.turns()
        assert desk.cancelled == 0
        going[1].cancel()
        await desk.turns()
        assert desk.cancelled == 1
        desk.may_go.set()
        with pytest.raises(asyncio.CancelledError):
            await going[1]
        assert await together("c", key="c") == "cc"

    asyncio.run(story())


def test_who_leaves_before_it_was_their_turn_is_not_asked_for() -> None:
    async def story() -> None:
        desk = Desk()
        together = _together(desk)
        first = asyncio.ensure_future(together("a", key="a"))
        await desk.turns()
        others = [asyncio.ensure_future(together(item, key=item)) for item in "bc"]
        await desk.turns()
        others[0].cancel()
        desk.may_go.set()
        assert (await first, await others[1]) == ("aa", "cc")
        assert desk.calls == [["a"], ["c"]]

    asyncio.run(story())


def test_what_nobody_waits_for_is_cancelled_once_and_its_end_can_be_waited_for() -> None:
    async def story() -> None:
        ended: list[str] = []

        async def call(items: Sequence[str], _: object) -> Sequence[str]:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)  # a second cancellation would cut this short
                ended.extend(items)
            return items

        together: Together[str, str] = Together(call, refusal=(RefusedError,))
        waiting = [asyncio.ensure_future(together(item, key=item)) for item in "ab"]
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        for each in waiting:
            each.cancel()
            await asyncio.gather(each, return_exceptions=True)
        assert ended == []
        await together.close()
        assert ended == ["a", "b"]

    asyncio.run(story())
