"""The agent is POSIX sh by shellcheck's word, and parses in every shell that it must run in."""

import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.hosts.agent import agent_script


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    """The agent as it is installed: all its parts in one file."""
    (tmp_path / "agent").write_bytes(agent_script()[1])
    return tmp_path / "agent"


def test_shellcheck_finds_nothing(agent: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    outcome = subprocess.run(["shellcheck", "-s", "sh", agent], capture_output=True, text=True)
    assert (outcome.returncode, outcome.stdout) == (0, "")


@pytest.mark.parametrize("shell", [("dash",), ("bash", "--posix"), ("busybox", "sh")], ids=" ".join)
def test_every_shell_reads_it(agent: Path, shell: tuple[str, ...]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    outcome = subprocess.run([*shell, "-n", agent], capture_output=True, text=True)
    assert (outcome.returncode, outcome.stderr) == (0, "")
