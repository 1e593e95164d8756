"""What a participant is told of a failure, and what not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.participant import participant_error

WORK = "/srv/machines/m 1/.reconciler/jobs/s1.1/work"
LOG = f"""Testing Iris classification
reading /srv/machines/m 1/kit/data
Traceback (most recent call last):
  File "/srv/machines/m 1/env/bin/ramp-test", line 8, in <module>
    sys.exit(start())
             ^^^^^^^
  File "/srv/machines/m 1/env/lib/python3.11/site-packages/rampwf/workflows/estimator.py", line 51, in train
  File "{WORK}/.ramp/kit/problem.py", line 3, in get_cv
  File "/srv/machines/m 1/ramp-kits/iris/problem.py", line 4, in get_cv
  File "{WORK}/.ramp/submissions/good/estimator.py", line 9, in fit
  File "{WORK}/.ramp/kit/submissions/good/estimator.py", line 9, in fit
  File "{WORK}/other.py", line 1, in other
  File "/usr/lib/python3.11/json/decoder.py", line 1, in decode
FileNotFoundError: [Errno 2] No such file or directory: '{WORK}'
"""
TOLD = """Traceback (most recent call last):
  File "~/env/bin/ramp-test", line 8, in <module>
    sys.exit(start())
             ^^^^^^^
  File "…/site-packages/rampwf/workflows/estimator.py", line 51, in train
  File "<kit>/problem.py", line 3, in get_cv
  File "<kit>/problem.py", line 4, in get_cv
  File "<submission>/estimator.py", line 9, in fit
  File "<submission>/estimator.py", line 9, in fit
  File "<submission>/other.py", line 1, in other
  File "…/decoder.py", line 1, in decode
FileNotFoundError: [Errno 2] No such file or directory: '<submission>'"""


def test_it_begins_with_the_first_traceback_and_names_no_place_of_the_server() -> None:
    assert participant_error(LOG, kit="~/ramp-kits/iris") == TOLD


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("/home/ubuntu/ramp-kits/iris/problem.py", "~/ramp-kits/iris/problem.py"),
        ("/root/x.py and /Users/ann/x.py", "~/x.py and ~/x.py"),
        ("'/home/ubuntu'", "'~'"),
        ("/data/kits/iris/problem.py", "<kit>/problem.py"),
        ("/data/kits/iris2/problem.py", "…/problem.py"),
        ("/opt/conda/envs/iris/lib/python3.11/site-packages/a/b.py", "…/site-packages/a/b.py"),
        ("km/h, 1/2/3, https://example.org/a/b, x.T/y.T/z", "km/h, 1/2/3, https://example.org/a/b, x.T/y.T/z"),
        ("/etc/ramp/config.yml", "…/config.yml"),
    ],
)  # fmt: skip
def test_paths(said: str, told: str) -> None:
    assert participant_error(f"Traceback\n{said}\n", kit="/data/kits/iris/") == f"Traceback\n{told}"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("key AKIAIOSFODNN7EXAMPLE.", "key ***."),
        ("postgresql+psycopg://ramp:hunter2@db/ramp", "postgresql+psycopg://***@db/ramp"),
        ("Authorization: Bearer abc.def-123456", "Authorization: Bearer ***"),
        ("AWS_SECRET_ACCESS_KEY=wJalr/XUt+nFEMI done", "AWS_SECRET_ACCESS_KEY=*** done"),
        ("{'DB_PASSWORD': 'hunter 2', 'HOME': 'x'}", "{'DB_PASSWORD': ***, 'HOME': 'x'}"),
        ("api_key = abc; next", "api_key = ***; next"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nend", "***\nend"),
        ("-----BEGIN PRIVATE KEY-----\nabc", "***"),
        ("tokens are words, a tokenizer too", "tokens are words, a tokenizer too"),
        ("told swordfish and swordfishes", "told *** and ***es"),
    ],
)
def test_secrets(said: str, told: str) -> None:
    assert participant_error(f"Traceback\n{said}", secrets=["swordfish", " ", ""]) == f"Traceback\n{told}"


def test_a_log_without_a_traceback_tells_nothing() -> None:
    assert participant_error("") == participant_error("Killed\n/home/ubuntu\n") == ""


def test_of_a_long_one_the_beginning_and_the_end_stay() -> None:
    lines = [f"  line {number}" for number in range(200_000)]
    told = participant_error("\n".join(["before", "Traceback (most recent call last):", *lines, "ValueError: boom"]))
    assert len(told) <= 10_000
    assert told.startswith("Traceback (most recent call last):\n  line 0\n")
    assert "\n[…]\n" in told
    assert told.endswith("\n  line 199999\nValueError: boom")


def test_a_terminal_has_nothing_to_obey() -> None:
    told = participant_error(
        "\x1b[31mTraceback\x1b[0m\n  \x1b[1m  File\x1b[0m\r\n\x1b]0;title\x07Error\x07: \u202eno\n"
    )
    assert told == "Traceback\n  File\nError?: ?no"


@given(st.text(alphabet=st.one_of(st.sampled_from("/~ \n\r\"'.:=\x1b[a-secrt"), st.characters())), st.text(max_size=9))
def test_whatever_the_log_says_it_is_bounded_and_printable(text: str, kit: str) -> None:
    told = participant_error(f"Traceback{text}", kit=kit, most=200)
    assert len(told) <= 200
    assert all(char.isprintable() or char == "\n" for char in told)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece", ["/a", "/", "a.", "secret", "~/", "/home/", "://x", "'", "-----BEGIN PRIVATE KEY", "\n"]
)
def test_no_log_takes_long(piece: str) -> None:
    participant_error("Traceback" + piece * 300_000, kit="~/kit")
