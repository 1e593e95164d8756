"""`destroy` ends what is ours, wherever it is, with or without a database, and says what it is not sure of."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from reconciler.cli import destroy
from reconciler.cli.ours import Look, Ours, Patience, Seen, named
from reconciler.clouds.base import Cloud, CloudError, Here, Owner
from reconciler.clouds.local import LocalCloud, local_place
from reconciler.model.offer import Fault, LaunchRequest, Listing, Machine, MachineState, Offer, Place
from reconciler.model.tags import CONTROLLER, POOL
from reconciler.spec.loader import load_config
from reconciler.store.store import Store
from tests.cli.cli_rows import Invoke, tree
from tests.cli.terminals import typed
from tests.store.store_rows import fill, instance

OURS, THEIRS = Owner(controller="tests", database_id="lost"), Owner(controller="others", database_id="x")


def bought(here: Path, owner: Owner = OURS, count: int = 2, folder: str = ".reconciler/machines") -> list[str]:
    """Machines of the local cloud, as some database that is long gone has bought them."""
    request = LaunchRequest(
        token=f"{owner.controller}-{folder}", offer=Offer(type="local"), count=count,
        settings=json.dumps({"folder": None, "boot": 0.0, "capacity": None, "delay": 0.0}),
        tags={CONTROLLER: owner.controller, POOL: "cpu"},
    )  # fmt: skip
    machines = asyncio.run(LocalCloud(local_place(here / folder)).launch(request))
    return [machine.cloud_id for machine in machines]


def living(here: Path, owner: Owner = OURS, folder: str = ".reconciler/machines") -> set[str]:
    listing = asyncio.run(LocalCloud(local_place(here / folder)).listing(owner))
    return {each.cloud_id for each in listing.machines if each.state is not MachineState.TERMINATED}


def test_without_a_database_tags_say_what_is_ours(invoke: Invoke, here: Path) -> None:
    ours, theirs = bought(here), bought(here, THEIRS)
    told = invoke("destroy", "--yes")
    assert told.exit_code == 0, told.output
    assert all(name in told.stdout for name in ours)
    assert not any(name in told.stdout for name in theirs)
    assert (living(here), living(here, THEIRS)) == (set(), set(theirs))
    assert not (here / "tests.db").exists()
    assert not list(here.glob("*.db*"))


def test_with_nothing_there_it_says_where_it_looked(invoke: Invoke, here: Path) -> None:
    before = tree(here)
    told = invoke("destroy")
    assert told.exit_code == 0
    assert told.stdout == "no machine of controller tests is left in local .reconciler/machines\n"
    assert tree(here) == before


@pytest.mark.parametrize("content", [b"no database\n" * 100, b""])
def test_with_a_database_that_is_of_no_use(invoke: Invoke, here: Path, content: bytes) -> None:
    bought(here)
    (here / "tests.db").write_bytes(content)
    told = invoke("destroy", "--yes")
    assert told.exit_code == 0, told.output
    assert "the database is no help" in told.stderr
    assert not living(here)
    assert (here / "tests.db").read_bytes() == content


def test_places_that_only_the_database_knows_are_looked_at_too(invoke: Invoke, here: Path, store: Store) -> None:
    (known,) = bought(here, count=1, folder="elsewhere")
    fill(store, instance("m1", state="ready", cloud_id=known, place=local_place(here / "elsewhere").settings))
    told = invoke("destroy", "--yes")
    assert told.exit_code == 0, told.output
    assert next(line for line in told.stdout.splitlines() if known in line).endswith("m1")
    assert not living(here, folder="elsewhere")


def test_a_machine_that_somebody_else_bought_stays(invoke: Invoke, here: Path, store: Store) -> None:
    adopted, other = bought(here)
    place = local_place(here / ".reconciler" / "machines").settings
    fill(store, instance("m1", state="ready", cloud_id=adopted, adopted=True, place=place))
    assert invoke("destroy", "--yes").exit_code == 0
    assert living(here) == {adopted}
    assert other not in living(here)


def test_nobody_to_ask(invoke: Invoke, here: Path) -> None:
    machines = bought(here)
    told = invoke("destroy")
    assert told.exit_code == 2
    assert "say `reconcile destroy --yes`" in told.stderr
    assert living(here) == set(machines)


@pytest.mark.real
@pytest.mark.parametrize(("answer", "status", "left"), [("tests", 0, 0), ("yes", 2, 2)])
def test_the_controllers_name_has_to_be_typed(here: Path, answer: str, status: int, left: int) -> None:
    bought(here)
    ended, shown = typed(here, ["destroy"], answer)
    assert ended == status
    assert "type tests to end 2 machines" in shown
    assert len(living(here)) == left


def test_a_broken_spec_file_without_a_database_leaves_doubt(invoke: Invoke, here: Path) -> None:
    (here / "specs" / "gpu.yml").write_text("pool: gpu\n")
    told = invoke("destroy", "--yes")
    assert told.exit_code == 1
    assert "gpu.yml" in told.stderr


def test_a_place_that_makes_no_sense_stops_nothing(invoke: Invoke, here: Path, store: Store) -> None:
    bought(here)
    fill(store, instance("m1", state="ready", cloud_id="local-1", place="{}"))
    told = invoke("destroy", "--yes")
    assert told.exit_code == 1
    assert "local {}: it makes no sense" in told.stderr
    assert not living(here)


def test_without_any_place_it_says_so(invoke: Invoke, here: Path) -> None:
    (here / "specs" / "cpu.yml").unlink()
    told = invoke("destroy", "--yes")
    assert told.exit_code == 1
    assert "no place is known" in told.stderr


@define
class Slow:
    """A cloud whose answers are written down beforehand: a machine goes one listing after it was ended."""

    place: Place
    machines: dict[str, Machine]
    refusals: list[CloudError] = field(factory=list)
    errors: list[str] = field(factory=list)  # of the next listings
    hidden: set[str] = field(factory=set)  # ids that no listing shows
    silent: set[str] = field(factory=set)  # ids that no lookup answers for
    ended: list[list[str]] = field(factory=list)
    going: set[str] = field(factory=set)  # ids that the listing after the next shows as terminated
    closed: bool = False

    async def listing(self, owner: Owner) -> Listing:
        if self.errors:
            return Listing(place=self.place, complete=False, error=self.errors.pop(0))
        shown = tuple(each for each in self.machines.values() if each.cloud_id not in self.hidden)
        for name in self.going:
            self.machines[name] = evolve(self.machines[name], state=MachineState.TERMINATED)
        return Listing(place=self.place, machines=shown)

    async def lookup(self, cloud_ids: Sequence[str]) -> Mapping[str, Machine | None]:
        return {name: self.machines.get(name) for name in cloud_ids if name not in self.silent}

    async def terminate(self, cloud_ids: Sequence[str]) -> None:
        self.ended.append(list(cloud_ids))
        if self.refusals:
            raise self.refusals.pop(0)
        self.going.update(cloud_ids)

    async def launch(self, request: LaunchRequest) -> Sequence[Machine]:
        raise NotImplementedError

    async def stop(self, cloud_ids: Sequence[str]) -> None:
        raise NotImplementedError

    async def start(self, cloud_ids: Sequence[str]) -> None:
        raise NotImplementedError

    def host(self, machine: Machine, settings: str) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        self.closed = True


def slow(name: str, count: int = 2, **more: Any) -> Slow:
    ids = [f"{name}-{at}" for at in range(count)]
    made = {each: Machine(cloud_id=each, token="", index=0, state=MachineState.RUNNING, type="t") for each in ids}
    return Slow(place=Place(cloud="slow", settings=json.dumps({"region": name})), machines=made, **more)


def ended(*clouds: Slow, patience: float = 60.0) -> tuple[Look, float]:
    """What is left, and the seconds that it took by a clock that only waiting moves."""
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def work() -> Look:
        ours = Ours(owner=OURS, clouds={cloud.place: cloud for cloud in clouds})
        return await ours.end(await ours.look(), Patience(clock=lambda: now, sleep=sleep, total=patience))

    return asyncio.run(work()), now


def test_one_call_a_place_and_waiting_until_they_go() -> None:
    east, west = slow("east"), slow("west", 3)
    left, took = ended(east, west)
    assert (left.living, dict(left.blind)) == ((), {})
    assert east.ended[0] == ["east-0", "east-1"]
    assert west.ended[0] == ["west-0", "west-1", "west-2"]
    assert took == 5.0


def test_a_refusal_is_tried_again() -> None:
    east = slow("east", refusals=[CloudError(Fault.THROTTLED, "too many calls")])
    left, _ = ended(east)
    assert (left.living, dict(left.blind)) == ((), {})


def test_what_never_goes_is_told_with_the_reason() -> None:
    east = slow("east", refusals=[CloudError(Fault.DENIED, "you may not")] * 100)
    left, took = ended(east)
    assert {seen.machine.cloud_id for seen in left.living} == {"east-0", "east-1"}
    assert dict(left.blind) == {east.place: "you may not"}
    assert took == 60.0


def test_what_a_listing_no_longer_shows_is_asked_for_by_id() -> None:
    east = slow("east", 1, refusals=[CloudError(Fault.UNREACHABLE, "no answer")])

    async def work() -> Look:
        ours = Ours(owner=OURS, clouds={east.place: east})
        look = await ours.look()
        east.hidden = {"east-0"}
        return await ours.end(look, Patience(clock=lambda: 0.0, total=0.0))

    assert [seen.machine.cloud_id for seen in asyncio.run(work()).living] == ["east-0"]


def test_a_machine_that_nobody_answers_for_leaves_doubt() -> None:
    east = slow("east", 1, silent={"east-0"})

    async def work() -> Look:
        ours = Ours(owner=OURS, clouds={east.place: east})
        look = await ours.look()
        east.hidden = {"east-0"}
        return await ours.end(look, Patience(clock=lambda: 0.0, total=0.0))

    assert dict(asyncio.run(work()).blind) == {east.place: "nothing is known of east-0"}


def test_a_place_that_cannot_be_looked_at_leaves_doubt_but_holds_up_nobody() -> None:
    east, west = slow("east"), slow("west", errors=["no credentials"] * 100)
    left, took = ended(east, west)
    assert (left.living, dict(left.blind)) == ((), {west.place: "no credentials"})
    assert took == 5.0


def test_doubt_is_told_and_connections_are_closed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    west = slow("west", errors=["no credentials"])

    def make(place: Place, settings: str, here: Here) -> Cloud:
        assert here.owner == Owner(controller="tests", database_id="")
        return west

    patience = Patience(clock=lambda: 0.0)
    left = asyncio.run(destroy.run(load_config(here / "config.yml"), {"local": make}, patience, yes=True))
    assert list(left) == ['could not be made sure of: slow {"region": "west"}: no credentials']
    assert west.closed
    assert "no machine" not in capsys.readouterr().out


def test_a_place_of_a_cloud_that_this_version_does_not_have(here: Path) -> None:
    left = asyncio.run(destroy.run(load_config(here / "config.yml"), {}, Patience(clock=lambda: 0.0), yes=True))
    assert len(left) == 1
    assert left[0].endswith("this version has no such cloud")


@pytest.mark.parametrize(
    ("cloud", "settings", "words"),
    [
        ("ec2", {"region": "eu-west-1", "profile": None}, "ec2 eu-west-1"),
        (
            "ec2",
            {"region": "eu-west-1", "profile": "x", "access_key_id": "${KEY}", "endpoint_url": "http://h:1"},
            "ec2 eu-west-1, profile x, keys of ${KEY}, at http://h:1",
        ),
        ("local", {"folder": "/srv/machines"}, "local /srv/machines"),
        ("ssh", {"machines": ["a", "b"], "user": "u"}, "ssh a, b"),
        ("ec2", {}, "ec2 {}"),
        ("ec2", [], "ec2 []"),
        ("mars", {"base": 1}, 'mars {"base": 1}'),
    ],
)
def test_a_place_in_words(cloud: str, settings: object, words: str) -> None:
    assert named(Place(cloud=cloud, settings=json.dumps(settings))) == words


def test_machines_of_one_look() -> None:
    place = Place(cloud="slow", settings="{}")
    states = {state: Machine(cloud_id=state, token="", index=0, state=state, type="t") for state in MachineState}
    look = Look(machines=tuple(Seen(place=place, machine=each) for each in states.values()))
    assert [seen.machine.cloud_id for seen in look.living] == ["pending", "running", "stopping", "stopped"]
