"""What holds for every sink; a new one is one line in CASES."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from attrs import evolve

from reconciler.model.offer import Fault
from reconciler.model.snapshot import Done, Failed
from reconciler.sinks import build
from reconciler.sinks.base import Sink
from reconciler.sinks.hooks import nothing_more
from reconciler.sinks.scores import Row
from reconciler.spec.sinks import SCORES, hook_name, names
from reconciler.spec.values import Config, Event, Hook
from tests.sinks.news_cases import ATTEMPT, SUBMISSION, news

CASES: Mapping[str, str] = MappingProxyType({"hook": hook_name(Event.FAILED, 0), "scores": SCORES})


async def rows(pool: str) -> list[Row]:
    return [(evolve(SUBMISSION, pool=pool), ATTEMPT)]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        controller="c",
        pools=tmp_path / "pools",
        results=tmp_path / "results",
        state=tmp_path / "state",
        source=tmp_path / "config.yml",
        hooks={
            Event.FAILED: (Hook(command="echo told >>told"), Hook(command="true")),
            Event.QUEUED: (Hook(command=":"),),
        },
    )


@pytest.fixture(params=CASES)
def sink(request: pytest.FixtureRequest, config: Config) -> Sink:
    return build(config, rows=rows, environ={}, more=nothing_more)[CASES[request.param]]


def test_every_name_that_can_be_told_of_is_built(config: Config) -> None:
    built = build(config, rows=rows, environ={}, more=nothing_more)
    told = {name for event in Event for name in names(config, event)}
    assert told == built.keys()
    assert dict(CASES) == {"hook": "hook/failed/0", "scores": "scores"}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Event.QUEUED, ("hook/queued/0",)),
        (Event.STARTED, ()),
        (Event.SUCCEEDED, ("scores",)),
        (Event.FAILED, ("hook/failed/0", "hook/failed/1", "scores")),
    ],
)
def test_who_hears_of_what(config: Config, event: Event, expected: tuple[str, ...]) -> None:
    assert names(config, event) == expected


def test_it_answers_for_each_piece_of_news_in_order(sink: Sink) -> None:
    told = [news(id=f"s{at}", label=f"good-{at}") for at in range(6)]
    assert asyncio.run(sink.deliver(told)) == [Done()] * 6


def test_it_bears_the_same_news_twice(sink: Sink) -> None:
    told = [news()]
    assert asyncio.run(sink.deliver(told)) == asyncio.run(sink.deliver(told)) == [Done()]


def test_it_bears_a_submission_that_was_never_placed(sink: Sink) -> None:
    assert asyncio.run(sink.deliver([news(attempt=None)])) == [Done()]


def test_no_news_is_no_work(sink: Sink) -> None:
    assert list(asyncio.run(sink.deliver([]))) == []


@pytest.mark.parametrize(("name", "blocked"), [("hook/failed/0", "state"), ("scores", "results")])
def test_a_folder_that_cannot_be_written_is_a_fault_of_ours(config: Config, name: str, blocked: str) -> None:
    getattr(config, blocked).write_text("in the way")
    built: Callable[..., Mapping[str, Sink]] = build
    (answer,) = asyncio.run(built(config, rows=rows, environ={}, more=nothing_more)[name].deliver([news()]))
    assert isinstance(answer, Failed)
    assert answer.fault is Fault.OURS
    assert "Not a directory" in answer.message or "File exists" in answer.message
