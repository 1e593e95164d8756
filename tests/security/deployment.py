"""A deployment on the EC2 of tests, with a real sshd for each machine: what the tests of security start from."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from tests.ec2.control import KEYS
from tests.ec2.fleet import Fleet
from tests.looking import printed
from tests.machines.sshd import SshMachine

PATIENCE = 90.0  # seconds for anything to come about

CONFIG = """\
controller: guarded
pools: pools/
results: results/
interval: 1s
"""


@frozen
class Deployment:
    """A folder with a config, and the command that is run in it."""

    folder: Path
    fleet: Fleet

    def cloud(self, **settings: Any) -> dict[str, Any]:
        """Settings of a pool's cloud with which machines are bought and reached."""
        keys = {"access_key_id": "${AWS_ACCESS_KEY_ID}", "secret_access_key": "${AWS_SECRET_ACCESS_KEY}"}
        return {
            "ec2": {
                "region": "eu-west-1", "endpoint_url": self.fleet.ec2.url, **keys, "address": "private",
                "user": "ubuntu", "key_path": str(self.fleet.key_path), "metadata": "http://127.0.0.1:9", **settings,
            }
        }  # fmt: skip

    def machines(self, **settings: Any) -> dict[str, Any]:
        """The same, with what this EC2 has: an image and a subnet."""
        ec2 = self.fleet.ec2
        return self.cloud(**{"image": ec2.image(), "subnets": [ec2.subnet()], **settings})

    def pool(self, name: str, cloud: Mapping[str, Any], **keys: Any) -> None:
        """Write a pool's file. JSON is YAML, in which any text at all can be written."""
        script = {"script": {"command": "sh run.sh", "outputs": ["out/**"]}}
        whole = {"pool": name, "cloud": cloud, "size": {"t3.micro": "0..1"}, "workload": script, "idle": "1s", **keys}
        (self.folder / "pools" / f"{name}.yml").write_text(json.dumps(whole))

    def submission(self, name: str, script: str, files: Mapping[str, bytes] | None = None) -> Path:
        """A folder that can be submitted."""
        made = self.folder / "work" / name
        made.mkdir(parents=True)
        (made / "run.sh").write_text(script)
        for file, content in (files or {}).items():
            (made / file).write_bytes(content)
        return made

    def run(self, *words: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
        """The command, to its end."""
        return subprocess.run(
            self._command(words), cwd=self.folder, env=os.environ | KEYS | environ, capture_output=True,
            timeout=2 * PATIENCE,
        )  # fmt: skip

    @contextmanager
    def running(self, *words: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
        """The command beside the block, ended with it. What it prints is in `log`."""
        with (
            (self.folder / "log").open("ab") as log,
            subprocess.Popen(
                self._command(words), cwd=self.folder, env=os.environ | KEYS | environ, stdout=log, stderr=log
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    def submit(self, folder: Path, *words: str, **environ: str) -> None:
        printed(self.folder, "submit", str(folder), *words, environ=KEYS | environ)

    def settle(self, **environ: str) -> bytes:
        """Until nothing is left to do; what it printed."""
        told = self.run("--until-settled", "-v", **environ)
        assert told.returncode == 0, told.stderr.decode()[-6000:]
        return told.stdout + told.stderr

    def told(self, *words: str, **environ: str) -> Any:
        """A command's JSON."""
        return json.loads(printed(self.folder, *words, "--json", environ=KEYS | environ))

    def outcomes(self, **environ: str) -> dict[str, tuple[str, str]]:
        """Submission → state and reason."""
        return {row["name"]: (row["state"], row["reason"]) for row in self.told("status", **environ)["submissions"]}

    def only_machine(self) -> SshMachine:
        """The one that runs, once it does."""
        eventually(lambda: len(self.fleet.machines) == 1)
        return next(iter(self.fleet.machines.values()))

    def home(self, name: str) -> Path:
        """The results of a submission's first attempt."""
        return self.folder / "results" / name / "1"

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "reconciler", *words, "--config", "config.yml"]


def made(folder: Path, fleet: Fleet) -> Deployment:
    """An empty deployment."""
    (folder / "pools").mkdir(parents=True)
    (folder / "config.yml").write_text(CONFIG)
    return Deployment(folder, fleet)


def key_pair(fleet: Fleet, name: str) -> None:
    with closing(fleet.ec2.client()) as client:
        client.create_key_pair(KeyName=name)


def eventually(happened: Callable[[], Any]) -> Any:
    """What a look gives, once it gives something."""
    give_up = time.monotonic() + PATIENCE
    while not (found := happened()):
        assert time.monotonic() < give_up, "it has not come about"
        time.sleep(0.1)
    return found
