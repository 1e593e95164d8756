"""The agent is POSIX sh by shellcheck's word, and parses in every shell that it must run in."""

import shutil
import subprocess
from pathlib import Path

import pytest

import reconciler.hosts

AGENT = Path(reconciler.hosts.__file__).parent / "agent.sh"


def test_shellcheck_finds_nothing() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    outcome = subprocess.run(["shellcheck", "-s", "sh", AGENT], capture_output=True, text=True)
    assert (outcome.returncode, outcome.stdout) == (0, "")


@pytest.mark.parametrize("shell", [("dash",), ("bash", "--posix"), ("busybox", "sh")], ids=" ".join)
def test_every_shell_reads_it(shell: tuple[str, ...]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    outcome = subprocess.run([*shell, "-n", AGENT], capture_output=True, text=True)
    assert (outcome.returncode, outcome.stderr) == (0, "")
