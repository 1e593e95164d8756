"""Several deployments served by one process: each has its own database, machines and results."""

import json
import subprocess
import sys
from pathlib import Path

CONFIG = "controller: {name}\npools: pools/\n"
POOL = """\
pool: local
cloud: {local: {}}
size: {local: 0..1}
idle: 0s
workload: {script: {command: cat word, outputs: []}}
"""


def reconcile(here: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *words], cwd=here, capture_output=True, text=True, timeout=120, check=False
    )


def deployment(here: Path, name: str) -> str:
    (here / name / "pools").mkdir(parents=True)
    (here / name / "work").mkdir()
    (here / name / "config.yml").write_text(CONFIG.format(name=name))
    (here / name / "pools" / "local.yml").write_text(POOL)
    (here / name / "work" / "word").write_text(f"{name}\n")
    config = f"{name}/config.yml"
    assert reconcile(here, "submit", "--config", config, f"{name}/work").returncode == 0
    return config


def test_two_deployments_run_side_by_side_and_lines_say_whose_they_are(tmp_path: Path) -> None:
    configs = [deployment(tmp_path, name) for name in ("iris", "titanic")]
    words = [word for config in configs for word in ("--config", config)]
    done = reconcile(tmp_path, *words, "--until-settled")
    assert done.returncode == 0, done.stdout + done.stderr
    for name, config in zip(("iris", "titanic"), configs, strict=True):
        assert f" {name}: " in done.stdout
        told = json.loads(reconcile(tmp_path, "status", "--config", config, "--json").stdout)
        assert [row["state"] for row in told["submissions"]] == ["succeeded"]
        assert (tmp_path / name / "results" / "work" / "1" / "log").read_text() == f"{name}\n"


def test_one_that_cannot_be_read_stops_all_before_anything_starts(tmp_path: Path) -> None:
    good = deployment(tmp_path, "iris")
    done = reconcile(tmp_path, "--config", good, "--config", "nowhere.yml", "--until-settled")
    assert done.returncode == 2
    assert "nowhere.yml" in done.stderr
    assert not (tmp_path / "iris" / "results").exists()


def test_a_command_takes_one(tmp_path: Path) -> None:
    done = reconcile(tmp_path, "--config", "a.yml", "--config", "b.yml", "status")
    assert done.returncode == 2
    assert "one --config at a time" in done.stderr
