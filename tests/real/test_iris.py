"""The README's first command, for real: three RAMP submissions, trained by ramp-workflow on a local machine."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reconciler", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=840, check=False)


def status(folder: Path) -> dict[str, dict[str, object]]:
    told = run(folder, "status", "--config", "examples/iris/config.yml", "--json")
    return {row["name"]: row for row in json.loads(told.stdout)["submissions"]}


@pytest.mark.real
@pytest.mark.timeout(900)
def test_the_example_trains_shows_scores_and_settles(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "examples" / "iris", tmp_path / "examples" / "iris", ignore=shutil.ignore_patterns(".*", "results")
    )
    first = run(tmp_path, "--config", "examples/iris/config.yml", "--until-settled")
    assert first.returncode == 0, first.stdout + first.stderr
    before = status(tmp_path)
    assert {name: row["state"] for name, row in before.items()} == {
        "good": "succeeded",
        "better": "succeeded",
        "raises": "failed",
    }
    lines = first.stdout.splitlines()
    (failure,) = [line for line in lines if "raises" in line and "log" in line]
    assert "exit code" in failure or "Error" in failure

    again = run(tmp_path, "--config", "examples/iris/config.yml", "--until-settled")
    assert again.returncode == 0, again.stdout + again.stderr
    assert status(tmp_path) == before

    def scores(text: str) -> list[str]:
        return [line for line in text.splitlines() if "good" in line or "better" in line][-2:]

    assert scores(again.stdout) == scores(first.stdout)
    assert any(char.isdigit() for char in "".join(scores(first.stdout)))
