"""A cloud of each kind, empty, and machines' processes, all of which are ended."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clouds.cloud_cases import Case, Spawn, local_case


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "machines"


@pytest.fixture(params=["local"])
def case(request: pytest.FixtureRequest, root: Path) -> Case:
    kinds = {"local": local_case}
    return kinds[request.param](root)


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
