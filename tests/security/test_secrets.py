"""A secret is seen by the job that it is for, and by nobody else: not in a log, row, tag, process list or user data."""

import base64
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.ec2.control import KEYS
from tests.security.deployment import Deployment

pytestmark = [pytest.mark.real, pytest.mark.timeout(200)]

TOKEN = f"token-{uuid.uuid4().hex}"  # every process of tests has its own: one sees the others' processes
SECRETS = (TOKEN.encode(), KEYS["AWS_SECRET_ACCESS_KEY"].encode())
JOB = 'mkdir out; sleep 2; printf %s "$TOKEN" | sha256sum > out/digest'
DIGEST = subprocess.run(["sha256sum"], input=TOKEN.encode(), capture_output=True, check=True).stdout
# A stand-in for env(1) that takes its time, so that its command line can be looked at.
SLOW = """\
#!/bin/sh
sleep 0.4
exec {real} "$@"
"""


def read(pid: str, what: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{what}").read_bytes()
    return b""


def space(pid: str) -> str:
    """Which machine a process is on."""
    with suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    return ""


HERE = space("self")


class Watcher:
    """Looks at every process of this computer, those of the machines too, again and again."""

    def __init__(self) -> None:
        self.lines: set[bytes] = set()
        self.environments: set[tuple[bytes, bytes]] = set()
        self.looks = 0
        self._over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator["Watcher"]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            self.looks += 1
            for pid in (entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()):
                line, environment = read(pid, "cmdline"), read(pid, "environ")
                if any(secret in line for secret in SECRETS):
                    self.lines.add(line)
                if TOKEN.encode() in environment and space(pid) != HERE:  # on this computer it was given to us
                    self.environments.add((line, environment))


def files_with(folder: Path, *secrets: bytes) -> list[Path]:
    """Files below a folder in which a secret lies."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if any(secret in path.read_bytes() for secret in secrets)]


@pytest.fixture
def slow_env() -> Iterator[Path]:
    """A stand-in for env(1) where any user can reach it, unlike in pytest's own folders."""
    with tempfile.TemporaryDirectory(prefix="slow-env-") as folder:
        real, slow = Path(folder) / "env", Path(folder) / "slow"
        real.write_bytes(Path("/usr/bin/env").read_bytes())
        slow.write_text(SLOW.format(real=real))
        for path in (Path(folder), real, slow):
            path.chmod(0o755)
        yield slow


@pytest.fixture
def guarded(deployment: Deployment) -> Deployment:
    """One submission that needs the secret, on a machine that is bought for it."""
    deployment.pool("cpu", deployment.machines(tags={"team": "iris"}), env={"TOKEN": "${TOKEN}"}, setup=["test -n x"])
    deployment.submit(deployment.submission("work", JOB), TOKEN=TOKEN)
    return deployment


def test_a_secret_reaches_the_job_and_nothing_else(guarded: Deployment) -> None:
    with Watcher().watching() as seen:
        printed = guarded.settle(TOKEN=TOKEN)
        for words in (("show", "work"), ("logs", "work"), ("history",), ("instances", "--all"), ("doctor",)):
            told = guarded.run(*words, TOKEN=TOKEN)
            printed += told.stdout + told.stderr
    assert guarded.outcomes(TOKEN=TOKEN) == {"work": ("succeeded", "")}
    assert (guarded.home("work") / "out" / "digest").read_bytes() == DIGEST
    assert [secret for secret in SECRETS if secret in printed] == []
    assert (guarded.folder / "reconciler.db").exists()
    assert files_with(guarded.folder, *SECRETS) == []

    requests = guarded.fleet.ec2.requests()
    data = [base64.b64decode(each["UserData"]) for each in requests if "UserData" in each]
    assert data
    told_to_aws = repr(requests).encode() + b"".join(data) + repr(guarded.fleet.ec2.instances()).encode()
    assert [secret for secret in SECRETS if secret in told_to_aws] == []

    assert seen.looks > 5
    assert seen.lines == set()
    strangers = [line for line, environment in seen.environments if b"RECONCILER_ATTEMPT=" not in environment]
    assert strangers == []
    assert any(b"RECONCILER_ATTEMPT=" in environment for _, environment in seen.environments)


def test_no_command_line_on_a_machine_ever_held_it(guarded: Deployment, slow_env: Path) -> None:
    """The moment in which a job gets its environment is short, so it is made long."""
    with Watcher().watching() as seen, guarded.running("--until-settled", TOKEN=TOKEN) as process:
        assert process.poll() is None
        there = guarded.only_machine()
        inside = ["nsenter", "--mount", "--target", str(there.processes()[0]), "mount", "--bind", str(slow_env),
                  "/usr/bin/env"]  # fmt: skip
        subprocess.run(inside, check=True)
        assert process.wait(timeout=150) == 0
    assert guarded.outcomes(TOKEN=TOKEN) == {"work": ("succeeded", "")}
    assert seen.lines == set()
