"""A RAMP site on each kind of database, and results of real trainings: made once, and copied for each test."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.rampdb.site import Site, build, moved, train

Another = Callable[[str], Site]


def _run(server: str, *statements: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Results of training one of the example's submissions, by its name."""
    known: dict[str, Path] = {}

    def of(like: str) -> Path:
        if like not in known:
            known[like] = train(tmp_path_factory.mktemp(like), like)
        return known[like]

    return of


@pytest.fixture(scope="session")
def sqlite_model(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("model")
    return build(f"sqlite:///{folder}/ramp.db", folder / "ramp")


@pytest.fixture(scope="session")
def postgres_model(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    name = f"ramp_{uuid.uuid4().hex}"
    _run(postgres_server, f"CREATE DATABASE {name}")
    yield build(postgres_server.replace("/postgres?", f"/{name}?", 1), tmp_path_factory.mktemp("model") / "ramp")
    _run(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


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
            _run(server, f"CREATE DATABASE {made[-1]} TEMPLATE {url_name(model)}")
        return moved(url, model, tmp_path / name)

    yield of
    for each in made:
        _run(server, f"DROP DATABASE {each} WITH (FORCE)")


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
