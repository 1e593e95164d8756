"""A RAMP site for tests: a database, a kit, an event, teams and submissions, all made by ramp-database's own tools."""

import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen
from sqlalchemy import MetaData, create_engine, make_url, select, text
from sqlalchemy.orm import Session

from reconciler.spec.values import RampEvent

KIT = Path(__file__).parents[2] / "examples" / "iris" / "kit"
SUBMISSIONS = KIT.parent / "submissions"
EVENT = "iris_test"
SANDBOX = "starting_kit"


@contextmanager
def ramp() -> Iterator[None]:
    """RAMP is older than what it runs on: its own warnings are no failures of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@frozen
class Site:
    """One RAMP database, with the folders of its event."""

    url: str
    folder: Path

    @property
    def event(self) -> RampEvent:
        return RampEvent(
            database=self.url, event=EVENT, logs=self.folder / "logs", predictions=self.folder / "predictions"
        )

    @property
    def config(self) -> dict[str, Any]:
        """As RAMP's `sqlalchemy:` section has it."""
        return make_url(self.url)._asdict()

    @property
    def submissions(self) -> Path:
        return self.folder / "submissions"

    @contextmanager
    def session(self) -> Iterator[Any]:
        engine = create_engine(self.url)
        with ramp(), Session(engine) as session:
            yield session
            session.commit()
        engine.dispose()

    def call(self, tool: str, *args: Any, **more: Any) -> Any:
        """One of ramp_database.tools's functions, by its module and name."""
        with ramp():
            import importlib

            module, _, name = tool.rpartition(".")
            function = getattr(importlib.import_module(f"ramp_database.tools.{module}"), name)
            with self.session() as session:
                return function(session, *args, **more)

    def submit(self, team: str, name: str, like: str = "good") -> int:
        """A new submission by a team; answers with its id."""
        with self.session() as session:
            from ramp_database.tools.submission import add_submission

            return int(add_submission(session, EVENT, team, name, str(SUBMISSIONS / like)).id)

    def state(self, submission: int, state: str) -> None:
        self.call("submission.set_submission_state", submission, state)

    def execute(self, statement: str, **values: Any) -> None:
        engine = create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(text(statement), values)
        engine.dispose()

    def row(self, submission: int) -> Mapping[str, Any]:
        return next(row for row in self.rows("submissions") if row["id"] == submission)

    def rows(self, table: str) -> Sequence[Mapping[str, Any]]:
        """A whole table as RAMP's own model reads it."""
        with self.session() as session:
            from ramp_database.model import Model

            found = session.execute(select(Model.metadata.tables[table]).order_by(text("id")))
            return [dict(row._mapping) for row in found]

    def delete(self, submission: int) -> None:
        with self.session() as session:
            from ramp_database.tools.submission import get_submission_by_id

            session.delete(get_submission_by_id(session, submission))


def build(url: str, folder: Path) -> Site:
    """An event on the iris kit with two teams, each with its starting kit, and nothing handed in yet."""
    site = Site(url, folder)
    _lay_out(folder)
    with ramp():
        from ramp_database.testing import setup_files_extension_type
        from ramp_database.tools.event import add_event, add_problem
        from ramp_database.tools.team import sign_up_team
        from ramp_database.tools.user import add_user, approve_user
        from ramp_database.utils import setup_db

        engine, _ = setup_db(site.config)
        engine.dispose()
        kit = str(folder / "kit")
        with site.session() as session:
            setup_files_extension_type(session)
            add_problem(session, "iris", kit, kit)
            event = add_event(session, "iris", EVENT, "Iris", SANDBOX, str(site.submissions), is_public=True)
            event.min_duration_between_submissions = 0
            for name in ("alpha", "beta"):
                add_user(session, name=name, password="p", lastname=name, firstname="A", email=f"{name}@example.org",
                         access_level="user")  # fmt: skip
                approve_user(session, name)
                sign_up_team(session, EVENT, name)
    return site


def moved(url: str, old: Site, folder: Path) -> Site:
    """A copy of a site whose database has been copied to `url`."""
    site = Site(url, folder)
    shutil.copytree(old.folder, folder)
    site.execute("UPDATE problems SET path_ramp_kit = :kit, path_ramp_data = :kit", kit=str(folder / "kit"))
    site.execute("UPDATE events SET path_ramp_submissions = :at", at=str(site.submissions))
    return site


def _lay_out(folder: Path) -> None:
    (folder / "submissions").mkdir(parents=True)
    shutil.copytree(KIT, folder / "kit")
    shutil.copytree(SUBMISSIONS / "good", folder / "kit" / "submissions" / SANDBOX)  # which signing up hands in


def train(folder: Path, like: str) -> Path:
    """A folder of results as a real `ramp-test` leaves them: its log, and training_output."""
    submissions = folder / "submissions"
    shutil.copytree(SUBMISSIONS / like, submissions / "submission_000000001")
    done = subprocess.run(
        [Path(sys.executable).with_name("ramp-test"), "--submission", "submission_000000001", "--ramp-kit-dir", KIT,
         "--ramp-data-dir", KIT, "--ramp-submission-dir", submissions, "--save-output", "--ignore-warning"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    results = folder / "results"
    results.mkdir()
    (results / "log").write_bytes(done.stdout)
    shutil.copytree(submissions / "submission_000000001" / "training_output", results / "training_output")
    assert done.returncode == (1 if like == "raises" else 0), done.stdout.decode()
    return results


def tables(url: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Everything in a database, as it lies there."""
    engine = create_engine(url)
    metadata = MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        found = {
            name: [dict(row._mapping) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for name, table in sorted(metadata.tables.items())
        }
    engine.dispose()
    return found
