"""The same event by ramp-engine's own dispatcher and by us: the same rows, but for differences that are named here.

ramp-engine is not installed beside us: its `ramp-launch` has the name of ours. RECONCILER_RAMP_ENGINE names a folder
that holds it: `pip install --no-deps --target FOLDER ramp-engine==0.10.1`.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from reconciler.model.snapshot import Done
from reconciler.sinks.ramp_database import RampSink
from tests.rampdb.conftest import Another
from tests.rampdb.news_cases import Story
from tests.rampdb.site import EVENT, SANDBOX, Site, ramp

ENGINE = os.environ.get("RECONCILER_RAMP_ENGINE", "")
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not ENGINE, reason="RECONCILER_RAMP_ENGINE names no folder with ramp-engine"),
]

WORK = (("alpha", "mine", "good"), ("beta", "yours", "better"), ("alpha", "broken", "raises"))

# Where the rows differ, and why.
DIFFERENT: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("submissions", "error_msg"): "ramp-engine shows folders of the server, and the whole log of a success",
        ("submissions", "max_ram"): "ramp-engine 0.10 never writes it",
        ("submission_on_cv_folds", "train_time"): "another training",
        ("submission_on_cv_folds", "valid_time"): "another training",
        ("submission_on_cv_folds", "test_time"): "another training",
        # Both show training times, and the memory.
        ("events", "private_leaderboard_html"): "times",
        ("events", "public_leaderboard_html_with_links"): "times",
        ("events", "public_leaderboard_html_no_links"): "times",
        ("events", "private_competition_leaderboard_html"): "times",
        ("events", "public_competition_leaderboard_html"): "times",
        ("event_teams", "leaderboard_html"): "times",
        # The two sites are two sites.
        ("events", "path_ramp_submissions"): "two folders",
        ("problems", "path_ramp_kit"): "two folders",
        ("problems", "path_ramp_data"): "two folders",
        ("events", "failed_leaderboard_html"): "shows when it was handed in",
        ("event_teams", "failed_leaderboard_html"): "shows when it was handed in",
    }
)


def by_engine(site: Site, folder: Path) -> None:
    """ramp-engine, as an organiser starts it, with a `conda` that knows one environment: this one."""
    conda = folder / "bin" / "conda"
    conda.parent.mkdir(parents=True)
    conda.write_text(f"#!/bin/sh\necho '{json.dumps({'envs': [sys.prefix]})}'\n")
    conda.chmod(0o755)
    config = folder / "config.yml"
    config.write_text(
        json.dumps(
            {
                "sqlalchemy": {key: dict(value) if key == "query" else value for key, value in site.config.items()},
                "ramp": {
                    "problem_name": "iris",
                    "event_name": EVENT,
                    "event_title": "Iris",
                    "event_is_public": True,
                    "kit_dir": str(site.folder / "kit"),
                    "data_dir": str(site.folder / "kit"),
                    "sandbox_dir": SANDBOX,
                    "submissions_dir": str(site.submissions),
                    "logs_dir": str(site.folder / "logs"),
                    "predictions_dir": str(site.folder / "predictions"),
                },
                "worker": {"worker_type": "conda", "conda_env": "base"},
            }
        )
    )  # fmt: skip  (YAML is a superset of JSON)
    environ = os.environ | {"PATH": f"{conda.parent}:{os.environ['PATH']}", "PYTHONPATH": ENGINE}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("run_engine.py"), config],
        cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def by_us(site: Site, ids: Mapping[int, str], results: Callable[[str], Path]) -> None:
    sink = RampSink.open(site.event, environ={})
    for event in ("queued", "placed", "started", "over", "end"):
        told = []
        for at, like in ids.items():
            failed = like == "raises"
            story = Story(at, ours=f"s{at}")
            if event == "end":
                name, more = ("failed", {"reason": "exit code"}) if failed else ("succeeded", {})
                told.append(story.news(name, 1, results(like), **more))
            elif not (event == "over" and failed):
                more = {"state": "collecting"} if event == "over" else {}
                told.append(story.news(event, 0 if event == "queued" else 1, **more))
        assert asyncio.run(sink.deliver(told)) == [Done()] * len(told)


@pytest.mark.parametrize("another", ["postgresql"], indirect=True)
def test_both_write_the_same_rows(another: Another, results: Callable[[str], Path], tmp_path: Path) -> None:
    theirs, ours = another("theirs"), another("ours")
    ids = {theirs.submit(team, name, like): like for team, name, like in WORK}
    assert {ours.submit(team, name, like): like for team, name, like in WORK} == ids
    by_engine(theirs, tmp_path / "engine")
    by_us(ours, ids, results)
    with ramp():
        from ramp_database.model import Model
    differ = {
        (name, column)
        for name in Model.metadata.tables
        for left, right in zip(theirs.rows(name), ours.rows(name), strict=True)
        for column in left
        if not same(left[column], right[column])
    }
    assert differ == DIFFERENT.keys(), {each: _both(theirs, ours, *each) for each in differ ^ DIFFERENT.keys()}
    assert {row["state"] for row in ours.rows("submissions")} == {"new", "scored", "training_error"}
    assert _layout(ours.folder / "predictions") == _layout(theirs.folder / "predictions")
    assert _layout(ours.folder / "logs") == _layout(theirs.folder / "logs")


def same(left: Any, right: Any) -> bool:
    """Whether two values say the same; pandas reads the last bit of a number otherwise than Python does."""
    if isinstance(left, float) or hasattr(left, "dtype"):
        with ramp():
            import numpy as np

            if right is None or getattr(left, "shape", None) == ():  # how RAMP keeps no array: an array of None
                return repr(left) == repr(right)
            return bool(np.allclose(left, right, rtol=1e-14, atol=0, equal_nan=True))
    if isinstance(left, bytes | datetime):
        return isinstance(right, bytes | datetime)  # a salted password; a time of day
    return bool(left == right)


def _both(theirs: Site, ours: Site, table: str, column: str) -> list[tuple[Any, Any]]:
    return [(left[column], right[column]) for left, right in zip(theirs.rows(table), ours.rows(table), strict=True)]


def _layout(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
