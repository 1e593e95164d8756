"""For real, on EC2 as tests have it, with a real sshd for each machine: killed, throttled, evicted, hanging."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ec2.control import KEYS, running
from tests.ec2.fleet import Fleet
from tests.machines.sshd import need_machines

JOBS = 10
KILLS = 6
PATIENCE = 150  # seconds for everything to settle

CONFIG = """\
controller: chaos
pools: pools/
results: results/
interval: 1s
queue: {folder: submissions/, pool: spot}
"""

POOL = """\
pool: spot
cloud:
  ec2:
    region: eu-west-1
    endpoint_url: @ENDPOINT@
    access_key_id: ${AWS_ACCESS_KEY_ID}
    secret_access_key: ${AWS_SECRET_ACCESS_KEY}
    image: @IMAGE@
    subnets: [@SUBNET@]
    key_name: tests
    key_path: @KEY@
    user: ubuntu
    address: private
    metadata: http://127.0.0.1:9
size: {t3.micro: 0..2, t3.small: 0..1}
market: spot, then on-demand
slots: 2
idle: 1s
env: {LEDGER: @LEDGER_FOLDER@}
deadlines: {silence: 6s, boot: 60s}
workload: {script: {command: sh run.sh, outputs: ["out/**"]}}
"""

# A lock that lives as long as any process of the job tells whether two ever ran at once.
JOB = """\
exec 9>"$LEDGER/lock-$RECONCILER_SUBMISSION"
flock -n 9 || { echo "twice $RECONCILER_SUBMISSION" >> "$LEDGER/ledger"; exit 9; }
echo "start $RECONCILER_SUBMISSION" >> "$LEDGER/ledger"
setsid sleep 300 >/dev/null 2>&1 &
sleep SECONDS
mkdir -p out
echo "$RECONCILER_SUBMISSION" > out/result
echo "end $RECONCILER_SUBMISSION" >> "$LEDGER/ledger"
"""
NAMES = {f"job-{number:02}" for number in range(JOBS)}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """EC2 that takes its time, and machines."""
    need_machines()
    with running() as ec2, Fleet(ec2, tmp_path / "machines") as fleet:
        ec2.set(boot=0.5, ending=0.5, lag=0.5, unknown=0.3)
        yield fleet
    assert fleet.problems == []


@pytest.fixture
def ledger() -> Iterator[Path]:
    """A folder that the machines' user can reach and write to, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.fixture
def deployment(tmp_path: Path, fleet: Fleet, ledger: Path) -> Path:
    """A folder with a config, a pool and submissions in its queue."""
    (tmp_path / "pools").mkdir()
    (tmp_path / "ledger").symlink_to(ledger)
    (tmp_path / "config.yml").write_text(CONFIG)
    client = fleet.ec2.client()
    client.create_key_pair(KeyName="tests")
    client.close()
    words = {
        "ENDPOINT": fleet.ec2.url, "IMAGE": fleet.ec2.image(), "SUBNET": fleet.ec2.subnet(),
        "KEY": str(fleet.key_path), "LEDGER_FOLDER": str(ledger),
    }  # fmt: skip
    text = POOL
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    (tmp_path / "pools" / "spot.yml").write_text(text)
    for number, name in enumerate(sorted(NAMES)):
        folder = tmp_path / "submissions" / name
        folder.mkdir(parents=True)
        (folder / "run.sh").write_text(JOB.replace("SECONDS", str(1 + number % 4)))
        for path in (folder / "run.sh", folder):
            os.utime(path, (time.time() - 60, time.time() - 60))
    return tmp_path


def reconcile(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """The program, as people start it."""
    command = [sys.executable, "-m", "reconciler", *words, "--config", "config.yml"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=os.environ | KEYS)


def log(folder: Path) -> str:
    return (folder / "log").read_text()[-6000:]


def ended(folder: Path) -> int:
    ledger = folder / "ledger" / "ledger"
    return ledger.read_text().count("end ") if ledger.exists() else 0


def trouble(fleet: Fleet, chance: random.Random) -> Iterator[str]:
    """What goes wrong, one thing after the other: `next` does it, as soon as there is somebody for it to happen to."""
    fleet.ec2.fault("RunInstances", "InternalError", status=500, after=True)
    yield "an answer is lost"
    for _ in range(2):
        while not (spot := [each["id"] for each in fleet.live() if each["spot"] and each["id"] in fleet.machines]):
            yield "nobody to evict"
        fleet.ec2.evict(chance.choice(spot))
        yield "evicted"
    fleet.ec2.fault("*", "RequestLimitExceeded", status=503, times=8)
    yield "throttled"
    while not fleet.machines:
        yield "nobody to hang"
    chance.choice(list(fleet.machines.values())).hang()
    yield "hangs"


def check(folder: Path, fleet: Fleet) -> None:
    """As many machines in EC2 as rows, each job's ledger right, each result home."""
    told = json.loads(subprocess.run(
        [sys.executable, "-m", "reconciler", "status", "--config", "config.yml", "--json"],
        cwd=folder, capture_output=True, check=True, env=os.environ | KEYS,
    ).stdout)  # fmt: skip
    assert {row["name"]: row["state"] for row in told["submissions"]} == dict.fromkeys(NAMES, "succeeded"), log(folder)
    rows = [row for row in told["instances"] if row["state"] not in ("terminated", "failed")]
    assert (rows, fleet.live()) == ([], [])
    counted = Counter((folder / "ledger" / "ledger").read_text().splitlines())
    assert [line for line in counted if line.startswith("twice")] == []
    for name in NAMES:
        assert counted[f"end {name}"] >= 1
        homes = [home for home in (folder / "results" / name).iterdir() if (home / "out" / "result").exists()]
        assert (homes[-1] / "out" / "result").read_text() == f"{name}\n"


@pytest.mark.real
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1])
def test_killed_throttled_evicted_and_hanging_it_loses_nothing(deployment: Path, fleet: Fleet, seed: int) -> None:
    chance = random.Random(seed)
    troubles = trouble(fleet, chance)
    for _ in range(KILLS):
        process = reconcile(deployment, "--until-settled")
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=chance.uniform(2.0, 4.0))
        next(troubles, "")
        process.send_signal(signal.SIGKILL)
        process.wait()
    last = reconcile(deployment, "--until-settled")
    try:
        give_up = time.monotonic() + PATIENCE
        while last.poll() is None and time.monotonic() < give_up:
            next(troubles, "")
            time.sleep(0.5)
        assert last.wait(timeout=1) == 0, log(deployment)
    finally:
        last.kill()
    check(deployment, fleet)


@pytest.mark.real
@pytest.mark.timeout(300)
def test_a_lost_database_is_brought_back_and_nothing_runs_twice(deployment: Path, fleet: Fleet) -> None:
    process = reconcile(deployment, "--until-settled")
    while ended(deployment) < 2:
        assert process.poll() is None, log(deployment)
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for file in deployment.glob("reconciler.db*"):
        file.unlink()
    assert reconcile(deployment, "adopt", "--yes").wait(timeout=60) == 0, log(deployment)
    last = reconcile(deployment, "--until-settled")
    try:
        assert last.wait(timeout=PATIENCE) == 0, log(deployment)
    finally:
        last.kill()
    check(deployment, fleet)
    counted = Counter((deployment / "ledger" / "ledger").read_text().splitlines())
    assert {counted[f"{word} {name}"] for word in ("start", "end") for name in NAMES} == {1}
