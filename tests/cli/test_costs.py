"""What machines cost: the hours that count, prices that do not come, and what `pools` and `instances` print of it."""

import asyncio
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from attrs import define, evolve, field

from reconciler.cli.costs import Cost, Prices, prices, running, total
from reconciler.cli.deployment import Deployment, looking
from reconciler.cli.machines import costs_of, instances_json, pools_json
from reconciler.clouds.base import Here, Owner
from reconciler.model.offer import Market, Offer
from reconciler.model.rows import Event, Instance
from reconciler.store.store import Store
from tests.cli.cli_rows import Invoke
from tests.store.store_rows import fill, instance

HOUR = 3600.0
OFFER = Offer(type="c5.large", market=Market.SPOT)


def rented(name: str = "m1", **changes: Any) -> Instance:
    given = {"type": "c5.large", "market": "spot", "cloud": "dear", "cloud_id": f"i-{name}", "state": "ready"}
    return instance(name, **{**given, "born": 0.0, "since": 0.0, **changes})


def events(*moves: tuple[float, str]) -> list[Event]:
    """History of one machine: when, and into which state."""
    return [Event(at, when, "instances", "m1", at, "x", "", target, "", "{}", "me")
            for at, (when, target) in enumerate(moves, 1)]  # fmt: skip


@define
class Asked:
    """A price list, and what it was asked."""

    answer: Mapping[Offer, float] = field(factory=dict)
    failure: Exception | None = None
    questions: list[tuple[str, frozenset[Offer]]] = field(factory=list)

    async def __call__(self, settings: str, offers: Collection[Offer], here: Here) -> Mapping[Offer, float]:
        self.questions.append((settings, frozenset(offers)))
        if self.failure:
            raise self.failure
        return self.answer


def here() -> Here:
    owner = Owner(controller="tests", database_id="d")
    return Here(owner=owner, environ={}, folder=Path(), handshakes=asyncio.Semaphore(1))


def asked(rows: list[Instance], listed: Asked) -> Prices:
    return asyncio.run(prices(rows, here(), {"dear": lambda: listed}))


@pytest.mark.parametrize(
    ("moves", "state", "wanted"),
    [
        ([(0, "launching"), (60, "booting"), (100, "ready")], "ready", 940.0),
        ([(0, "launching")], "launching", 0.0),
        ([(0, "launching"), (60, "failed")], "failed", 0.0),
        ([(0, "launching"), (100, "booting"), (200, "stopping"), (300, "stopped")], "stopped", 200.0),
        ([(0, "booting"), (100, "stopped"), (600, "starting"), (700, "booting")], "booting", 500.0),
        ([(0, "booting"), (400, "terminating"), (500, "terminated")], "terminated", 500.0),
        ([(100, "ready")], "ready", 900.0),
    ],
)
def test_the_time_that_counts(moves: list[tuple[float, str]], state: str, wanted: float) -> None:
    assert running(rented(state=state), events(*moves), 1000.0) == wanted


def test_without_history_it_counts_from_the_birth() -> None:
    assert running(rented(born=400.0), [], 1000.0) == 600.0
    assert running(rented(born=2000.0), [], 1000.0) == 0.0


def test_an_hour_and_so_far() -> None:
    found = asked([rented()], Asked({OFFER: 0.5}))
    assert found.cost(rented(), [], 3 * HOUR) == Cost(hourly=0.5, so_far=1.5)
    stopped = events((0, "booting"), (HOUR, "stopped"))
    assert found.cost(rented(state="stopped"), stopped, 3 * HOUR) == Cost(hourly=0.0, so_far=0.5)


def test_what_is_not_known_and_what_costs_nothing() -> None:
    found = asked([rented()], Asked({}))
    assert found.cost(rented(), [], HOUR) == Cost(hourly=None, so_far=None)
    assert found.cost(rented(cloud="local"), [], HOUR) == Cost(hourly=0.0, so_far=0.0)
    assert found.cost(rented(cloud_id="", state="failed"), [], HOUR) == Cost(hourly=0.0, so_far=0.0)


def test_one_question_for_machines_of_the_same_settings() -> None:
    listed = Asked()
    rows = [rented("a"), rented("b"), rented("c", type="c6i.large"), rented("d", settings='{"x":1}'),
            rented("e", type="gone", state="terminated"), rented("f", cloud="local")]  # fmt: skip
    asked(rows, listed)
    assert sorted(listed.questions, key=lambda question: question[0]) == [
        ('{"x":1}', frozenset({OFFER})), ("{}", frozenset({OFFER, evolve(OFFER, type="c6i.large")}))
    ]  # fmt: skip


def test_nobody_is_asked_where_nothing_lives() -> None:
    listed = Asked()
    asked([rented(state="terminated"), rented(cloud_id="", state="launching")], listed)
    assert listed.questions == []


def test_a_failure_is_no_price() -> None:
    found = asked([rented()], Asked(failure=RuntimeError("no network")))
    assert found.cost(rented(), [], HOUR) == Cost(hourly=None, so_far=None)


def test_a_sum_with_a_part_that_is_not_known() -> None:
    one, other = Cost(hourly=1.0, so_far=2.0), Cost(hourly=0.5, so_far=None)
    assert total([one, one]) == Cost(hourly=2.0, so_far=4.0)
    assert total([one, other]) == Cost(hourly=1.5, so_far=None)
    assert total([]) == Cost(hourly=0.0, so_far=0.0)


@pytest.fixture
def deployment(here: Path, store: Store) -> Deployment:
    """Two machines that cost something, one of them nobody knows what, and one of this computer."""
    now = store.now()
    fill(
        store, rented("m1", born=now - 2 * HOUR, since=now), rented("m2", type="odd", born=now - HOUR, since=now),
        instance("m3", pool="home", type="local", state="ready", cloud_id="local-1", born=now - HOUR, since=now),
    )  # fmt: skip
    context = click.Context(click.Command("x"))
    with looking(context) as found:
        return Deployment(config=found.config, desired=found.desired, store=store)


def test_for_programs(deployment: Deployment) -> None:
    rows = deployment.store.instances()
    costs = costs_of(deployment, rows, {"dear": lambda: Asked({OFFER: 0.5})})
    told = {row["id"]: (row["hourly"], row["cost"]) for row in instances_json(deployment, rows, costs)}
    assert told["m1"] == (0.5, pytest.approx(1.0, abs=0.01))
    assert (told["m2"], told["m3"]) == ((None, None), (0.0, 0.0))
    pools = {pool["pool"]: (pool["hourly"], pool["cost"]) for pool in pools_json(deployment, rows, costs)}
    assert pools == {"cpu": (None, None), "home": (0.0, 0.0)}


def test_the_age_of_what_is_gone_ends_with_it(invoke: Invoke, store: Store) -> None:
    now = store.now()
    fill(store, instance("m1", state="terminated", cloud_id="local-1", born=now - 500, since=now - 400))
    (found,) = json.loads(invoke("instances", "--all", "--json").stdout)
    assert (found["age"], found["hourly"], found["cost"]) == (100, 0.0, 0.0)


def test_for_people(invoke: Invoke, deployment: Deployment) -> None:
    lines = {line.split()[0]: line.split() for line in invoke("instances").stdout.splitlines()}
    assert lines["INSTANCE"][:7] == ["INSTANCE", "POOL", "TYPE", "STATE", "FOR", "AGE", "USD"]
    assert lines["m3"][5:7] == ["1h", "-"]
    lines = {line.split()[1]: line.split() for line in invoke("pools").stdout.splitlines()}
    assert lines["TYPE"][-2:] == ["USD/H", "USD"]
    assert lines["local"][-2:] == ["-", "-"]
