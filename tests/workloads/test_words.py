"""The one line that says why a program failed."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.printable import printable
from reconciler.workloads.words import NO_TEXT, last_words, telling_line

TRACEBACK = """Traceback (most recent call last):
  File "run.py", line 3, in <module>
    train()
    ^^^^^^^
  File "run.py", line 2, in train
    raise ValueError("boom")
ValueError: boom
"""


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("", ""),
        ("\n \n---\n", ""),
        ("one\ntwo\n\n", "two"),
        ("epoch 1\repoch 2\r", "epoch 2"),
        ("sh: 1: nosuch: not found\n-----\n", "sh: 1: nosuch: not found"),
        (TRACEBACK, "ValueError: boom"),
        (TRACEBACK + "make: *** [train] Error 1\n", "ValueError: boom"),
        (TRACEBACK + "in a message of two lines\n", "ValueError: boom"),
        (TRACEBACK + "\nDuring handling of the above:\n\n" + TRACEBACK.replace("boom", "bang"), "ValueError: bang"),
        ('  File "x.py", line 1\n    def (:\n        ^\nSyntaxError: invalid syntax\n', "SyntaxError: invalid syntax"),
        ('cut off\n  File "x.py", line 1', 'File "x.py", line 1'),
        ("\x1b[31m\x1b[1mfailed:\x1b[0m \x1b]0;title\x07no \x07bell\tleft\n", "failed: no ?bell left"),
        ("why\n\x1b[2J\x1b[1;1H\n", "why"),
        ("right\u202eto left\u2066", "right?to left?"),
    ],
)  # fmt: skip
def test_the_line_that_tells(log: str, line: str) -> None:
    assert telling_line(log) == line


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(10 * 1024**3)
        file.seek(0, 2)
        file.write("\nthe end é\n".encode()[:-2] + b"\xff\n")
    assert last_words(log) == "the end \ufffd\ufffd"


@pytest.mark.parametrize("seed", range(20))
def test_bytes_that_are_no_text_are_not_shown(tmp_path: Path, seed: int) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"begun\n" + random.Random(seed).randbytes(5000))
    assert last_words(log) == NO_TEXT
    log.write_bytes(random.Random(seed).randbytes(5000) + b"\n" + TRACEBACK.encode())
    assert last_words(log) == "ValueError: boom"


def test_no_log_has_no_words(tmp_path: Path) -> None:
    assert last_words(tmp_path / "log") == ""
    assert last_words(tmp_path) == ""


@given(st.text(alphabet=st.one_of(st.sampled_from("\x1b\x9b[]0;m\x07\\\r\n\t \x00"), st.characters())))
def test_nothing_printable_obeys(text: str) -> None:
    line = printable(text, 40)
    assert line.isprintable()
    assert len(line) <= 40
    assert "\x1b" not in line


@given(st.text())
def test_what_is_printable_stays(text: str) -> None:
    line = printable(text, 10_000)
    assert printable(line, 10_000) == " ".join(line.split())
