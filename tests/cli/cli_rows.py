"""The deployment that the tests of the command line start from, and what they ask of it."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from click.testing import Result

CONFIG = """\
controller: tests
database: sqlite:///tests.db
pools: specs/
results: results/
queue: {folder: submissions/, pool: cpu}
interval: 0.5s
"""
POOL = """\
pool: cpu
cloud: {local: {}}
size: {local: 0..2}
workload: {script: {command: sh run.sh, outputs: ["out/**"]}}
"""

Invoke = Callable[..., Result]
Start = Callable[..., subprocess.Popen[str]]


def tree(folder: Path) -> Mapping[str, bytes]:
    """Every file below a folder, and what is in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def submission(folder: Path, script: str, name: str = "work") -> Path:
    """A submission's folder beside the queue, so that nothing takes it by itself."""
    made = folder / "elsewhere" / name
    made.mkdir(parents=True)
    (made / "run.sh").write_text(script)
    return made
