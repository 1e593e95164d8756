"""For real: a machine's setup is given the pool's secrets, and leaves none of them behind on its disk."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

CONFIG = "controller: tests\npools: pools/\nresults: results/\ninterval: 0.5s\nstate: state/\n"
POOL = """\
pool: cpu
cloud: {local: {folder: ../machines}}
size: {local: 1}
env: {TOKEN: "${TOKEN}", HOME: /nowhere}
setup: ['printf %s "$TOKEN" | sha256sum > digest', 'test "$HOME" = /nowhere']
workload: {script: {command: sh run.sh}}
"""


def reconcile(folder: Path, *words: str, **environ: str) -> str:
    command = [sys.executable, "-m", "reconciler", *words, "--config", "config.yml"]
    told = subprocess.run(command, cwd=folder, env=os.environ | environ, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


def test_a_setup_leaves_no_secret_on_its_machine(tmp_path: Path) -> None:
    (tmp_path / "pools").mkdir()
    (tmp_path / "pools" / "cpu.yml").write_text(POOL)
    (tmp_path / "config.yml").write_text(CONFIG)
    token = f"token-{uuid.uuid4().hex}"
    try:
        reconcile(tmp_path, "--until-settled", TOKEN=token)
        (machine,) = json.loads(reconcile(tmp_path, "instances", "--json"))
        assert machine["state"] == "ready"
        (digest,) = (tmp_path / "machines").rglob("digest")
        wanted = subprocess.run(["sha256sum"], input=token.encode(), capture_output=True, check=True).stdout
        assert digest.read_bytes() == wanted
        setups = list((tmp_path / "machines").rglob("jobs/setup-*/exit"))
        assert len(setups) == 1  # told of still
        holding = [path for path in tmp_path.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
        assert holding == []
    finally:
        reconcile(tmp_path, "destroy", "--yes", TOKEN=token)
