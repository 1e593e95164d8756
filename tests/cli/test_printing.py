"""Other people's text cannot steer a terminal, and durations read as people say them."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from reconciler.cli.printing import LogText, columns_of, lasting, plain, plain_lines, table, when

NOW = 1_800_000_000.0


def is_harmless(text: str) -> bool:
    return all(char.isprintable() or char in "\n\t" for char in text)


@given(st.text())
def test_a_line_stays_one_line_without_control_characters(text: str) -> None:
    assert plain(text).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("good", "good"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x9b31m", "\\x9b31m"),  # a terminal obeys the one-byte form too
        ("abc\u202edef", "abc\\u202edef"),  # turns the reading direction
        ("\ud800", "\\ud800"),
        ("größer ✓", "größer ✓"),
    ],
)
def test_what_a_terminal_would_obey_is_made_visible(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_a_log_reads_the_same_however_it_comes_in_pieces(pieces: list[bytes]) -> None:
    text = LogText()
    shown = "".join([*(text.feed(piece) for piece in pieces), text.feed(b"", last=True)])
    assert is_harmless(shown)
    assert shown == plain_lines(b"".join(pieces).decode("utf-8", errors="replace"))


def test_a_progress_bar_becomes_lines() -> None:
    text = LogText()
    assert text.feed(b"10%\r20%\r") + text.feed(b"\ndone\r\n") + text.feed(b"", last=True) == "10%\n20%\ndone\n"


def test_names_are_no_markup_in_tables() -> None:
    out = io.StringIO()
    made = table(("NAME",), [("[bold red]x[/] :smile: [link=https://x.example]y[/link]",)])
    Console(file=out, force_terminal=True, width=100).print(made)
    assert "[bold red]x[/] :smile: [link=https://x.example]y[/link]" in out.getvalue()


def test_a_narrow_table_folds_and_loses_nothing() -> None:
    out = io.StringIO()
    made = table(("NAME", "WHAT"), [("good", "w" * 100)], fold=("WHAT",))
    Console(file=out, width=80).print(made)
    assert max(map(len, out.getvalue().splitlines())) <= 80
    assert out.getvalue().count("w") == 100


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (-5, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (7500, "2h5m"), (90000, "1d1h")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert lasting(seconds) == shown


def test_times_ahead_and_behind() -> None:
    assert when(NOW + 90, NOW).startswith("in 1m (")
    assert when(NOW - 7200, NOW).startswith("2h ago (")


def test_labels_are_aligned() -> None:
    assert list(columns_of([("a", 1), ("long", "x")])) == ["a     1", "long  x"]
