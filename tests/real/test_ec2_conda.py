"""Named environments on machines of EC2: the kit's own `ramp-test` in the environment `iris` of a conda, by real ssh.

No conda is installed anywhere: a stand-in lies where conda's installer puts it, and lists a real virtual environment.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ec2.control import Ec2
from tests.machines.sshd import need_machines
from tests.real.ec2_deployment import Deployment, ToolFleet, deployment, ledger
from tests.workloads.stand_in import conda

__all__ = ["deployment", "ledger"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(200)]

IRIS = Path(__file__).parents[2] / "examples" / "iris"
HOME = "/home/ubuntu"  # of a machine, as it sees itself
USER = 1000  # its user
PREFIX = f"{HOME}/miniconda3/envs/iris"

REST = f"""\
size: {{t3.micro: 0..1}}
idle: 1s
files: {{{IRIS / "kit"}: ~/kit}}
workload: {{%s}}
"""
# Pool → its workload. A script says which Python it came to, and ramp-test what it made of a submission.
WORKLOADS = {
    "cpu": "ramp: {kit: ~/kit, conda_env: iris}",
    "venv": f"script: {{command: python say.py, venv: {PREFIX}}}",
    "python": """script: {command: '"$RECONCILER_PYTHON" say.py', python: ~/miniconda3/envs/iris/bin/python}""",
    "missing": "script: {command: python say.py, conda_env: titanic}",
}
SAY = "import rampwf, sys\nprint(sys.prefix)\n"


def install(home: Path) -> None:
    """A conda in a machine's home, and an environment of it with what this Python has, `ramp-test` too."""
    program = conda(home / "miniconda3")
    program.write_text(program.read_text().replace(str(home), HOME))
    prefix = home / "miniconda3" / "envs" / "iris"
    venv.create(prefix, with_pip=False, symlinks=True)
    libraries = Path(sysconfig.get_path("purelib", "venv", {"base": str(prefix)}))
    (libraries / "more.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    tool = prefix / "bin" / "ramp-test"
    program_text = Path(sys.executable).with_name("ramp-test").read_text().partition("\n")[2]
    tool.write_text(f"#!{PREFIX}/bin/python\n{program_text}")
    tool.chmod(0o755)


class CondaFleet(ToolFleet):
    """Machines of an image that has conda."""

    def _boot(self, cloud_id: str, address: str) -> None:
        if cloud_id not in self._disks:
            install(self.folder / cloud_id / "home")
        super()._boot(cloud_id, address)


@pytest.fixture
def fleet(tmp_path: Path, ec2: Ec2) -> Iterator[CondaFleet]:
    need_machines()
    asked = [sys.executable, "-c", "import rampwf"]
    if subprocess.run(asked, user=USER, group=USER, cwd="/", capture_output=True, check=False).returncode:
        pytest.skip(f"machines with conda: their user cannot run {sys.executable}")
    fleet = CondaFleet(ec2, tmp_path / "machines")
    with fleet:
        yield fleet
    assert fleet.problems == []


def write_pools(deployment: Deployment) -> None:
    for name, workload in WORKLOADS.items():
        deployment.pool(REST % workload)
        written = deployment.folder / "pools" / "cpu.yml"
        text = written.read_text().replace("pool: cpu", f"pool: {name}")
        written.unlink()
        written.with_name(f"on-{name}.yml").write_text(text)


def submit(deployment: Deployment, pool: str) -> None:
    """The kit's own submission for its tool, else one that says where it runs."""
    hidden = deployment.folder / f".{pool}"
    if pool == "cpu":
        shutil.copytree(IRIS / "submissions" / "good", hidden, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        hidden.mkdir()
        (hidden / "say.py").write_text(SAY)
    (hidden / "submission.yml").write_text(f"pool: {pool}\n")
    for path in (*hidden.iterdir(), hidden):
        os.utime(path, (time.time() - 60, time.time() - 60))
    hidden.rename(deployment.submissions / pool)


def test_an_environment_is_found_on_the_machine_however_it_is_named(deployment: Deployment) -> None:
    write_pools(deployment)
    for pool in WORKLOADS:
        submit(deployment, pool)
    deployment.settle()
    told = {row["name"]: row for row in deployment.rows("submissions")}
    states = {name: row["state"] for name, row in told.items()}
    assert states == {"cpu": "succeeded", "venv": "succeeded", "python": "succeeded", "missing": "failed"}, (
        deployment.log()
    )
    said = {name: (Path(row["results"]) / "log").read_text() for name, row in told.items()}
    assert {name: said[name] for name in ("venv", "python")} == dict.fromkeys(("venv", "python"), f"{PREFIX}\n")
    assert said["missing"] == "environment: conda knows no environment 'titanic' here, only: base, iris\n"
    assert deployment.tries("cpu")[0]["scores"]["bagged test acc"] > 0.8
    assert list((Path(told["cpu"]["results"]) / "training_output").glob("fold_*/y_pred_test.npz"))
    assert deployment.fleet.live() == []
