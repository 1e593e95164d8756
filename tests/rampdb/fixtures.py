"""Models of a RAMP site, and results of real trainings: each made once in a run, and copied for each test."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.rampdb.site import Site, build, train
from tests.shared import made_once, run_folder

_POSTGRES = "ramp_model"  # the model's database


def execute(server: str, *statements: str) -> None:
    """Run statements that no transaction may hold, such as CREATE DATABASE."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Results of training one of the example's submissions, by its name."""

    def of(like: str) -> Path:
        folder = run_folder(tmp_path_factory) / f"trained-{like}"
        return made_once(folder, lambda made: train(made, like)) / "results"

    return of


@pytest.fixture(scope="session")
def sqlite_model(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose database is a file beside its folder."""
    folder = run_folder(tmp_path_factory) / "model-sqlite"
    site = Site(f"sqlite:///{folder}/ramp.db", folder / "ramp")
    made_once(folder, lambda _: build(site.url, site.folder))
    return site


@pytest.fixture(scope="session")
def postgres_model(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose database goes with the server of this run."""
    folder = run_folder(tmp_path_factory) / "model-postgresql"
    site = Site(postgres_server.replace("/postgres?", f"/{_POSTGRES}?", 1), folder / "ramp")

    def make(_: Path) -> None:
        execute(postgres_server, f"DROP DATABASE IF EXISTS {_POSTGRES}", f"CREATE DATABASE {_POSTGRES}")
        build(site.url, site.folder)

    made_once(folder, make)
    return site
