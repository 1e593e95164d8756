"""A deployment for each test, and a folder in which nothing may ever appear."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ec2.control import Ec2
from tests.ec2.fleet import Fleet
from tests.machines.sshd import need_machines
from tests.security.deployment import Deployment, made


@pytest.fixture
def deployment(ec2: Ec2, tmp_path: Path) -> Iterator[Deployment]:
    need_machines()
    with Fleet(ec2, tmp_path / "machines") as fleet:
        yield made(tmp_path / "here", fleet)
    assert fleet.problems == []


@pytest.fixture
def canary() -> Iterator[Path]:
    """Whatever is executed that should not be makes a file here: machines reach it, and write as anybody."""
    with tempfile.TemporaryDirectory(prefix="canary-") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)
        assert sorted(path.name for path in Path(folder).iterdir()) == []
