"""The same event trained by ramp-engine's dispatcher and by ours: the same rows, but for what is named here.

Both are started by the same command on the same kind of file, with the same `conda`, and train for themselves.

ramp-engine is not installed beside us: its `ramp-launch` has the name of ours. RECONCILER_RAMP_ENGINE names a folder
that holds it: `pip install --no-deps --target FOLDER ramp-engine==0.10.1`.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.rampdb.conftest import Another
from tests.rampdb.site import Site, ramp
from tests.rampdb.test_commands import Desk

ENGINE = os.environ.get("RECONCILER_RAMP_ENGINE", "")
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not ENGINE, reason="RECONCILER_RAMP_ENGINE names no folder with ramp-engine"),
]

WORK = (("alpha", "mine", "good"), ("beta", "yours", "better"), ("alpha", "broken", "raises"))
WORDS = ("dispatcher", "--config", "config.yml", "--event-config", "config.yml")
HANDED_IN = "2026-01-02 03:04:05"
PATIENCE = 280  # seconds for three trainings of iris, and the leaderboards

# Where the rows differ, and why.
DIFFERENT: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("submissions", "error_msg"): "ramp-engine shows folders of the server, and the whole log of a success",
        ("submissions", "max_ram"): "ramp-engine 0.10 never writes it",
        ("submission_on_cv_folds", "train_time"): "another training",
        ("submission_on_cv_folds", "valid_time"): "another training",
        ("submission_on_cv_folds", "test_time"): "another training",
        # The two sites are two sites.
        ("events", "path_ramp_submissions"): "two folders",
        ("problems", "path_ramp_kit"): "two folders",
        ("problems", "path_ramp_data"): "two folders",
    }
)
# Leaderboards → how many cells of a row show times of training and memory. They stand before the last.
MEASURED: Mapping[tuple[str, str], int] = MappingProxyType(
    {
        ("events", "private_leaderboard_html"): 4,
        ("events", "public_leaderboard_html_with_links"): 3,
        ("events", "public_leaderboard_html_no_links"): 3,
        ("events", "private_competition_leaderboard_html"): 3,
        ("events", "public_competition_leaderboard_html"): 2,
        ("event_teams", "leaderboard_html"): 3,
    }
)


def desk_of(site: Site, folder: Path) -> Desk:
    """An organiser on the site, with what is to be trained handed in, and a file that ramp-engine takes as well."""
    for team, name, like in WORK:
        site.submit(team, name, like)
    site.execute("UPDATE submissions SET submission_timestamp = :at", at=HANDED_IN)
    desk = Desk(site, folder)
    said = json.loads(desk.config.read_text())
    said["sqlalchemy"] = dict.fromkeys(("username", "password", "host", "port")) | said["sqlalchemy"]  # all or none
    desk.config.write_text(json.dumps(said))
    return desk


def by_engine(desk: Desk) -> None:
    """ramp-engine's own `ramp-launch dispatcher`, which is not in PATH beside ours."""
    environ = os.environ | {"PATH": f"{desk.folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": ENGINE}
    done = subprocess.run(
        [sys.executable, "-m", "ramp_engine.cli", *WORDS], cwd=desk.folder, env=environ, capture_output=True,
        text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def by_us(desk: Desk) -> None:
    """Ours: queue, loop, hosts, workload and sink, with a database of its own."""
    process = desk.start("ramp-launch", *WORDS)
    try:
        assert process.wait(PATIENCE) == 0, desk.said
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("another", ["postgresql"], indirect=True)
def test_both_write_the_same_rows(another: Another, tmp_path: Path) -> None:
    theirs, ours = another("theirs"), another("ours")
    by_engine(desk_of(theirs, tmp_path / "their-desk"))
    by_us(desk_of(ours, tmp_path / "our-desk"))
    with ramp():
        from ramp_database.model import Model
    differ = {
        (name, column)
        for name in Model.metadata.tables
        for left, right in zip(theirs.rows(name), ours.rows(name), strict=True)
        for column in left
        if not same(left[column], right[column], measured=MEASURED.get((name, column), 0))
    }
    assert differ == DIFFERENT.keys(), {each: _both(theirs, ours, *each) for each in differ ^ DIFFERENT.keys()}
    boards = [
        _without(row[column] or "", count) for (name, column), count in MEASURED.items() for row in ours.rows(name)
    ]
    assert all(any("mine" in cell or "yours" in cell for cell in board[-1]) for board in boards)
    ended = {row["name"]: row for row in ours.rows("submissions")}
    assert [ended[name]["state"] for _, name, _ in WORK] == ["scored", "scored", "training_error"]
    their_words, our_words = next(pair for pair in _both(theirs, ours, "submissions", "error_msg") if pair[1])
    assert (our_words.splitlines()[0], our_words.splitlines()[-1]) == (
        their_words.splitlines()[0], their_words.strip().splitlines()[-1]
    )  # fmt: skip
    assert _layout(ours.folder / "predictions") == _layout(theirs.folder / "predictions")
    assert _layout(ours.folder / "logs") == _layout(theirs.folder / "logs")


def same(left: Any, right: Any, *, measured: int = 0) -> bool:
    """Whether two values say the same; pandas reads the last bit of a number otherwise than Python does."""
    if measured and left and right:
        return _without(left, measured) == _without(right, measured)
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


def _without(board: str, measured: int) -> list[list[str]]:
    """A leaderboard's cells, without those of a row that no two trainings have in common."""
    rows = [re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in board.split("<tr")[1:]]
    return [row[: -1 - measured] + row[-1:] for row in rows]


def _layout(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
