"""Killed with SIGKILL while all submissions train, and started again: RAMP's dispatcher, then ours, on the same EC2.

What is counted is what costs its users: machines that still run when everything is over, and trainings that were
started more than once. RAMP's ssh and rsync are played by two commands in its PATH, since its machines have public
addresses; ours logs in to a real OpenSSH server on each machine. Both trainings are a sleep that notes its start.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template

from attrs import frozen

from benchmarks.deployment import wait_until
from benchmarks.figures import Figure
from benchmarks.ramp_beside import ENGINE, HOW, environment, prepared
from tests.ec2.control import KEYS, REGION, Ec2, running
from tests.ec2.fleet import Fleet
from tests.machines.sshd import why_not
from tests.rampdb.site import train

SUBMISSIONS = 5
SECONDS = 40  # of each training: long enough for RAMP to start all of them, one after the other
PATIENCE = 400.0  # seconds for everything to end

# Both commands' last arguments are what RAMP says: a command for the machine, or a source and a target.
SSH = """\
#!/bin/sh
for said; do :; done
case $said in
*"screen -dm -S "*)
    name=${said#*"screen -dm -S "} name=${name%% *}
    echo "start $name" >>"$LEDGER/ledger"
    date +%s >"$LEDGER/$name.since" ;;
*"screen -ls"*)
    name=${said##*grep } name=${name%%|*}
    [ "$(($(date +%s) - $(cat "$LEDGER"/$name.since)))" -lt "$SECONDS_EACH" ] && echo 1 || echo 0 ;;
*instance-action*) printf none ;;
*grep\\ fold_*) ls "$RESULTS/training_output" | grep -c fold_ ;;
*y_pred_train*) find "$RESULTS" -name y_pred_train.npz | wc -l ;;
*y_pred_test*) find "$RESULTS" -name y_pred_test.npz | wc -l ;;
esac
"""
RSYNC = """\
#!/bin/sh
for target; do :; done
case $* in
*training_output/*) mkdir -p "$target" && cp -r "$RESULTS/training_output/." "$target" ;;
*/log\\ *) cp "$RESULTS/log" "$target" ;;
esac
"""

CONFIG = """\
controller: killed
pools: pools/
results: results/
interval: 1s
queue: {folder: submissions/, pool: cpu}
"""
POOL = Template("""\
pool: cpu
cloud:
  ec2:
    region: $region
    endpoint_url: $url
    access_key_id: $${AWS_ACCESS_KEY_ID}
    secret_access_key: $${AWS_SECRET_ACCESS_KEY}
    image: $image
    subnets: [$subnet]
    key_path: $key
    user: ubuntu
    address: private
size: {t3.micro: 0..$count}
market: on-demand
workload: {script: {command: sh run.sh}}
env: {LEDGER: $ledger}
""")
JOB = 'echo "start $RECONCILER_SUBMISSION" >>"$LEDGER/ledger"\nsleep {seconds}\n'


@frozen
class Aftermath:
    """What is there when everything is over."""

    leaked: int  # machines that still run
    starts: int  # of trainings

    @property
    def double(self) -> int:
        """Trainings that were started again."""
        return self.starts - SUBMISSIONS


def killed(start: Callable[[], subprocess.Popen[bytes]], ec2: Ec2, ledger: Path) -> Aftermath:
    """Start, kill when all train, start again, and wait for the end."""

    def starts() -> int:
        return (ledger / "ledger").read_text().count("start ") if (ledger / "ledger").exists() else 0

    process = start()
    try:
        wait_until(lambda: starts() >= SUBMISSIONS, "all train", patience=PATIENCE)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = start()
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()
    live = [each for each in ec2.instances() if each["state"] not in ("shutting-down", "terminated")]
    return Aftermath(len(live), starts())


def ramp(folder: Path) -> Aftermath:
    """RAMP's own dispatcher, as an organiser starts it."""
    commands = folder / "bin"
    commands.mkdir()
    for name, text in (("ssh", SSH), ("rsync", RSYNC)):
        (commands / name).write_text(text, encoding="utf-8")
        (commands / name).chmod(0o755)
    results = train(folder, "good")
    with running() as ec2:
        config, event = prepared(ec2, folder / "ramp", SUBMISSIONS, between=1).files
        environ = environment(ec2) | {
            "PATH": f"{commands}:{os.environ['PATH']}", "LEDGER": str(folder), "RESULTS": str(results),
            "SECONDS_EACH": str(SECONDS),
        }  # fmt: skip
        words = ["-m", "ramp_engine.cli", "dispatcher", "--config", config, "--event-config", event]
        return killed(lambda: _started(words, folder, environ), ec2, folder)


def ours(folder: Path) -> Aftermath:
    """Our own, on machines with a real sshd."""
    folder.chmod(0o777)  # the machines' user writes the ledger
    with running() as ec2, Fleet(ec2, folder / "machines") as fleet:
        _deployment(folder, ec2, fleet.key_path)
        words = ["-m", "reconciler", "--until-settled", "--config", "config.yml"]
        environ = os.environ | KEYS
        found = killed(lambda: _started(words, folder, environ), ec2, folder)
        told = subprocess.run(
            [sys.executable, "-m", "reconciler", "status", "--config", "config.yml", "--json"],
            cwd=folder, capture_output=True, check=True, env=environ,
        )  # fmt: skip
        states = [row["state"] for row in json.loads(told.stdout)["submissions"]]
        assert states == ["succeeded"] * SUBMISSIONS, (states, (folder / "log").read_text()[-3000:])
        return found


def _deployment(folder: Path, ec2: Ec2, key: Path) -> None:
    (folder / "pools").mkdir()
    (folder / "config.yml").write_text(CONFIG, encoding="utf-8")
    pool = POOL.substitute(
        region=REGION, url=ec2.url, image=ec2.image(), subnet=ec2.subnet(), key=key, count=SUBMISSIONS, ledger=folder
    )
    (folder / "pools" / "cpu.yml").write_text(pool, encoding="utf-8")
    before = time.time() - 60  # the queue takes what nobody has touched for a while
    for number in range(SUBMISSIONS):
        work = folder / "submissions" / f"work_{number}"
        work.mkdir(parents=True)
        (work / "run.sh").write_text(JOB.format(seconds=SECONDS), encoding="utf-8")
        for path in (work / "run.sh", work):
            os.utime(path, (before, before))


def _started(words: Sequence[str], folder: Path, environ: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *words], cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def run() -> tuple[Figure, ...]:
    """The row's figures."""
    if missing := why_not():
        print(f"ramp-killed: not measured here: {missing}", file=sys.stderr)
        return ()
    theirs = ("not measured", "not measured")
    if ENGINE:
        with tempfile.TemporaryDirectory(prefix="ramp-killed-") as folder:
            found = ramp(Path(folder))
            theirs = (str(found.leaked), str(found.double))
    else:
        print(f"ramp-killed, RAMP's side: {HOW}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="ramp-killed-") as folder:
        we = ours(Path(folder))
    what = f"killed by SIGKILL with {SUBMISSIONS} training, started again"
    return (
        Figure(what=f"{what}: machines left running", measured=we.leaked, bound=0, unit="",
               quoted=f"RAMP 0.10.1, beside it: {theirs[0]}"),
        Figure(what="the same: trainings started twice", measured=we.double, bound=0, unit="",
               quoted=f"RAMP 0.10.1, beside it: {theirs[1]}"),
    )  # fmt: skip
