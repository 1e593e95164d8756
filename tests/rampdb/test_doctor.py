"""`doctor` on an event of a real RAMP database: what a run will need, each with what to do, and nothing is changed."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import define, evolve
from sqlalchemy import make_url

from reconciler.cli.checks import OK, PROBLEM, UNKNOWN, Found
from reconciler.cli.ramp_checks import of_event
from reconciler.spec.values import RampEvent
from tests.rampdb.site import EVENT, Site, tables

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]

NAME = f"ramp/{EVENT}"
CONFIG = """\
controller: tests
pools: pools/
results: results/
ramp:
  - {{database: "{url}", event: {event}, pool: cpu, logs: {logs}, predictions: {predictions}}}
"""
POOL = "pool: cpu\ncloud: {local: {}}\nsize: {m: 0..2}\nworkload: {ramp: {kit: /kit}}\n"


def found(event: RampEvent) -> dict[str, Found]:
    """What the checks come to, by what they look at."""
    return {each.check.removeprefix(f"{NAME}: "): each for each in of_event(NAME, event)}


def results(event: RampEvent) -> dict[str, str]:
    return {check: each.result for check, each in found(event).items()}


ALL = ("database", "writing", "submissions", "leaderboards", "logs", "predictions")


def test_an_event_that_is_as_it_should_be(site: Site) -> None:
    site.submit("alpha", "mine")
    before = tables(site.url)
    seen = found(site.event)
    assert {check: each.result for check, each in seen.items()} == dict.fromkeys(ALL, OK)
    assert seen["database"].text.endswith(f": event {EVENT}, 1 new")
    assert seen["submissions"].text == str(site.submissions)
    assert tables(site.url) == before
    assert not (site.folder / "logs").exists()


def test_the_command_asks_every_event(site: Site, tmp_path: Path) -> None:
    (tmp_path / "pools").mkdir()
    (tmp_path / "pools" / "cpu.yml").write_text(POOL)
    said = CONFIG.format(url=site.url, event=EVENT, logs=site.folder / "logs", predictions=site.folder / "predictions")
    (tmp_path / "config.yml").write_text(said)
    shutil.rmtree(site.submissions)
    command = [sys.executable, "-m", "reconciler", "doctor", "--config", "config.yml"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 1, told.stdout + told.stderr
    lines = {line.split("  ")[0].strip(): line for line in told.stdout.splitlines()}
    assert " ok " in lines[f"{NAME}: database"]
    assert " problem " in lines[f"{NAME}: submissions"]
    assert not (tmp_path / "reconciler.db").exists()


def test_an_event_that_is_not_there_is_a_problem_of_the_file(site: Site) -> None:
    seen = found(evolve(site.event, event="iris_other"))
    assert list(seen) == ["database", "logs", "predictions"]
    assert (seen["database"].result, seen["database"].usage) == (PROBLEM, True)
    assert "has no event iris_other; it has iris_test" in seen["database"].text


def test_another_programs_database(database_url: str, tmp_path: Path) -> None:
    site = Site(database_url, tmp_path)
    site.execute("CREATE TABLE events (id INTEGER)")
    seen = found(site.event)["database"]
    assert (seen.result, seen.usage) == (PROBLEM, True)
    assert "is not a database of ramp-database 0.10" in seen.text


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    seen = found(Site(f"sqlite:///{tmp_path}/ramp.db", tmp_path).event)["database"]
    assert (seen.result, seen.usage) == (PROBLEM, True)
    assert not (tmp_path / "ramp.db").exists()


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    seen = found(Site("postgresql+psycopg://ramp:hunter22@127.0.0.1:9/ramp", tmp_path).event)["database"]
    assert (seen.result, seen.usage) == (PROBLEM, False)
    assert "cannot be reached" in seen.text
    assert "hunter22" not in seen.text


def test_folders_that_are_not_there_or_no_folders(site: Site) -> None:
    shutil.rmtree(site.submissions)
    (site.folder / "kit" / "problem.py").unlink()
    (site.folder / "logs").write_text("a file\n")
    seen = found(site.event)
    wrong = {check: each.text for check, each in seen.items() if each.result == PROBLEM}
    assert set(wrong) == {"submissions", "leaderboards", "logs"}
    assert wrong["submissions"].startswith(f"{site.submissions} is not there")
    assert wrong["leaderboards"].startswith(f"{site.folder}/kit/problem.py is not there")


@define
class Clerk:
    """A role that may not do everything, as which the checks are made."""

    site: Site
    name: str

    @property
    def event(self) -> RampEvent:
        url = make_url(self.site.url).set(username=self.name, password="p")
        return evolve(self.site.event, database=url.render_as_string(hide_password=False))


@contextmanager
def clerk(site: Site, *grants: str) -> Iterator[Clerk]:
    """Takes a role back with all that it was granted."""
    name = f"clerk_{make_url(site.url).database}"
    site.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'p'")
    try:
        for grant in grants:
            site.execute(f"GRANT {grant} TO {name}")
        yield Clerk(site, name)
    finally:
        site.execute(f"DROP OWNED BY {name}")
        site.execute(f"DROP ROLE {name}")


@pytest.mark.parametrize("another", ["postgresql"], indirect=True)
def test_a_role_that_may_not_read_could_not_check(site: Site) -> None:
    with clerk(site) as clerk_:
        seen = found(clerk_.event)
    assert seen["database"].result == UNKNOWN
    assert {check: each.result for check, each in seen.items() if check != "database"} == {
        "logs": OK,
        "predictions": OK,
    }


@pytest.mark.parametrize("another", ["postgresql"], indirect=True)
def test_a_role_that_may_not_write_is_told_where(site: Site) -> None:
    with clerk(site, "SELECT ON ALL TABLES IN SCHEMA public", "UPDATE ON submissions, events") as clerk_:
        seen = found(clerk_.event)
    assert (seen["database"].result, seen["writing"].result) == (OK, PROBLEM)
    assert seen["writing"].text.startswith(
        "submission_on_cv_folds, submission_score_on_cv_folds, submission_scores cannot be written"
    )


def test_a_user_who_may_not_look_could_not_check(tmp_path: Path) -> None:
    if subprocess.run([sys.executable, "-c", "import reconciler"], user=1000, cwd="/", check=False).returncode:
        pytest.skip(f"another user cannot run {sys.executable}")
    (tmp_path / "closed").mkdir(mode=0o700)
    script = (
        "import sys; from pathlib import Path; from reconciler.cli.ramp_checks import of_event\n"
        "from reconciler.spec.values import RampEvent\n"
        "event = RampEvent(database=sys.argv[1], event='x', logs=Path(sys.argv[2]), predictions=Path('/'))\n"
        "print(*(f'{each.check}: {each.result}' for each in of_event('ramp/x', event)), sep='\\n')\n"
    )
    words = [sys.executable, "-c", script, "postgresql+psycopg://127.0.0.1:9/x", str(tmp_path / "closed" / "logs")]
    told = subprocess.run(words, user=1000, cwd="/", capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == [
        f"ramp/x: database: {PROBLEM}",
        f"ramp/x: logs: {UNKNOWN}",
        f"ramp/x: predictions: {PROBLEM}",
    ]
