"""For real: the program is killed again and again while jobs run, and the jobs' own ledger says what happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

JOBS = 12
KILLS = 8
SEEDS = (1, 2)

CONFIG = """\
controller: killed
database: {database}
pools: pools/
results: results/
interval: 1s
queue: {{folder: submissions/, pool: local}}
"""

POOL = """\
pool: local
cloud: {{local: {{}}}}
size: {{local: 0..3}}
slots: 2
idle: 1s
env: {{LEDGER: {ledger}}}
setup: ["echo prepared > prepared"]
workload: {{script: {{command: sh run.sh, outputs: ["out/**"]}}}}
"""

# A job writes its own ledger, holds a lock that no second run can take, and leaves a detached child for us to end.
JOB = """\
set -e
mkdir "$LEDGER/lock-$RECONCILER_SUBMISSION" || { echo "twice $RECONCILER_SUBMISSION" >> "$LEDGER/ledger"; exit 9; }
echo "start $RECONCILER_SUBMISSION" >> "$LEDGER/ledger"
setsid sleep 300 >/dev/null 2>&1 &
sleep SECONDS
mkdir -p out
echo "$RECONCILER_SUBMISSION" > out/result
echo "end $RECONCILER_SUBMISSION" >> "$LEDGER/ledger"
rmdir "$LEDGER/lock-$RECONCILER_SUBMISSION"
"""


@pytest.fixture
def deployment(tmp_path: Path, database_url: str) -> Path:
    """A folder with a config, a pool and a dozen submissions in its queue."""
    (tmp_path / "pools").mkdir()
    (tmp_path / "ledger").mkdir()
    database = database_url if database_url.startswith("postgresql") else "sqlite:///reconciler.db"
    (tmp_path / "config.yml").write_text(CONFIG.format(database=database))
    (tmp_path / "pools" / "local.yml").write_text(POOL.format(ledger=tmp_path / "ledger"))
    for number in range(JOBS):
        folder = tmp_path / "submissions" / f"job-{number:02}"
        folder.mkdir(parents=True)
        (folder / "run.sh").write_text(JOB.replace("SECONDS", f"{0.3 + 0.2 * (number % 4):.1f}"))
        os.utime(folder / "run.sh", (time.time() - 60, time.time() - 60))
        os.utime(folder, (time.time() - 60, time.time() - 60))
    return tmp_path


def reconcile(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The program, as people start it."""
    log = (folder / "log").open("ab")
    command = [sys.executable, "-m", "reconciler", "--config", "config.yml", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that run below a folder, or that carry it in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"HOME={folder}".encode() in environment:
                found.append(f"{entry.name} {command}")
    return found


@pytest.mark.real
@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_it_loses_and_doubles_nothing(deployment: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(KILLS):
        process = reconcile(deployment, "--until-settled")
        try:
            process.wait(timeout=chance.uniform(0.4, 2.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    last = reconcile(deployment, "--until-settled")
    try:
        assert last.wait(timeout=150) == 0, (deployment / "log").read_text()[-4000:]
    finally:
        last.kill()

    ledger = (deployment / "ledger" / "ledger").read_text().splitlines()
    names = {f"job-{number:02}" for number in range(JOBS)}
    assert Counter(ledger) == Counter({f"{word} {name}": 1 for word in ("start", "end") for name in names})
    for name in names:
        home = deployment / "results" / name / "1"
        assert (home / "out" / "result").read_text() == f"{name}\n"
        assert json.loads((home / "manifest.json").read_text())["outcome"] == "succeeded"
    assert processes_of(deployment / ".reconciler") == []
    machines = deployment / ".reconciler" / "machines"
    assert [path for path in machines.iterdir() if path.is_dir() and not path.name.startswith(".")] == []
    status = subprocess.run(
        [sys.executable, "-m", "reconciler", "status", "--config", "config.yml", "--json"],
        cwd=deployment, capture_output=True, check=True,
    )  # fmt: skip
    told = json.loads(status.stdout)
    assert {row["name"]: row["state"] for row in told["submissions"]} == dict.fromkeys(names, "succeeded")
    assert {row["attempts"] for row in told["submissions"]} == {1}
    assert all(row["state"] in ("terminated", "failed") for row in told["instances"])
