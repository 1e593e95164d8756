"""RAMP's commands and ours on RAMP's own files and database, as an organiser types them; read back by RAMP's tools."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.rampdb.conftest import Another
from tests.rampdb.site import EVENT, SANDBOX, SUBMISSIONS, Site

pytestmark = [pytest.mark.real, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]
PATIENCE = 150  # seconds for a few trainings of iris

# For what the kind of RAMP's database has no part in; test_queue and test_sink ask both kinds everything.
one_kind = pytest.mark.parametrize("another", ["postgresql"], indirect=True)


class Desk:
    """An organiser's folder: an event's file, a `conda` that knows one environment, and a shell."""

    def __init__(self, site: Site, folder: Path, *, event: str = EVENT, **more: Any) -> None:
        self.site = site
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        conda = folder / "bin" / "conda"
        conda.write_text(f"#!/bin/sh\necho '{json.dumps({'envs': [sys.prefix], 'root_prefix': sys.prefix})}'\n")
        conda.chmod(0o755)
        self.config = folder / "config.yml"
        said = {
            "sqlalchemy": _section(site),
            "ramp": {
                "problem_name": "iris", "event_name": event, "event_title": "Iris", "event_is_public": True,
                "kit_dir": str(site.folder / "kit"), "data_dir": str(site.folder / "kit"), "sandbox_dir": SANDBOX,
                "submissions_dir": str(site.submissions), "logs_dir": str(site.folder / "logs"),
                "predictions_dir": str(site.folder / "predictions"),
            },
            "worker": {"worker_type": "conda", "conda_env": "base"},
            "dispatcher": {"hunger_policy": "exit", "n_workers": 2},
            **more,
        }  # fmt: skip
        self.config.write_text(json.dumps(said))  # YAML is a superset of JSON

    def start(self, command: str, *words: str) -> subprocess.Popen[str]:
        environ = os.environ | {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        with (self.folder / "said").open("a") as said:
            return subprocess.Popen(
                [Path(sys.executable).with_name(command), *words], cwd=self.folder, env=environ, stdout=said,
                stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip

    def run(self, command: str, *words: str) -> int:
        process = self.start(command, *words)
        try:
            return process.wait(PATIENCE)
        finally:
            process.kill()

    def ask(self, *words: str) -> str:
        """What `reconcile` prints."""
        command = [Path(sys.executable).with_name("reconcile"), *words]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True).stdout

    @property
    def said(self) -> str:
        return (self.folder / "said").read_text()[-4000:]

    def states(self) -> dict[int, str]:
        rows = self.site.rows("submissions")
        return {row["id"]: row["state"] for row in rows if row["name"] != SANDBOX}

    def wait_for(self, what: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < give_up, self.said
            time.sleep(0.1)


def _section(site: Site) -> dict[str, Any]:
    """As an organiser writes it; a folder for a host is PostgreSQL's socket."""
    said = {key: value for key, value in site.config.items() if value and key != "query"}
    query = dict(site.config["query"])
    return {**said, **{key: query[key] for key in ("host", "port") if key in query}}


@pytest.fixture
def desk(site: Site, tmp_path: Path) -> Desk:
    return Desk(site, tmp_path / "desk")


def test_the_dispatcher_trains_what_is_new_and_writes_back_what_ramp_reads(site: Site, desk: Desk) -> None:
    good, bad = site.submit("alpha", "mine"), site.submit("beta", "broken", "raises")
    assert desk.run("ramp-launch", "dispatcher", "--config", "config.yml", "--event-config", "config.yml") == 0, (
        desk.said
    )
    assert desk.states() == {good: "scored", bad: "training_error"}
    scores = site.call("submission.get_scores", good)
    assert not scores.isna().to_numpy().any()
    assert len(site.call("submission.get_bagged_scores", good)) > 0
    assert site.row(bad)["error_msg"].startswith("Traceback")
    assert str(site.folder) not in site.row(bad)["error_msg"]
    assert "mine" in site.call("leaderboard.get_leaderboard", "public", EVENT)
    assert list((site.folder / "logs").rglob("*"))
    assert desk.run("reconcile", "--config", "config.yml", "--until-settled") == 0, desk.said
    assert desk.states() == {good: "scored", bad: "training_error"}


def test_killed_in_the_middle_it_goes_on_and_trains_nothing_twice(site: Site, desk: Desk) -> None:
    ids = [site.submit(team, name) for team, name in (("alpha", "one"), ("beta", "two"), ("alpha", "three"))]
    ledger, go = desk.folder / "ledger", desk.folder / "go"
    ledger.mkdir()
    for number in ids:
        code = site.submissions / f"submission_{number:09d}" / "estimator.py"
        note = (  # RAMP lets a submission open no file, so a run leaves a folder, and waits for one
            f"import os\nimport time\nfrom pathlib import Path\n"
            f"Path({str(ledger)!r}, f'{number}-{{os.getppid()}}').mkdir(exist_ok=True)\n"
            f"while not Path({str(go)!r}).exists():\n    time.sleep(0.1)\n"
        )
        code.write_text(note + code.read_text())
    words = ("dispatcher", "--config", "config.yml", "--event-config", "config.yml")
    first = desk.start("ramp-launch", *words)
    desk.wait_for(lambda: "training" in desk.states().values())
    first.send_signal(signal.SIGKILL)
    first.wait()
    go.mkdir()
    assert desk.run("ramp-launch", *words) == 0, desk.said
    assert desk.states() == dict.fromkeys(ids, "scored")
    trained = [run.name.partition("-")[0] for run in ledger.iterdir()]
    assert sorted(trained) == sorted(map(str, ids))  # by one process each


@one_kind
def test_one_that_is_set_to_new_runs_again_and_one_that_is_deleted_is_cancelled(site: Site, desk: Desk) -> None:
    again = site.submit("alpha", "again")
    assert desk.run("reconcile", "--config", "config.yml", "--until-settled") == 0, desk.said
    gone = site.submit("beta", "gone")
    code = site.submissions / f"submission_{gone:09d}" / "estimator.py"
    code.write_text("import time\ntime.sleep(300)\n" + code.read_text())
    site.state(again, "new")
    process = desk.start("reconcile", "--config", "config.yml", "--until-settled")
    try:
        desk.wait_for(lambda: desk.states().get(gone) == "training")
        site.delete(gone)
        assert process.wait(PATIENCE) == 0, desk.said
    finally:
        process.kill()
    assert desk.states() == {again: "scored"}
    told = json.loads(desk.ask("status", "--config", "config.yml", "--json"))
    assert sorted(row["state"] for row in told["submissions"]) == ["cancelled", "succeeded", "succeeded"]


@one_kind
def test_one_submission_by_its_id_and_by_its_name_says_how_it_went(site: Site, desk: Desk) -> None:
    good, bad, other = (
        site.submit("alpha", "mine"),
        site.submit("beta", "broken", "raises"),
        site.submit("beta", "other"),
    )
    assert desk.run("ramp_aws_train", "config.yml", str(good)) == 0, desk.said
    assert desk.run("ramp_aws_train", "config.yml", f"--event={EVENT}", "--team=beta", "--name=broken") == 1, desk.said
    assert desk.states() == {good: "scored", bad: "training_error", other: "new"}
    assert desk.run("ramp_aws_train", "config.yml", "999") == 2
    assert "no submission 999" in desk.said


@one_kind
def test_hooks_are_told_what_ramp_told_them(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "heard"
    desk = Desk(site, tmp_path / "desk", hooks={"successful_training": f"env | grep ^RAMP_AWS_ | sort > {out}"})
    number = site.submit("alpha", "mine")
    assert desk.run("reconcile", "--config", "config.yml", "--until-settled") == 0, desk.said
    assert out.read_text().splitlines() == [
        f"RAMP_AWS_EVENT={EVENT}",
        "RAMP_AWS_HOOK=successful_training",
        f"RAMP_AWS_SUBMISSION_FOLDER={site.submissions}/submission_{number:09d}",
        f"RAMP_AWS_SUBMISSION_ID={number}",
        "RAMP_AWS_SUBMISSION_NAME=mine",
        "RAMP_AWS_TEAM=alpha",
    ]


def test_two_events_with_a_database_each_are_served_by_one_process(another: Another, tmp_path: Path) -> None:
    one, two = another("one"), another("two")
    two.execute("UPDATE events SET name = 'flowers'")
    first, second = Desk(one, tmp_path / "one-desk"), Desk(two, tmp_path / "two-desk", event="flowers")
    good = one.submit("alpha", "mine")
    with two.session() as session:
        from ramp_database.tools.submission import add_submission

        bad = int(add_submission(session, "flowers", "beta", "broken", str(SUBMISSIONS / "raises")).id)
    words = ("--config", "config.yml", "--config", str(second.config), "--until-settled")
    assert first.run("reconcile", *words) == 0, first.said
    assert first.states() == {good: "scored"}
    assert second.states() == {bad: "training_error"}
    assert {(first.folder / "reconciler.db").exists(), (second.folder / "reconciler.db").exists()} == {True}
