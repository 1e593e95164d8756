"""A RAMP site on each kind of database, and results of real trainings, for one test each."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rampdb.fixtures import execute
from tests.rampdb.site import Site, moved

Another = Callable[[str], Site]


@pytest.fixture(params=["sqlite", "postgresql"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Another]:
    """Makes sites on one kind of database, by a name that tells them apart."""
    made: list[str] = []
    if request.param == "sqlite":
        model: Site = request.getfixturevalue("sqlite_model")
    else:
        server: str = request.getfixturevalue("postgres_server")
        model = request.getfixturevalue("postgres_model")

    def of(name: str) -> Site:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path}/{name}.db"
            shutil.copyfile(model.folder.parent / "ramp.db", tmp_path / f"{name}.db")
        else:
            made.append(f"ramp_{uuid.uuid4().hex}")
            url = server.replace("/postgres?", f"/{made[-1]}?", 1)
            execute(server, f"CREATE DATABASE {made[-1]} TEMPLATE {url_name(model)}")
        return moved(url, model, tmp_path / name)

    yield of
    for each in made:
        execute(server, f"DROP DATABASE {each} WITH (FORCE)")


def url_name(site: Site) -> str:
    """The name of a site's database."""
    return str(site.config["database"])


@pytest.fixture
def site(another: Another) -> Site:
    return another("ramp")


@pytest.fixture
def home(tmp_path: Path, results: Callable[[str], Path]) -> Callable[[str], Path]:
    """A copy of such results, that a test may change."""

    def of(like: str) -> Path:
        copy = tmp_path / f"results-{uuid.uuid4().hex[:6]}"
        shutil.copytree(results(like), copy)
        return copy

    return of
