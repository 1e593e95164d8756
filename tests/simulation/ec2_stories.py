"""Short stories of what EC2 does: markets, notices, machines that stop and start, two accounts, machines of others."""

from collections.abc import Callable
from pathlib import Path

from reconciler import api
from reconciler.model.offer import Market
from reconciler.spec.options import LocalCloud, Script
from reconciler.spec.values import Choice, Idle, Size
from tests.simulation.checks_ec2 import CHECKPOINT
from tests.simulation.stage import Stage, pool
from tests.simulation.stories import LONG, Act, Story
from tests.simulation.truth import Behaviour, RealMachine
from tests.simulation.world import Told

BOTH = (Market.SPOT, Market.ON_DEMAND)
KEEPS = Choice(
    kind="script", settings=Script(command="sh run.sh", outputs=("out.txt",), checkpoint=CHECKPOINT)
)  # fmt: skip
HOUR, DAY = 3600.0, 86400.0
LEASE = 600.0
NOTICE = 120.0  # seconds from EC2's notice to the end


def _offers(*sold_out: tuple[str, str]) -> Act:
    """Two types in two markets, some of which there is none of."""

    def prepare(scene: Stage) -> None:
        scene.world.shop.sold_out |= set(sold_out)
        scene.write_pool(pool(market=BOTH, size={"small": Size(low=0, high=1), "large": Size(low=0, high=1)}))
        scene.submit("one")

    return prepare


def _long(behaviour: Behaviour = LONG, **spec: object) -> Act:
    def prepare(scene: Stage) -> None:
        scene.write_pool(pool(market=BOTH, **spec))
        scene.submit("one", behaviour)

    return prepare


def _on_demand(scene: Stage) -> None:
    scene.write_pool(pool())
    scene.submit("one")


def _each(act: Callable[[Stage, RealMachine], None]) -> Act:
    def on_all(scene: Stage) -> None:
        for machine in list(scene.world.machines.values()):
            if machine.lives:
                act(scene, machine)

    return on_all


def _evict(told: Told) -> Act:
    return _each(lambda scene, machine: scene.world.evict(machine, told, NOTICE))


def _sell(*sold_out: tuple[str, str]) -> Act:
    def now(scene: Stage) -> None:
        scene.world.shop.sold_out = set(sold_out)

    return now


def _kept(scene: Stage) -> None:
    scene.world.nature.tries = 5.0
    scene.write_pool(pool(idle=Idle(stop=2.0, terminate=300.0)))
    scene.submit("one")


def _kept_out_of_date(scene: Stage) -> None:
    scene.world.nature.lag, scene.world.nature.stale = 20.0, 8.0
    _kept(scene)


def _batch(scene: Stage) -> None:
    scene.world.nature.capacity = {"small": 2}
    scene.write_pool(pool(size={"small": Size(low=3, high=3)}))
    scene.submit("one")


def _moved(scene: Stage) -> None:
    scene.write_pool(pool(cloud=Choice(kind="local", settings=LocalCloud(folder=Path("/clouds/b")))), "v2")


def _two_places(scene: Stage) -> None:
    scene.write_pool(pool())
    scene.write_pool(pool("gpu", "b"))
    scene.submit("one", LONG)
    scene.submit("two", LONG, "gpu")


def _dark(is_dark: bool) -> Act:
    def now(scene: Stage) -> None:
        scene.world.dark = {machine.place for machine in scene.world.machines.values() if machine.place.endswith('b"}')}
        if not is_dark:
            scene.world.dark = set()

    return now


def _adopting(owner: str = "") -> Act:
    def prepare(scene: Stage) -> None:
        scene.foreign("x1", owner=owner)
        scene.world.shop.sold_out = set() if owner else set(SMALL)
        scene.write_pool(pool(adopt=("x1",)))
        scene.submit("one")

    return prepare


def _again(scene: Stage) -> None:
    scene.write_pool(pool(adopt=("x1",)))
    scene.submit("two")


def _forgotten(low: int) -> Act:
    """A pool whose machines end themselves when nobody cares for them."""

    def prepare(scene: Stage) -> None:
        scene.world.nature.lease, scene.world.nature.keep_results = LEASE, DAY
        scene.write_pool(pool(size={"small": Size(low=low, high=low)}))
        scene.submit("one", Behaviour(seconds=(50.0,)))

    return prepare


def _hand(act: Callable[..., None], state: str) -> Act:
    return lambda scene: scene.by_hand(act, state)


SMALL = (("small", "spot"), ("small", "on-demand"))

EC2_STORIES: tuple[Story, ...] = (
    Story("no spot, so on demand", _offers(("small", "spot"), ("large", "spot")), shows=("small (on-demand) wanted",)),
    Story("none of one type, so the next", _offers(*SMALL), shows=("has no small", "large (spot) wanted"), runs=1),
    Story("eviction told on the machine", _long(workload=KEEPS, env={"TOKEN": "${ACCESS}"}),
          ((20.0, _evict(Told.REPORT)),), since=19.5, shows=("is being evicted", "from the checkpoint of"), runs=2),
    Story("eviction told in a listing", _long(Behaviour(seconds=(60.0,))), ((20.0, _evict(Told.LISTING)),),
          since=19.5, shows=("is being evicted",), runs=2),
    Story("eviction not told", _long(), ((20.0, _evict(Told.AFTERWARDS)),), since=19.5, shows=("one: evicted",),
          runs=2),
    Story("rebalance", _long(), ((20.0, _each(lambda scene, machine: scene.world.rebalance(machine))),),
          since=19.5, shows=("drained: rebalance", "one: succeeded"), runs=1),
    Story("stopped and started by hand", _on_demand,
          ((45.0, _hand(api.stop, "ready")), (60.0, lambda scene: scene.submit("two")),
           (80.0, _hand(api.start, "stopped")),
           # Where it was not stopped yet, because the process that would have done it slept.
           (600.0, _hand(api.start, "stopped"))), stays=90.0, since=44.0, shows=("is stopped by", "is started again")),
    Story("no capacity to start", _kept,
          ((40.0, _sell(*SMALL)), (45.0, lambda scene: scene.submit("two")), (65.0, _sell())), stays=80.0,
          since=39.5, shows=("is stopped by", "capacity", "is started again")),
    Story("a batch, filled in part", _batch, ((60.0, lambda scene: scene.world.nature.capacity.clear()),)),
    Story("listed late and out of date", _kept_out_of_date, ((60.0, lambda scene: scene.submit("two")),), stays=100.0,
          since=59.5, shows=("is started again",)),
    Story("moved to another account", _long(), ((20.0, _moved),), since=19.5, runs=1),
    Story("two accounts, one of which is dark", _two_places, ((20.0, _dark(True)), (80.0, _dark(False))), since=19.5),
    Story("adopted, released, adopted again", _adopting(),
          ((30.0, lambda scene: scene.write_pool(pool())), (60.0, _again)), stays=75.0, since=29.5,
          shows=("adopted x1", "runs on x1", "x1 is released", "adopted x1", "runs on x1")),
    Story("adopted and ended by hand", _adopting(),
          ((18.0, _hand(api.terminate, "ready")), (18.1, lambda scene: scene.write_pool(pool())), (19.0, _sell())),
          shows=("x1 is ended by",)),
    Story("adopted, and recommended to rebalance", _adopting(),
          ((20.0, _each(lambda scene, machine: scene.world.rebalance(machine))),), since=19.5, stays=120.0, runs=1),
    Story("in use by others", _adopting("theirs"), ((100.0, lambda scene: scene.write_pool(pool())),), since=11.0,
          runs=1),
    Story("nobody comes for an hour", _forgotten(2), stays=25.0, away=HOUR, runs=1,
          shows=("shuts itself down", "one: succeeded")),
    Story("nobody comes for two days", _forgotten(1), stays=25.0, away=2 * DAY, runs=2,
          shows=("shuts itself down", "one: lost", "one: succeeded")),
)  # fmt: skip
