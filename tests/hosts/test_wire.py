"""The agent's words: read strictly, because a report that is half understood could end a job that lives."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.hosts.base import UnreachableError
from reconciler.hosts.wire import parse_job, parse_lines, parse_report
from reconciler.model.job import Cause, JobReport, JobState, Notice, Watch

HEADER = "agent v1 boot 12.34 0,a=running none none"


def test_a_whole_report_is_read() -> None:
    report = parse_report(f"{HEADER}\na running - - 100 - 2048\nb killed timeout - 1 2 -\nend 2\n".encode())
    assert (report.agent, report.boot_id, report.uptime, report.mark) == ("v1", "boot", 12.34, "0,a=running")
    running = JobReport(job="a", state=JobState.RUNNING, started=datetime.fromtimestamp(100, UTC), peak_memory=2.0)
    assert report.jobs["a"] == running
    assert report.jobs["b"].cause is Cause.TIMEOUT


@pytest.mark.parametrize("notice", Notice)
@pytest.mark.parametrize("watch", Watch)
def test_what_the_machine_does_for_itself_is_read(notice: Notice, watch: Watch) -> None:
    report = parse_report(f"agent v1 boot 1.00 m {notice} {watch}\nend 0\n".encode())
    assert (report.notice, report.watch) == (notice, watch)


def test_a_machine_without_the_agent_says_so() -> None:
    report = parse_report(b"none boot 5.00\n")
    assert (report.agent, report.boot_id, report.jobs) == ("", "boot", {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{HEADER}\n",
        f"{HEADER}\nend 1\n",
        f"{HEADER}\nend 0",
        f"Last login: today\n{HEADER}\nend 0\n",
        f"{HEADER}\na running - - - -\nend 1\n",
        f"{HEADER}\na running - - - - -\na running - - - - -\nend 2\n",
        f"{HEADER}\na running - - - - -\n\nend 1\n",
        f"{HEADER}\nend 0\nend 0\n",
        "agent v1 boot soon 0 none none\nend 0\n",
        "agent v1 boot 1.00 0\nend 0\n",
        "agent v1 boot 1.00 0 none\nend 0\n",
        "agent v1 boot 1.00 0 none none none\nend 0\n",
        "agent v1 boot 1.00 0 doom none\nend 0\n",
        "agent v1 boot 1.00 0 none eviction\nend 0\n",
        "agent v1 boot 1.00 0 none \nend 0\n",
        "none boot 5.00\nmore\n",
        "none boot 5.00",
    ],
)
def test_anything_else_is_no_answer(text: str) -> None:
    with pytest.raises(UnreachableError):
        parse_report(text.encode())


@pytest.mark.parametrize(
    "line",
    [
        "a asleep - - - - -",
        "a exited - x 1 2 3",
        "a exited - - 1 2 3",
        "a running - 0 1 - 3",
        "a killed bored - 1 2 3",
        "a/b running - - - - -",
        "a running - - 99999999999999999999 - -",
        "a running - - - - - -",
    ],
)
def test_a_line_that_makes_no_sense_is_no_answer(line: str) -> None:
    with pytest.raises(UnreachableError):
        parse_job(line)


@given(st.binary(max_size=80))
def test_no_bytes_at_all_raise_anything_else(data: bytes) -> None:
    with pytest.raises(UnreachableError):
        parse_report(data)
    with pytest.raises(UnreachableError):
        parse_lines(data, ["a"])


ENDED = b"a exited - 0 1 2 -\n"
RUNS = b"b running - - 1 - -\n"


def test_the_lines_of_several_jobs_are_in_the_order_asked_for() -> None:
    assert [report.job for report in parse_lines(ENDED + RUNS, ["a", "b"])] == ["a", "b"]


@pytest.mark.parametrize("answer", [RUNS + ENDED, ENDED, ENDED + RUNS + ENDED, ENDED + RUNS[:-1], ENDED + ENDED])
def test_lines_of_other_jobs_are_no_answer(answer: bytes) -> None:
    with pytest.raises(UnreachableError):
        parse_lines(answer, ["a", "b"])
