"""`doctor` looks at our own database, and leaves it as it is: also one that nobody has set up yet."""

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from reconciler.store.store import Store
from tests.cli.cli_rows import CONFIG, Invoke
from tests.store.store_rows import fill, instance

pytestmark = pytest.mark.real


def names(url: str) -> list[str]:
    """Every table of a database."""
    engine = create_engine(url)
    try:
        return inspect(engine).get_table_names()
    finally:
        engine.dispose()


def told(invoke: Invoke, here: Path, url: str, status: int = 0) -> dict[str, dict[str, str]]:
    """What it says, by check, with this database."""
    (here / "config.yml").write_text(CONFIG.replace("sqlite:///tests.db", url))
    outcome = invoke("doctor", "--json")
    assert outcome.exit_code == status, outcome.output
    return {each["check"]: each for each in json.loads(outcome.stdout)}


def test_an_empty_database_is_said_to_be_and_stays_empty(invoke: Invoke, here: Path, postgres_url: str) -> None:
    found = told(invoke, here, postgres_url)["database"]
    assert found["result"] == "ok"
    assert found["text"].endswith(": is empty, and set up by the first run")
    assert names(postgres_url) == []


def test_no_file_is_made_and_an_empty_one_stays_empty(invoke: Invoke, here: Path) -> None:
    file = here / "own.db"
    assert told(invoke, here, f"sqlite:///{file}")["database"]["text"].endswith("is made by the first run")
    assert not file.exists()
    file.touch()
    assert (
        told(invoke, here, f"sqlite:///{file}")["database"]["text"] == f"{file}: is empty, and set up by the first run"
    )
    assert (file.read_bytes(), list(here.glob("own.db-*"))) == (b"", [])


def test_a_database_in_use_is_read_with_its_machines(invoke: Invoke, here: Path, database_url: str) -> None:
    store = Store.open(database_url, controller="tests")
    try:
        fill(store, instance("m1", state="ready", cloud="mars", address="10.0.0.1"))
        found = told(invoke, here, database_url)
        assert found["database"]["text"] == f"belongs to tests, {store.identity.database_id}"
        assert found["machine m1"]["result"] == "could not check"
    finally:
        store.close()


def test_a_database_that_is_not_ours_is_a_problem_of_the_file(invoke: Invoke, here: Path, database_url: str) -> None:
    Store.open(database_url, controller="others").close()
    found = told(invoke, here, database_url, 2)["database"]
    assert found["result"] == "problem"
    assert "belongs to the controller 'others', and this configuration says 'tests'" in found["text"]


def test_another_programs_database_is_left_alone(invoke: Invoke, here: Path) -> None:
    url = f"sqlite:///{here}/other.db"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE theirs (id INTEGER)"))
    engine.dispose()
    assert "holds another program's tables (theirs)" in told(invoke, here, url, 2)["database"]["text"]
    assert names(url) == ["theirs"]
