"""Opening: a new database becomes ours once, whoever is first; what is not ours is refused, and nothing is written."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from attrs import fields
from sqlalchemy import inspect, text
from sqlalchemy.schema import CreateIndex

from reconciler.model import rows
from reconciler.store.errors import StoreError
from reconciler.store.store import Store
from reconciler.store.tables import METADATA, VERSION_TABLE
from tests.store.store_rows import BY, NOW, born, everything, submission

VALUES = {
    "pools": rows.PoolRow, "launches": rows.Launch, "instances": rows.Instance, "submissions": rows.Submission,
    "attempts": rows.Attempt, "deliveries": rows.Delivery, "holds": rows.Hold, "strangers": rows.Stranger,
    "history": rows.Event, "identity": rows.Identity,
}  # fmt: skip


def refused(url: str, controller: str = "tests", patience: float = 0.2) -> StoreError:
    with pytest.raises(StoreError) as raised:
        Store.open(url, controller=controller, patience=patience)
    return raised.value


def test_a_tables_columns_are_the_fields_of_its_value_in_their_order(store: Store) -> None:
    with store.database.reading() as connection:
        found = inspect(connection)
        for table, value in VALUES.items():
            assert [column["name"] for column in found.get_columns(table)] == [field.name for field in fields(value)]
    assert METADATA.tables.keys() == VALUES.keys()


def test_the_migrations_lead_to_the_tables_on_postgresql(postgres_url: str) -> None:
    store = Store.open(postgres_url, controller="tests")
    with store.database.reading() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), METADATA) == []
    store.close()


def test_the_migrations_lead_to_the_indexes_on_sqlite(sqlite_url: str) -> None:
    store = Store.open(sqlite_url, controller="tests")
    with store.database.reading() as connection:
        made = connection.execute(text("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql <> ''")).scalars()
        assert sorted(made) == sorted(
            str(CreateIndex(index).compile(dialect=connection.dialect))
            for table in METADATA.tables.values()
            for index in table.indexes
        )
    store.close()


def test_a_database_keeps_its_identity(database_url: str) -> None:
    first = Store.open(database_url, controller="iris")
    first.apply([born(submission("s1"))], now=NOW, by=BY)
    first.close()
    again = Store.open(database_url, controller="iris")
    assert again.identity == first.identity
    assert again.submission("s1") is not None
    again.close()


def test_two_databases_have_two_identities() -> None:
    one, two = (Store.open("sqlite://", controller="iris") for _ in range(2))
    assert one.identity.database_id != two.identity.database_id
    one.close()
    two.close()


def test_another_controllers_database_is_refused(database_url: str) -> None:
    Store.open(database_url, controller="iris").close()
    error = refused(database_url, "rose")
    assert error.usage
    assert "belongs to the controller 'iris'" in error.message


def test_a_newer_version_is_refused(store: Store) -> None:
    with store.database.writing() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    error = refused(store.database.url.render_as_string(hide_password=False))
    assert error.usage
    assert "newer version of reconciler (schema 9999)" in error.message


@pytest.mark.parametrize(
    "content", [b"pool: cpu\n" * 300, b"SQLite format 3\0" + b"\xff" * 2000, bytes(range(256)) * 9]
)
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "notes.db"
    file.write_bytes(content)
    error = refused(f"sqlite:///{file}")
    assert error.usage
    assert str(file) in error.message
    assert file.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["notes.db"]


def test_a_half_written_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "half.db"
    Store.open(f"sqlite:///{file}", controller="tests").close()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert refused(f"sqlite:///{file}").usage


def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    (tmp_path / "new.db").touch()
    Store.open(f"sqlite:///{tmp_path / 'new.db'}", controller="tests").close()


def test_another_programs_sqlite_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "places.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    before = file.read_bytes()
    error = refused(f"sqlite:///{file}")
    assert error.usage
    assert "another program's tables (bookmarks)" in error.message
    assert file.read_bytes() == before


def test_another_programs_tables_may_lie_beside_ours_on_postgresql_unless_they_clash(postgres_url: str) -> None:
    store = Store.open(postgres_url, controller="tests")
    with store.database.writing() as connection:
        connection.execute(text("CREATE TABLE users (name TEXT)"))
    store.close()
    again = Store.open(postgres_url, controller="tests")
    with again.database.writing() as connection:
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
    again.close()
    assert "another program's tables" in refused(postgres_url).message


def test_a_locked_sqlite_database_is_told_after_some_patience(sqlite_url: str) -> None:
    store = Store.open(sqlite_url, controller="tests", patience=0.2)
    locker = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another process") as raised:
        store.apply([born(submission("s1"))], now=NOW, by=BY)
    assert not raised.value.usage
    assert everything(store).heads == ()  # reading goes on
    locker.execute("ROLLBACK")
    locker.close()
    assert store.apply([born(submission("s1"))], now=NOW, by=BY) == [True]
    store.close()


def test_a_locked_new_sqlite_database_is_told_too(sqlite_url: str) -> None:
    locker = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    error = refused(sqlite_url)
    locker.close()
    assert not error.usage
    assert "locked by another process" in error.message


def test_a_writer_that_has_not_written_yet_keeps_others_out_already(database_url: str) -> None:
    one, two = (Store.open(database_url, controller="tests", patience=0.2) for _ in range(2))
    with one.database.writing(), pytest.raises(StoreError, match="locked by another process") as raised:
        two.apply([born(submission("s1"))], now=NOW, by=BY)
    assert not raised.value.usage
    one.close()
    two.close()


def test_a_read_only_postgresql_database_is_told(postgres_url: str) -> None:
    store = Store.open(postgres_url, controller="tests")

    def write() -> None:
        with store.database.writing() as connection:
            connection.execute(text("SET TRANSACTION READ ONLY"))  # as on a standby
            connection.execute(text("DELETE FROM holds"))

    with pytest.raises(StoreError, match="read-only") as raised:
        write()
    assert not raised.value.usage
    store.close()


def test_postgresql_that_was_restarted_costs_no_call(postgres_url: str) -> None:
    store, other = (Store.open(postgres_url, controller="tests") for _ in range(2))
    everything(store)
    with other.database.writing() as connection:
        mine = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        connection.execute(text(f"{mine} AND datname = current_database()"))
    assert everything(store).heads == ()
    store.close()
    other.close()


@pytest.mark.parametrize(
    ("url", "usage", "says"),
    [
        ("nonsense", True, "not a database URL"),
        ("mysql://me:hunter2@localhost/x", True, "mysql is not supported"),
        ("postgresql://me:hunter2@127.0.0.1:1/x", False, "cannot be reached"),
        ("sqlite:////nonexistent/folder/x.db", False, "cannot be opened"),
    ],
)
def test_a_database_that_cannot_be_reached_is_told_without_its_password(url: str, usage: bool, says: str) -> None:
    error = refused(url)
    assert error.usage is usage
    assert says in error.message
    assert "hunter2" not in error.message


OPEN = "import sys; from reconciler.store.store import Store; print(Store.open(sys.argv[1], controller='c').identity)"


def test_processes_that_start_at_once_make_one_database(database_url: str) -> None:
    command = [sys.executable, "-c", OPEN, database_url]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = [process.communicate() for process in running]
    assert [error for _, error in outputs] == [""] * 4
    assert len({output for output, _ in outputs}) == 1


def test_the_model_and_the_package_import_no_sqlalchemy_and_a_ready_database_no_alembic(sqlite_url: str) -> None:
    Store.open(sqlite_url, controller="c").close()
    code = (
        "import sys, reconciler, reconciler.model.snapshot; assert 'sqlalchemy' not in sys.modules\n"
        f"{OPEN}; assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, sqlite_url], check=True, capture_output=True)
