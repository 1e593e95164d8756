"""Hooks are real commands here: what they are told, how they end, and that nothing of them is left."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.offer import Fault
from reconciler.model.snapshot import Done, Failed
from reconciler.sinks.hooks import HookSink, environment, safe_name
from reconciler.spec.values import Hook
from tests.sinks.news_cases import news

Make = Callable[..., HookSink]
PATIENCE = 20.0  # seconds that a test waits for what must come


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(command: str, limit: float = 60.0, **environ: str) -> HookSink:
        hook = Hook(command=command, limit=limit)
        path = os.environ["PATH"]
        return HookSink(
            hook, logs=tmp_path / "logs", folder=tmp_path, controller="c", environ={"PATH": path, **environ}
        )

    return make  # fmt: skip


def tell(sink: HookSink, **more: Any) -> Done | Failed:
    (answer,) = asyncio.run(sink.deliver([news(**more)]))
    return answer


def output(tmp_path: Path) -> bytes:
    return (tmp_path / "logs" / "s1_failed.log").read_bytes()


def gone(pid: int) -> bool:
    """Whether a process is over; one that nobody has waited for yet is."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def comes(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def test_what_a_hook_is_told(make: Make, tmp_path: Path) -> None:
    sink = make("env | grep ^RECONCILER_ | sort; echo $SECRET; pwd", SECRET="from outside")
    assert tell(sink, results=tmp_path / "results") == Done()
    assert output(tmp_path).decode().splitlines() == [
        "RECONCILER_ATTEMPT=2",
        "RECONCILER_ATTEMPT_ID=s1.2",
        "RECONCILER_CONTROLLER=c",
        "RECONCILER_EVENT=failed",
        "RECONCILER_EXIT_CODE=3",
        "RECONCILER_MESSAGE=exit code 3: ValueError: boom",
        "RECONCILER_POOL=iris",
        "RECONCILER_REASON=exit code",
        f"RECONCILER_RESULTS={tmp_path}/results",
        "RECONCILER_STATE=failed",
        "RECONCILER_SUBMISSION=good",
        "RECONCILER_SUBMISSION_ID=s1",
        "from outside",
        str(tmp_path),
    ]


def test_what_is_not_known_is_empty() -> None:
    told = environment(news(attempt=None, event="queued", message=""), "c")
    empty = {"ATTEMPT", "ATTEMPT_ID", "EXIT_CODE", "RESULTS", "MESSAGE"}
    assert {name.removeprefix("RECONCILER_") for name, value in told.items() if not value} == empty


@given(message=st.text(), reason=st.text())
def test_no_value_holds_what_an_environment_or_a_terminal_cannot_bear(message: str, reason: str) -> None:
    told = environment(news(message=message, reason=reason), "c")
    assert all(value.isprintable() and len(value) <= 1000 for value in told.values())


def test_a_value_is_never_taken_for_shell(make: Make, tmp_path: Path) -> None:
    message = "$(touch made) `touch made`; touch made"
    assert tell(make('printf %s "$RECONCILER_MESSAGE"'), message=message) == Done()
    assert output(tmp_path).decode() == message
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("command", "why"),
    [("echo out; echo err >&2; exit 3", "exit code 3"), ("kill -9 $$", "exit code 137"), ("no-such", "exit code 127")],
)
def test_a_hook_that_fails_is_told_with_the_place_of_its_output(
    make: Make, tmp_path: Path, command: str, why: str
) -> None:
    answer = tell(make(command))
    log = tmp_path / "logs" / "s1_failed.log"
    assert answer == Failed(fault=Fault.REFUSED, message=f"the hook failed: {why} (output: {log})")  # fmt: skip


def test_output_is_kept_of_the_last_run_and_up_to_a_limit(make: Make, tmp_path: Path) -> None:
    assert tell(make("echo first")) == Done()
    assert output(tmp_path) == b"first\n"
    assert tell(make("head -c 3000000 /dev/zero; echo the end >&2")) == Done()
    assert output(tmp_path) == bytes(1024 * 1024) + b"\n[the rest of the output is left out]\n"


def test_at_its_time_limit_the_whole_group_is_ended(make: Make, tmp_path: Path) -> None:
    answer = tell(make("sleep 1000 & echo $! $$; trap '' TERM; sleep 1000", limit=0.5))
    assert isinstance(answer, Failed)
    assert answer.message.startswith("the hook failed: it ran longer than 0.5 s (output: ")
    assert all(comes(lambda pid=pid: gone(int(pid))) for pid in output(tmp_path).split())


def test_what_a_hook_leaves_behind_is_ended_with_it(make: Make, tmp_path: Path) -> None:
    assert tell(make("sleep 1000 & echo $!")) == Done()
    assert comes(lambda: gone(int(output(tmp_path))))


def test_a_process_that_left_the_group_holds_nothing_up(make: Make, tmp_path: Path) -> None:
    left = "setsid sh -c 'echo $$ >pid.new; mv pid.new pid; exec sleep 1000' & while [ ! -e pid ]; do sleep 0.01; done"
    try:
        assert tell(make(left)) == Done()
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_reconciler_that_stops_takes_its_hook_along(make: Make, tmp_path: Path) -> None:
    async def stop() -> None:
        task = asyncio.create_task(make("echo $$ >pid.new; mv pid.new pid; sleep 1000").deliver([news()]))
        assert await asyncio.to_thread(comes, (tmp_path / "pid").exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stop())
    assert comes(lambda: gone(int((tmp_path / "pid").read_text())))


def test_one_hook_runs_a_few_at_a_time(make: Make, tmp_path: Path) -> None:
    command = "touch run.$$; ls -d run.* | wc -l >count.$$; while [ ! -e run ]; do sleep 0.01; done; rm run.$$"
    told = [news(id=f"s{at}") for at in range(12)]

    async def run() -> None:
        task = asyncio.create_task(make(command).deliver(told))
        assert await asyncio.to_thread(comes, lambda: len(list(tmp_path.glob("count.*"))) == 4)
        (tmp_path / "run").touch()
        assert list(await task) == [Done()] * 12

    asyncio.run(run())
    assert all(int(file.read_text()) <= 4 for file in tmp_path.glob("count.*"))


@given(st.text(min_size=1))
def test_any_delivery_has_a_file_of_its_own_kind(delivery: str) -> None:
    name = safe_name(delivery)
    assert name.isascii()
    assert "/" not in name
    assert not name.startswith(".")
    assert 0 < len(name) <= 200
