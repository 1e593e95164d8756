"""`doctor` asks clouds and machines, says what to do, and fails for nothing that it could not check."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import frozen

from reconciler.cli.checks import OK, PROBLEM, UNKNOWN, Found
from reconciler.cli.cloud_checks import judged, of_machines
from reconciler.cli.doctor import examined
from reconciler.clouds.base import Check, CloudError, Here
from reconciler.clouds.base import Found as Result
from reconciler.clouds.local import LocalCloud, local_place
from reconciler.hosts.base import Host, HostRefusedError, UnreachableError
from reconciler.model.job import Report, Watch
from reconciler.model.offer import Fault, LaunchRequest, Offer
from reconciler.model.rows import Instance
from reconciler.model.tags import CONTROLLER
from reconciler.spec.canonical import to_json
from reconciler.spec.options import LocalCloud as LocalOptions
from reconciler.spec.values import Pool
from reconciler.store.store import Store
from tests.cli.cli_rows import POOL, Invoke, tree
from tests.cli.terminals import typed
from tests.store.store_rows import fill, instance

Examiner = Callable[[Pool, Here], AsyncIterator[Check]]


async def thorough(pool: Pool, here: Here) -> AsyncIterator[Check]:
    """One check of each kind."""
    yield Check(what="image", found=Result.OK, text="ami-1")
    yield Check(what="key", found=Result.PROBLEM, text="chmod 600 it")
    yield Check(what="quotas", found=Result.UNKNOWN, text="denied")


async def denied(pool: Pool, here: Here) -> AsyncIterator[Check]:
    yield Check(what="identity", found=Result.OK, text="you")
    raise CloudError(Fault.DENIED, "you may not ask")


def looked(here: Path, examiner: Examiner) -> tuple[list[Found], list[Found]]:
    """All that was found, and all that was told, with an examiner for the pools of this computer."""
    told: list[Found] = []
    found = asyncio.run(examined(here / "config.yml", {"local": lambda: examiner}, told.append))
    return found, told


def test_each_pool_is_examined_by_name_and_told_as_it_is_done(here: Path) -> None:
    (here / "specs" / "gpu.yml").write_text(POOL.replace("pool: cpu", "pool: gpu"))
    found, told = looked(here, thorough)
    assert told == found
    for pool in ("cpu", "gpu"):
        of_pool = [(each.check, each.result, each.text) for each in found if each.check.startswith(f"pool {pool}: ")]
        assert of_pool == [
            (f"pool {pool}: image", OK, "ami-1"),
            (f"pool {pool}: key", PROBLEM, "chmod 600 it"),
            (f"pool {pool}: quotas", UNKNOWN, "denied"),
        ]


def test_what_cannot_be_asked_fails_nothing(here: Path) -> None:
    before = tree(here)
    found, _ = looked(here, denied)
    assert Found("pool cpu", UNKNOWN, "the local cloud: you may not ask") in found
    assert not [each for each in found if each.result == PROBLEM]
    assert tree(here) == before


def test_a_bad_config_ends_it_there(here: Path) -> None:
    (here / "config.yml").write_text("controller: tests\n")
    found, _ = looked(here, thorough)
    assert not [each for each in found if each.check.startswith("pool ")]


@frozen
class Answer:
    """A host that says one thing."""

    said: Report | Exception

    async def report(self, **_: Any) -> Report:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


def asked(row: Instance, said: Report | Exception) -> list[Found]:
    async def work() -> list[Found]:
        return [each async for each in of_machines([row], lambda _: cast("Host", Answer(said)))]

    return asyncio.run(work())


def report(**changes: Any) -> Report:
    return Report(**{"boot_id": "b", "uptime": 1.0, "agent": "abc", **changes})


@pytest.mark.parametrize("error", [UnreachableError("no route"), HostRefusedError("disk full")])
def test_a_machine_that_should_answer_and_does_not(error: Exception) -> None:
    (found,) = asked(instance("m1", state="ready", cloud="ec2", address="10.0.0.1"), error)
    assert (found.check, found.result) == ("machine m1", PROBLEM)
    assert f"it does not answer: {error}; `reconcile ssh m1`" in found.text


def test_a_machine_that_boots_may_be_silent() -> None:
    (found,) = asked(instance("m1", state="booting", address="10.0.0.1"), UnreachableError("no route"))
    assert found.result == UNKNOWN


def test_a_machine_of_a_cloud_that_this_version_does_not_have(invoke: Invoke, store: Store) -> None:
    fill(store, instance("m1", state="ready", cloud="mars", address="10.0.0.1"))
    told = invoke("doctor", "--json")
    assert told.exit_code == 0, told.output
    (found,) = (each for each in json.loads(told.stdout) if each["check"] == "machine m1")
    assert found["result"] == UNKNOWN


@pytest.mark.parametrize(("state", "address"), [("stopped", "10.0.0.1"), ("terminated", "10.0.0.1"), ("booting", "")])
def test_a_machine_that_cannot_answer_is_not_asked(state: str, address: str) -> None:
    assert asked(instance("m1", state=state, address=address), AssertionError("it was asked")) == []


@pytest.mark.parametrize(
    ("said", "result", "text"),
    [
        (report(), OK, "agent abc"),
        (report(agent=""), OK, "no agent yet"),
        (report(watch=Watch.ARMED), OK, "ends itself when nobody cares for it"),
        (report(watch=Watch.POWERLESS), PROBLEM, "let its login user run `sudo -n shutdown`"),
    ],
)
def test_what_an_answer_comes_to(said: Report, result: str, text: str) -> None:
    found, words = judged(said)
    assert found == result
    assert text in words


@pytest.mark.real
def test_a_machine_of_this_computer_answers(invoke: Invoke, here: Path, store: Store) -> None:
    place = local_place(here / ".reconciler" / "machines")
    request = LaunchRequest(
        token="t1", offer=Offer(type="local"), count=1, settings=to_json(LocalOptions()), tags={CONTROLLER: "tests"}
    )
    (machine,) = asyncio.run(LocalCloud(place).launch(request))
    fill(
        store, instance("m1", state="ready", cloud_id=machine.cloud_id, address=machine.address, place=place.settings,
                        settings=to_json(LocalOptions(folder=here / ".reconciler" / "machines"))),
    )  # fmt: skip
    told = invoke("doctor", "--json")
    assert told.exit_code == 0, told.output
    (found,) = (each for each in json.loads(told.stdout) if each["check"] == "machine m1")
    assert (found["result"], found["text"]) == ("ok", "it answers, no agent yet")


@pytest.mark.real
def test_on_a_terminal_every_check_has_a_line(here: Path) -> None:
    status, shown = typed(here, ["doctor"], "")
    assert status == 0, shown
    assert [line.split()[0] for line in shown.splitlines() if " ok " in line][:2] == ["python", "tools"]
