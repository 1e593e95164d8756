"""A deployment in a temporary folder, with one pool on the local cloud: where every row that runs jobs begins."""

import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from attrs import frozen

from reconciler.clouds.local import LocalCloud
from reconciler.source import SpecFiles
from reconciler.spec.places import place
from reconciler.spec.values import Config
from reconciler.store.store import Store
from reconciler.wiring import open_store, read_config

CONFIG = """\
controller: benchmark
database: sqlite:///benchmark.db
pools: pools/
interval: {interval}
"""

POOL = """\
pool: cpu
cloud: {{local: {{}}}}
size: {{local: {machines}}}
slots: {slots}
workload: {{script: {{command: sh run.sh, outputs: ["out/**"]}}}}
"""


PATIENCE = 60.0  # seconds for machines to become ready, and for the program to stop


@frozen
class Deployment:
    """Its folder, with everything in it."""

    folder: Path

    @property
    def config(self) -> Path:
        """Its config.yml."""
        return self.folder / "config.yml"

    def work(self, name: str, script: str) -> Path:
        """A folder to submit, with a script to run."""
        folder = self.folder / "work" / name
        folder.mkdir(parents=True)
        (folder / "run.sh").write_text(script, encoding="utf-8")
        return folder


@contextmanager
def deployment(*, machines: int, slots: int = 1, interval: str = "10s") -> Iterator[Deployment]:
    """A fresh deployment with a pool of exactly so many machines; its folder is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="reconciler-benchmark-") as name:
        made = Deployment(Path(name))
        (made.folder / "pools").mkdir()
        made.config.write_text(CONFIG.format(interval=interval), encoding="utf-8")
        (made.folder / "pools" / "cpu.yml").write_text(POOL.format(machines=machines, slots=slots), encoding="utf-8")
        yield made


@contextmanager
def running(made: Deployment) -> Iterator[Store]:
    """The program as a process of its own, once every machine is ready; afterwards it and its machines are ended."""
    config, specs = read_config(made.config)
    with closing(open_store(config)) as store, (made.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "--config", str(made.config)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            wait_until(lambda: _is_warm(store), "every machine is ready")
            yield store
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
            end_machines(config, specs, store)


def end_machines(config: Config, specs: SpecFiles, store: Store) -> None:
    """End every machine that the database knows, with what runs on it."""
    cloud = LocalCloud(place(specs.desired().pools["cpu"].pool, config))
    if ids := [row.cloud_id for row in store.instances() if row.cloud_id]:
        asyncio.run(cloud.terminate(ids))


def wait_until(done: Callable[[], bool], what: str, *, patience: float = PATIENCE) -> None:
    """Look every tenth of a second until it is done. Raises RuntimeError after `patience` seconds."""
    give_up = time.monotonic() + patience
    while not done():
        if time.monotonic() > give_up:
            raise RuntimeError(f"waited in vain until {what}")
        time.sleep(0.1)


def _is_warm(store: Store) -> bool:
    rows = store.instances()
    return bool(rows) and all(row.state == "ready" for row in rows)
