"""An organiser with a RAMP site and an EC2 account, for the doors that need both."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compat.rampbkd_cases import KitFleet, Organiser
from tests.ec2.control import KEYS, Ec2
from tests.machines.sshd import need_machines
from tests.rampdb.site import Site, moved


@pytest.fixture
def organiser(
    tmp_path: Path, ec2: Ec2, sqlite_model: Site, results: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Organiser]:
    """In a folder of its own, which is the working directory."""
    need_machines()
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": ec2.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(sqlite_model.folder.parent / "ramp.db", tmp_path / "ramp.db")
    for like in ("good", "raises"):
        results(like)
    fleet = KitFleet(ec2, tmp_path / "machines")
    fleet.results = results
    with fleet:
        made = Organiser(tmp_path, moved(f"sqlite:///{tmp_path}/ramp.db", sqlite_model, tmp_path / "ramp"), fleet)
        made.write()
        yield made
    assert fleet.problems == []
