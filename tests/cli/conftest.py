"""A deployment in a folder of its own, the command in this process, and the command as a process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli import main
from reconciler.store.store import Store
from tests.cli.cli_rows import CONFIG, POOL, Invoke, Start


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment with one pool on this computer and nothing submitted; the working folder."""
    for name in ("specs", "submissions"):
        (tmp_path / name).mkdir()
    (tmp_path / "config.yml").write_text(CONFIG)
    (tmp_path / "specs" / "cpu.yml").write_text(POOL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECONCILER_CONFIG", raising=False)
    return tmp_path


@pytest.fixture
def invoke() -> Invoke:
    """The command in this process."""
    return lambda *words: CliRunner().invoke(main, [str(word) for word in words], prog_name="reconcile")


@pytest.fixture
def store(here: Path) -> Iterator[Store]:
    """The deployment's database."""
    opened = Store.open(f"sqlite:///{here / 'tests.db'}", controller="tests")
    yield opened
    opened.close()


@pytest.fixture
def start(here: Path) -> Iterator[Start]:
    """The command as a process of its own; what still runs at the end of the test is ended."""
    begun: list[subprocess.Popen[str]] = []

    def go(*words: str, **environ: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", *words],
            cwd=here,
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        return process

    yield go
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()
