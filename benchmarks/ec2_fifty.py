"""Fifty submissions of 300 s on fifty machines of EC2: calls, makespan, and CPU beside RAMP's dispatcher.

Each side is a process of its own on virtual time (ec2_run, ramp_driver), with real calls over HTTP to the same EC2 of
tests, which is a third process. SSH's own work is left out on both sides.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.ec2_hosts import BOOT
from benchmarks.ec2_run import SECONDS, SUBMISSIONS
from benchmarks.figures import Figure
from benchmarks.ramp_beside import ENGINE, HOW, environment, prepared
from tests.ec2.control import running

CALLS = 100
STRETCH = 1.1  # of boot and training, the makespan at most
SHARE = 2.0  # percent of RAMP's CPU: a fiftieth
PATIENCE = 3600.0  # seconds for RAMP, which makes a session for every call
DRIVER = Path(__file__).with_name("ramp_driver.py")


def ours(submissions: int = SUBMISSIONS) -> Mapping[str, Any]:
    """What our process tells: calls by name, makespan, settled and cpu in seconds."""
    with running() as ec2:
        words = [ec2.url, ec2.image(), ec2.subnet(), str(submissions)]
        command = [sys.executable, "-m", "benchmarks.ec2_run", *words]
        return _told(subprocess.run(command, env=environment(ec2), stdout=subprocess.PIPE, check=True))


def ramps(submissions: int = SUBMISSIONS) -> Mapping[str, Any]:
    """The same of RAMP's process."""
    with running() as ec2, tempfile.TemporaryDirectory(prefix="ramp-") as folder:
        files = prepared(ec2, Path(folder) / "ramp", submissions, between=10).files
        command = [sys.executable, str(DRIVER), *files, str(submissions), str(SECONDS)]
        return _told(
            subprocess.run(
                command, env=environment(ec2), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                check=True, timeout=PATIENCE,
            )
        )  # fmt: skip


def _told(done: "subprocess.CompletedProcess[bytes]") -> Mapping[str, Any]:
    told: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def run() -> tuple[Figure, ...]:
    """The row's figures."""
    we = ours()
    if ENGINE:
        ramp = ramps()
        calls, makespan = f"{sum(ramp['calls'].values()):,}, beside it", f"{ramp['makespan']:,.0f} s, beside it"
    else:
        print(f"ec2, RAMP's side: {HOW}", file=sys.stderr)
        ramp, calls, makespan = None, "1,308", "5,100 s"
    figures = [
        Figure(
            what=f"EC2 calls for {SUBMISSIONS} submissions of {SECONDS:.0f} s on {SUBMISSIONS} machines",
            measured=sum(we["calls"].values()), bound=CALLS, unit="", quoted=f"RAMP 0.10.1: {calls}",
        ),
        Figure(
            what="their makespan on virtual time", measured=we["makespan"], bound=STRETCH * (BOOT + SECONDS),
            unit=" s", quoted=f"RAMP 0.10.1: {makespan}",
        ),
    ]  # fmt: skip
    if ramp:
        figures.append(
            Figure(
                what=f"our CPU for it ({we['cpu']:.1f} s), in percent of RAMP's",
                measured=100 * we["cpu"] / ramp["cpu"], bound=SHARE, unit=" %", digits=1,
                quoted=f"RAMP 0.10.1, beside it: {ramp['cpu']:,.0f} s",
            )
        )  # fmt: skip
    return tuple(figures)
