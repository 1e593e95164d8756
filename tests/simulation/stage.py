"""Sets the scene of one story: a world, a database on its clock, spec files, and what people do to them."""

import contextlib
import itertools
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

from attrs import Factory, define, field

from reconciler import api
from reconciler.clouds.local import local_place
from reconciler.decide.births import Arrival, birth
from reconciler.decide.case import Desired, PoolWish
from reconciler.model.change import Step, Update
from reconciler.model.rows import Identity, Instance
from reconciler.spec.canonical import pool_to_json
from reconciler.spec.options import LocalCloud, Script
from reconciler.spec.sinks import SCORES
from reconciler.spec.values import Choice, Config, Deadlines, Pool, Retries, Size, SubmissionOptions
from reconciler.store.engine import Database
from reconciler.store.store import Store
from tests.simulation.checks import Checks
from tests.simulation.faults import Faults, Trouble
from tests.simulation.process import Process, Shared, Watcher
from tests.simulation.truth import Behaviour
from tests.simulation.world import World

CONTROLLER = "iris"
SHM = Path("/dev/shm")
EMPTY: Mapping[str, Sequence[Trouble]] = MappingProxyType({})
WORKLOAD = Choice(kind="script", settings=Script(command="sh run.sh", outputs=("out.txt",)))


def pool(name: str = "cpu", folder: str = "a", **changes: Any) -> Pool:
    """A pool of one small type, 0..1, with deadlines that a story can wait for."""
    given: dict[str, Any] = {
        "pool": name,
        "cloud": Choice(kind="local", settings=LocalCloud(folder=Path("/clouds") / folder)),
        "size": {"small": Size(low=0, high=1)},
        "workload": WORKLOAD,
        "deadlines": Deadlines(run=600.0, collect=1800.0, silence=15.0, boot=120.0, setup=60.0, stage=300.0),
        "retries": Retries(exit_code=1, lost=None, never_started=None),
    }
    return Pool(**(given | changes))


@define(kw_only=True)
class Stage:
    """Everything that a story needs; `close` afterwards."""

    world: World
    folder: Path
    store: Store
    config: Config
    shared: Shared = field(init=False)
    checks: Checks = field(init=False)
    pools: dict[str, PoolWish] = Factory(dict)
    ids: "itertools.count[int]" = Factory(lambda: itertools.count(1))
    names: "itertools.count[int]" = Factory(lambda: itertools.count(1))

    def __attrs_post_init__(self) -> None:
        self.checks = Checks(world=self.world, store=self.store, results=self.config.results)
        self.shared = Shared(
            world=self.world, store=self.store, results=self.config.results, desired=self.desired, new_id=self.new_id,
            checked=self.checks.after_write, slept=self.checks.slept, sinks=(SCORES,),
            hurry=self.hurry,
        )  # fmt: skip

    def new_id(self) -> str:
        """The next id: no chance in it."""
        return f"{next(self.ids):04x}"

    def desired(self) -> Desired:
        """The spec files as they are now."""
        return Desired(config=self.config, pools=dict(self.pools))

    def process(self, watcher: Watcher = lambda process, what: None) -> Process:
        """A new process, not started yet."""
        return Process(name=f"p{next(self.names)}", shared=self.shared, watcher=watcher)

    # --- what people do

    def write_pool(self, spec: Pool, spec_hash: str = "v1") -> None:
        """A pool's file is written, or edited."""
        self.pools[spec.pool] = PoolWish(pool=spec, spec=pool_to_json(spec), spec_hash=spec_hash)
        for kind, size in spec.size.items():
            self.checks.launch[spec.pool] = max(spec.deadlines.launch, self.checks.launch.get(spec.pool, 0.0))
            self.checks.slots[spec.pool] = max(spec.slots, self.checks.slots.get(spec.pool, 0))
            self.world.most[spec.pool, kind] = max(size.high, self.world.most.get((spec.pool, kind), 0))

    def submit(
        self, name: str, does: Behaviour | None = None, pool_name: str = "cpu", *, retry_of: str = "", **options: Any
    ) -> str:
        """Somebody submits; returns the id."""
        submission = f"s{self.new_id()}"
        self.world.ledger.behaviours[name] = does or Behaviour()
        arrival = Arrival(
            id=submission, name=name, label=name, content="c", options=SubmissionOptions(**options), pool=pool_name,
            source="command", retry_of=retry_of,
        )  # fmt: skip
        self._do(birth(self.config, arrival, self.world.now()))
        self.checks.submitted[name] = submission
        return submission

    def hurry(self) -> None:
        """Somebody submits something that takes long and goes before everything else."""
        self.submit("urgent", Behaviour(seconds=(80.0,)), priority=9)

    def cancel(self, name: str) -> None:
        """Somebody asks for a submission to be cancelled."""
        while True:
            row = self.store.submission(self.checks.submitted[name])
            if row is None or row.state in ("succeeded", "failed", "cancelled"):
                return
            wish = Update(table="submissions", id=row.id, version=row.version, sets={"cancel_wanted": True})
            if self._do(Step((wish,), "cancel")):
                return

    def drain(self) -> None:
        """Somebody drains every machine that is ready."""
        for row in self.store.instances():
            if row.state == "ready":
                move = Update(
                    table="instances", id=row.id, version=row.version, event="drain", source="ready",
                    target="draining", sets={"reason": "user"},
                )  # fmt: skip
                self._do(Step((move,), "drain"))

    def by_hand(self, act: Callable[[Any, Instance], None], state: str) -> None:
        """Somebody stops, starts or terminates, as a command does it, every machine that is in this state."""
        for row in self.store.instances():
            if row.state == state:
                with contextlib.suppress(api.RequestError):
                    act(_Told(self), row)

    def foreign(self, cloud_id: str, folder: str = "a", owner: str = "") -> None:
        """Somebody else buys a machine."""
        self.world.shop.foreign(cloud_id, local_place(Path("/clouds") / folder).settings, owner)

    def _do(self, step: Step) -> bool:
        applied = self.store.apply((step,), now=self.world.now(), by="user")
        self.checks.after_write("user", applied, ((step,),))
        return applied[0]

    def close(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder, ignore_errors=True)


@define
class _Told:
    """The store as a command holds it; what it writes is looked at like everything else."""

    scene: Stage

    def __getattr__(self, name: str) -> Any:
        return getattr(self.scene.store, name)

    def apply(self, steps: Sequence[Step], *, now: float, by: str) -> Sequence[bool]:
        """Write, and have it looked at."""
        applied = self.scene.store.apply(steps, now=now, by=by)
        self.scene.checks.after_write("user", applied, (steps,))
        return applied


def stage(clock: Any, script: Mapping[str, Sequence[Trouble]] = EMPTY, *, seed: int = 0, rate: float = 0.0) -> Stage:
    """A new stage on the running loop. `script`: calls and their troubles, see faults.py."""
    faults = Faults(random=Random(seed), rate=rate, script={call: list(each) for call, each in script.items()})
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=SHM if SHM.is_dir() else None))
    config = Config(
        controller=CONTROLLER, pools=folder / "specs", results=folder / "results", state=folder, interval=10.0
    )  # fmt: skip
    store = _store(clock.time)
    return Stage(world=World(loop=clock, faults=faults), folder=folder, store=store, config=config)


def _store(clock: Callable[[], float]) -> Store:
    """An empty database in memory: always the same one, made empty again, so that nothing is compiled twice."""
    database, empty, identity = _database()
    with database.engine.connect() as connection:
        empty.backup(connection.connection.dbapi_connection)
    return Store(database, identity, clock)


@cache
def _database() -> tuple[Database, sqlite3.Connection, Identity]:
    made = Store.open("sqlite://", controller=CONTROLLER, clock=lambda: 0.0, new_id=lambda: "d1")
    empty = sqlite3.connect(":memory:", check_same_thread=False)
    with made.database.engine.connect() as connection:
        connection.connection.dbapi_connection.backup(empty)
    return made.database, empty, made.identity
