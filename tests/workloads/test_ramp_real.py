"""Real ramp-workflow, of today and of the last release with the old tool, in every kind of environment."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from reconciler.model.rows import Outcome
from reconciler.model.snapshot import Verdict
from reconciler.spec.options import Ramp
from reconciler.workloads.ramp import RampWorkload
from tests.workloads.stand_in import conda
from tests.workloads.work_cases import ORDERS, brought, exited

IRIS = Path(__file__).parents[2] / "examples" / "iris"
NOW = ("-r", str(IRIS / "kit" / "requirements.txt"))
# 0.2.1 to 0.4.0 bring ramp_test_submission; they import what scikit-learn no longer has from 1.5 on.
OLD = ("ramp-workflow==0.4.0", "scikit-learn==1.4.2", "numpy==1.26.4", "pandas==2.1.4", "scipy==1.11.4")


def installed(folder: Path, *wanted: str) -> Path:
    """A virtual environment with packages from the network."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    outcome = subprocess.run([*pip, *wanted], capture_output=True, text=True, timeout=600)
    if outcome.returncode != 0:
        pytest.skip(f"{wanted[0]} cannot be installed here: {outcome.stderr[-300:]}")
    return folder


def trained(home: Path, settings: Ramp, submission: str = "good", **environ: str) -> Verdict:
    """The verdict on a submission that is really trained, as its job's command says."""
    work = Path(tempfile.mkdtemp(dir=home))
    shutil.copytree(IRIS / "submissions" / submission, work, dirs_exist_ok=True)
    workload = RampWorkload(settings)
    (home / "command").write_text(workload.job(ORDERS, work).command)
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", **workload.job(ORDERS, work).env, **environ}
    with (work / "log").open("w") as log:
        code = subprocess.run(["sh", home / "command"], cwd=work, env=environ, stdout=log, stderr=log, timeout=300)
    return workload.verdict(ORDERS, exited(code.returncode), work, brought(work))


def rounded(verdict: Verdict) -> dict[str, float]:
    assert verdict.outcome is Outcome.SUCCEEDED, verdict.message
    return {name: round(value, 2) for name, value in verdict.scores.items() if name.endswith("acc")}


@pytest.mark.real
@pytest.mark.timeout(900)
def test_ramp_test_trains_in_every_kind_of_environment(tmp_path: Path) -> None:
    shutil.copytree(IRIS / "kit", tmp_path / "kit")
    prefix = installed(tmp_path / "real env", *NOW)
    program = conda(tmp_path / "miniconda3")
    (tmp_path / "miniconda3" / "envs").mkdir()
    (tmp_path / "miniconda3" / "envs" / "iris").symlink_to(prefix)
    (tmp_path / "lone").mkdir()
    alone = tmp_path / "lone" / "python"  # its folder has no ramp-test
    alone.write_text(f'#!/bin/sh\nexec "{prefix}/bin/python" "$@"\n')
    alone.chmod(0o755)
    scores = [
        rounded(trained(tmp_path, Ramp(kit="~/kit", conda_env="iris"), CONDA_EXE=str(program))),
        rounded(trained(tmp_path, Ramp(kit="~/kit", venv="~/real env"))),
        rounded(trained(tmp_path, Ramp(kit="~/kit", python="~/lone/python"))),
    ]
    assert scores == [scores[0]] * 3
    assert scores[0]["bagged test acc"] > 0.8
    failed = trained(tmp_path, Ramp(kit="~/kit", venv="~/real env"), "raises")
    assert failed.message == "exit code 1, fold_0: ValueError: expected 5 features, and the flowers have 4"


@pytest.mark.real
@pytest.mark.timeout(900)
def test_the_old_tool_trains(tmp_path: Path) -> None:
    if sys.version_info >= (3, 13):
        pytest.skip("scikit-learn 1.4, which the old tool needs, is not made for this Python")
    shutil.copytree(IRIS / "kit", tmp_path / "kit")
    prefix = installed(tmp_path / "old", *OLD)
    (prefix / "bin" / "ramp-test").unlink()
    assert rounded(trained(tmp_path, Ramp(kit="~/kit", venv="~/old")))["bagged test acc"] > 0.8
    assert [each.name for each in (tmp_path / "kit").glob("submissions")] == []
