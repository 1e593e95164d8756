"""The example that the README runs: its files are read without a complaint, and name what is there."""

import csv
from pathlib import Path

from reconciler.spec.loader import load_config, load_pools, queue_problems
from reconciler.spec.options import Ramp
from reconciler.spec.values import Size

IRIS = Path(__file__).parents[2] / "examples" / "iris"


def test_the_files_are_right() -> None:
    config = load_config(IRIS / "config.yml", environ={})
    pools = load_pools(config.pools, environ={})
    assert pools.problems == ()
    assert queue_problems(config, pools, environ={}) == ()
    (pool,) = pools.pools
    assert pool.size == {"local": Size(low=0, high=1)}
    assert pool.workload.settings == Ramp(kit="~/kit")
    assert dict(pool.files) == {IRIS / "kit": "~/kit"}


def test_a_run_makes_nothing_that_git_would_see() -> None:
    config = load_config(IRIS / "config.yml", environ={})
    assert (config.results, config.state) == (IRIS / "results", IRIS / ".reconciler")
    assert config.database == f"sqlite:///{IRIS / 'iris.db'}"
    assert {"/results/", "/.reconciler/", "*.db*"} <= set((IRIS / ".gitignore").read_text().splitlines())


def test_submissions_and_data_are_there() -> None:
    assert {file.parent.name for file in IRIS.glob("submissions/*/estimator.py")} == {"good", "better", "raises"}
    rows = []
    for name in ("train.csv", "test.csv"):
        with (IRIS / "kit" / "data" / name).open(newline="") as file:
            rows += list(csv.DictReader(file))
    assert len(rows) == 150
    assert {row["species"] for row in rows} == {"setosa", "versicolor", "virginica"}
