"""A deployment in a temporary folder, with one pool on the local cloud: where every row that runs jobs begins."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

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
workload: {{script: {{command: sh run.sh, outputs: ["out/**"]}}}}
"""


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
def deployment(*, machines: int, interval: str = "10s") -> Iterator[Deployment]:
    """A fresh deployment with a pool of exactly so many machines; its folder is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="reconciler-benchmark-") as name:
        made = Deployment(Path(name))
        (made.folder / "pools").mkdir()
        made.config.write_text(CONFIG.format(interval=interval), encoding="utf-8")
        (made.folder / "pools" / "cpu.yml").write_text(POOL.format(machines=machines), encoding="utf-8")
        yield made
