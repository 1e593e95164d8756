"""What a participant may read of a failure."""

from pathlib import Path

import pytest

from reconciler.rampdb.participants import MOST, cleaned, of_log, secrets

LOG = """\
\x1b[1mTesting Iris\x1b[0m at /srv/ramp/kits/iris
Traceback (most recent call last):
  File "/srv/ramp data/jobs/s1.1/work/estimator.py", line 12, in fit
    raise ValueError("no such file /etc/ramp/private/labels.csv: hunter22")
  File "/opt/env/lib/python3.11/site-packages/sklearn/base.py", line 3, in wrapper
ValueError: see https://example.org/a/b, postgresql://ramp:pa55@db/ramp, AKIAABCDEFGHIJKLMNOP\x00
"""


def test_it_begins_with_the_traceback_and_names_no_folder_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(LOG)
    assert of_log(tmp_path / "log", {"hunter22", "x"}).splitlines() == [
        "Traceback (most recent call last):",
        '  File "estimator.py", line 12, in fit',
        '    raise ValueError("no such file labels.csv: ***")',
        '  File "sklearn/base.py", line 3, in wrapper',
        "ValueError: see https://example.org/a/b, postgresql://ramp:***@db/ramp, ***?",
    ]


def test_a_log_without_a_traceback_shows_its_end(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("start\n" * 5000 + "Killed\n")
    shown = of_log(tmp_path / "log", ())
    assert shown.endswith("start\nKilled")
    assert len(shown) < 10_000


def test_a_huge_traceback_is_cut(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("x\nTraceback\n" + "  deep\n" * 100_000)
    assert len(of_log(tmp_path / "log", ())) <= MOST


def test_no_log_is_no_words(tmp_path: Path) -> None:
    assert of_log(tmp_path / "log", ()) == ""


@pytest.mark.parametrize("text", ["1/2 of a/b", "and/or", "https://x.org/a/b?c=d", "a // b", "~/kit/x"])
def test_what_is_no_path_of_the_server_stays(text: str) -> None:
    assert cleaned(text, ()) == text


def test_what_is_secret() -> None:
    environ = {"LABELS": "of-the-pool", "RAMP_DB_PASSWORD": "of-the-server", "PATH": "/bin", "HOME": "/root"}
    found = secrets(environ, {"WHERE": "s3://${LABELS}/x", "PLAIN": "y"}, "postgresql://ramp:pw@host/ramp")
    assert found == {"of-the-pool", "of-the-server", "pw"}
