"""For real, on EC2 as tests have it, with a real sshd for each machine: killed, throttled, evicted, hanging."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from tests.ec2.control import running
from tests.ec2.fleet import Fleet
from tests.machines.sshd import need_machines
from tests.real.ec2_deployment import END, ONCE, Deployment, deployment, ledger

__all__ = ["deployment", "ledger"]
JOBS = 10
KILLS = 6
PATIENCE = 150  # seconds for everything to settle

REST = """\
size: {t3.micro: 0..2, t3.small: 0..1}
market: spot, then on-demand
slots: 2
idle: 1s
deadlines: {silence: 6s, boot: 60s}
workload: {script: {command: sh run.sh, outputs: ["out/**"]}}
"""
# What a job leaves running belongs to it too.
JOB = f"{ONCE}setsid sleep 300 >/dev/null 2>&1 &\nsleep SECONDS\n{END}"
NAMES = [f"job-{number:02}" for number in range(JOBS)]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """EC2 that takes its time, and machines."""
    need_machines()
    with running() as ec2, Fleet(ec2, tmp_path / "machines") as fleet:
        ec2.set(boot=0.5, ending=0.5, lag=0.5, unknown=0.3)
        yield fleet
    assert fleet.problems == []


@pytest.fixture
def full(deployment: Deployment) -> Deployment:
    """A pool, and submissions in its queue."""
    deployment.pool(REST)
    for number, name in enumerate(NAMES):
        deployment.submit(name, JOB.replace("SECONDS", str(1 + number % 4)))
    return deployment


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


@pytest.mark.real
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1])
def test_killed_throttled_evicted_and_hanging_it_loses_nothing(full: Deployment, seed: int) -> None:
    chance = random.Random(seed)
    troubles = trouble(full.fleet, chance)
    for _ in range(KILLS):
        process = full.run("--until-settled")
        with suppress(TimeoutExpired):
            process.wait(timeout=chance.uniform(2.0, 4.0))
        next(troubles, "")
        full.kill(process)
    last = full.run("--until-settled")
    for _ in range(PATIENCE * 2):
        next(troubles, "")
        with suppress(TimeoutExpired):
            last.wait(timeout=0.5)
            break
    assert last.returncode == 0, full.log()
    full.nothing_lost(*NAMES)
    assert set(NAMES) <= {line.removeprefix("end ") for line in full.counted()}


@pytest.mark.real
@pytest.mark.timeout(300)
def test_a_lost_database_is_brought_back_and_nothing_runs_twice(full: Deployment) -> None:
    process = full.run("--until-settled")
    full.until(lambda: full.count("end") >= 2, process)
    full.kill(process)
    for file in full.folder.glob("reconciler.db*"):
        file.unlink()
    full.command("adopt", "--yes")
    full.settle()
    full.nothing_lost(*NAMES)
    assert full.counted() == Counter({f"{word} {name}": 1 for word in ("start", "end") for name in NAMES})
