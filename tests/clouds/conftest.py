"""A cloud of each kind, empty, and machines' processes, all of which are ended."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clouds.cloud_cases import Case, Spawn, local_case, ssh_case
from tests.clouds.ec2_cases import ec2_case
from tests.machines.sshd import need_machines


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "machines"


@pytest.fixture(params=["local", "ssh", "ec2"])
def case(request: pytest.FixtureRequest, root: Path) -> Iterator[Case]:
    if request.param == "local":
        yield local_case(root)
        return
    if request.param == "ec2":
        with ec2_case(request.getfixturevalue("ec2")) as made:
            yield made
        return
    need_machines()
    with ssh_case(root) as made:
        yield made


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Starts a command as a machine's host would. Whatever carries this test's mark is killed at the end."""
    mark = f"TEST_MARK={tmp_path}"
    started = []

    def start(command: list[str], machine: str, home: Path, **options: Any) -> subprocess.Popen[bytes]:
        environment = {"PATH": os.environ["PATH"], "RECONCILER_MACHINE": machine, "TEST_MARK": str(tmp_path)}
        options = {"start_new_session": True, "env": environment, "cwd": home} | options
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, **options))
        return started[-1]

    yield start
    for process in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in process.read_bytes().split(b"\0"):
                os.kill(int(process.parent.name), signal.SIGKILL)
        except OSError:
            continue
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
