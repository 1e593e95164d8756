"""A deployment on EC2 as tests have it: the program as a process, a pool of EC2, and a real sshd for each machine.

What jobs do is written down in a ledger that every machine sees, and they wait for words of the test there, so that no
test waits for a time to pass.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.ec2.control import KEYS
from tests.ec2.fleet import Fleet
from tests.looking import printed
from tests.machines.sshd import SshMachine

CONFIG = """\
controller: tests
pools: pools/
results: results/
interval: 0.5s
queue: {folder: submissions/, pool: cpu}
"""

# Places for what differs: @CLOUD@ is more of the cloud's settings, @REST@ what the pool says beside them.
POOL = """\
pool: cpu
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
@CLOUD@
env: {LEDGER: @LEDGER@}
@REST@
"""
PATIENCE = 90  # seconds for anything to come true
NO_NEWS = "    metadata: http://127.0.0.1:9"  # nobody answers there

# How every job begins. A lock that lives as long as any process of the job tells whether two ever ran at once.
ONCE = """\
say() { echo "$1 $RECONCILER_SUBMISSION" >> "$LEDGER/ledger"; }
exec 9>"$LEDGER/lock-$RECONCILER_SUBMISSION"
flock -n 9 || { say twice; exit 9; }
say start
"""
# How a job waits for the test's word.
WAIT = 'while [ ! -e "$LEDGER/go" ] && [ ! -e "$LEDGER/go-$RECONCILER_SUBMISSION" ]; do sleep 0.1; done\n'
END = 'mkdir -p out && echo "$RECONCILER_SUBMISSION" > out/result\nsay end\n'
JOB = ONCE + WAIT + END

TOOLS = "/home/ubuntu/tools"


class ToolFleet(Fleet):
    """Machines whose own commands come before the computer's, which a watch might really shut down.

    With `power`, the user may say `sudo -n shutdown`, and that ends the instance, as it does on EC2.
    """

    power = False

    def tool(self, machine: SshMachine, name: str, script: str) -> None:
        """From now on this command of the machine is that script."""
        folder = machine.home / "tools"
        folder.mkdir(exist_ok=True)
        new = folder / f".{name}"
        new.write_text(f"#!/bin/sh\n{script}\n")
        new.chmod(0o755)
        new.replace(folder / name)

    def _boot(self, cloud_id: str, address: str) -> None:
        if cloud_id in self._disks:
            super()._boot(cloud_id, address)
            return
        machine = self._disks[cloud_id] = SshMachine(self.folder / cloud_id, address)
        config = machine.folder / "sshd_config"
        config.write_text(f"{config.read_text()}SetEnv PATH={TOOLS}:/usr/local/bin:/usr/bin:/bin\n")
        self.tool(machine, "sudo", '[ "$1" = -n ] && shift\nexec "$@"' if self.power else "exit 1")
        for name in ("shutdown", "poweroff", "halt"):
            self.tool(machine, name, 'echo "$0 $*" >> ~/shut-down')
        machine.start()
        self.machines[cloud_id] = machine

    def _look(self) -> None:
        for cloud_id, machine in list(self.machines.items()):
            if (machine.home / "shut-down").exists():
                self.ec2.end(
                    cloud_id, "Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: by itself"
                )
        super()._look()


@frozen
class Deployment:
    """A folder with a config, a pool and a queue; what the program is asked there, and what came of it."""

    folder: Path
    fleet: Fleet
    ledger: Path
    started: list[subprocess.Popen[bytes]]

    @property
    def submissions(self) -> Path:
        """The queue's folder."""
        return self.folder / "submissions"

    def pool(self, rest: str, *, cloud: str = NO_NEWS, image: str = "") -> None:
        """Write the pool's file."""
        ec2 = self.fleet.ec2
        words = {
            "ENDPOINT": ec2.url, "IMAGE": image or self.image(), "SUBNET": ec2.subnet(),
            "KEY": str(self.fleet.key_path), "LEDGER": str(self.ledger), "CLOUD": cloud, "REST": rest,
        }  # fmt: skip
        text = POOL
        for word, value in words.items():
            text = text.replace(f"@{word}@", value)
        (self.folder / "pools").mkdir(exist_ok=True)
        (self.folder / "pools" / "cpu.yml").write_text(text)

    def image(self) -> str:
        """The image that there is, one for the test."""
        client = self.fleet.ec2.client()
        try:
            images = client.describe_images(Owners=["self"])["Images"]
        finally:
            client.close()
        return str(images[0]["ImageId"]) if images else self.fleet.ec2.image()

    def submit(self, name: str, script: str = JOB) -> None:
        """Put a submission into the queue's folder, whole and old enough to be taken."""
        hidden = self.folder / f".{name}"
        hidden.mkdir()
        (hidden / "run.sh").write_text(script)
        for path in (hidden / "run.sh", hidden):
            os.utime(path, (time.time() - 60, time.time() - 60))
        self.submissions.mkdir(exist_ok=True)
        hidden.rename(self.submissions / name)

    def go(self, name: str = "") -> None:
        """Let a job end, or all."""
        (self.ledger / (f"go-{name}" if name else "go")).touch()

    def run(self, *words: str) -> subprocess.Popen[bytes]:
        """The program, as people start it; the test's end ends it."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(_command(*words), cwd=self.folder, stdout=log, stderr=log, env=os.environ | KEYS)
        self.started.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGKILL) -> int:
        """End the program; answers with its exit status."""
        process.send_signal(number)
        return process.wait(timeout=60)

    def settle(self, process: subprocess.Popen[bytes] | None = None) -> None:
        """Run until all is settled, or let somebody who runs so; it has to come true."""
        process = process or self.run("--until-settled")
        self.until(lambda: process.poll() is not None)
        assert process.returncode == 0, self.log()

    def command(self, *words: str) -> str:
        """What a command prints that has to work."""
        told = subprocess.run(
            _command(*words), cwd=self.folder, capture_output=True, text=True, check=False, env=os.environ | KEYS
        )
        assert told.returncode == 0, told.stdout + told.stderr + self.log()
        return told.stdout

    def asked(self, *words: str) -> Any:
        """What a command says to programs."""
        return json.loads(printed(self.folder, *words, "--json", environ=KEYS))

    def rows(self, table: str) -> list[dict[str, Any]]:
        """`submissions` or `instances`, as status tells of them."""
        rows: list[dict[str, Any]] = self.asked("status")[table]
        return rows

    def row(self, cloud_id: str) -> dict[str, Any]:
        """The latest row of a machine."""
        return [row for row in self.rows("instances") if row["cloud_id"] == cloud_id][-1]

    def tries(self, name: str) -> list[dict[str, Any]]:
        """A submission's attempts."""
        tries: list[dict[str, Any]] = self.asked("show", name)["tries"]
        return tries

    def log(self) -> str:
        """The end of what the program said."""
        path = self.folder / "log"
        return path.read_text()[-6000:] if path.exists() else ""

    def counted(self) -> Counter[str]:
        """The ledger's lines."""
        path = self.ledger / "ledger"
        return Counter(path.read_text().splitlines() if path.exists() else ())

    def count(self, word: str) -> int:
        """How many jobs said this."""
        return sum(count for line, count in self.counted().items() if line.startswith(f"{word} "))

    def until(self, truth: Callable[[], object], process: subprocess.Popen[bytes] | None = None) -> None:
        """Wait for something to be true; where a process is named, it has to live until then."""
        give_up = time.monotonic() + PATIENCE
        while not truth():
            assert process is None or process.poll() is None, self.log()
            assert time.monotonic() < give_up, self.log()
            time.sleep(0.05)

    def nothing_lost(self, *names: str) -> None:
        """Each of these succeeded and its result is home, none ever ran beside itself, and no machine is left."""
        told = self.asked("status")
        assert {row["name"]: row["state"] for row in told["submissions"]} == dict.fromkeys(names, "succeeded"), (
            self.log()
        )
        rows = [row for row in told["instances"] if row["state"] not in ("terminated", "failed")]
        assert (rows, self.fleet.live()) == ([], [])
        assert self.count("twice") == 0
        for row in told["submissions"]:
            assert (Path(row["results"]) / "out" / "result").read_text() == f"{row['name']}\n"


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "reconciler", *words, "--config", "config.yml"]


@pytest.fixture
def ledger() -> Iterator[Path]:
    """A folder that the machines' user can reach and write to, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.fixture
def deployment(tmp_path: Path, fleet: Fleet, ledger: Path) -> Iterator[Deployment]:
    """A deployment whose pool is still to be written. `fleet` is the test module's own."""
    (tmp_path / "config.yml").write_text(CONFIG)
    (tmp_path / "submissions").mkdir()
    client = fleet.ec2.client()
    client.create_key_pair(KeyName="tests")
    client.close()
    made = Deployment(tmp_path, fleet, ledger, [])
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.wait()
