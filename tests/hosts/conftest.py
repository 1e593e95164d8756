"""Machines for tests: folders with a home each, whose agent runs under one of the shells that it must work with."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.hosts.local import local_host
from tests.hosts.machines import LocalMachine, run

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _tools(shell: str, folder: Path) -> str:
    """A PATH on which `sh` is this shell; for busybox every other tool is busybox's too, and there is nothing else."""
    folder.mkdir()
    if shell == "busybox":
        subprocess.run(["busybox", "--install", "-s", folder], check=True)
        return str(folder)
    (folder / "sh").symlink_to(shutil.which(shell))
    return f"{folder}:/usr/bin:/bin"


@pytest.fixture(params=["dash", "bash", "busybox"])
def shell(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@pytest.fixture
def machine(shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalMachine]:
    monkeypatch.setenv("PATH", _tools(shell, tmp_path / "bin"))
    if shell != "bash":  # so that both ways of telling a job's processes are tried
        monkeypatch.setenv("RECONCILER_CGROUPS", "")
    home = tmp_path / "home"
    home.mkdir()
    boot_file = tmp_path / "boot_id"
    boot_file.write_text(f"{BOOT}\n")
    name = f"test-{uuid.uuid4()}"
    host = local_host(home, name, boot_id_file=boot_file)
    run(host.install())
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "RECONCILER_MACHINE": name,
        "RECONCILER_BOOT_ID_FILE": str(boot_file),
        **({"RECONCILER_CGROUPS": ""} if shell != "bash" else {}),
    }
    machine = LocalMachine(host, home, name, boot_file, environment)
    yield machine
    run(host.kill_all())
    assert machine.processes() == set()
