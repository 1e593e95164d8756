"""The command as a process: how far it runs, what it prints, and that it can be stopped at any time."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.cli_rows import CONFIG, Invoke, Start, submission

pytestmark = pytest.mark.real

PATIENCE = 60.0  # seconds until a test gives up on something that should be a matter of moments
ESCAPE = "\x1b"
ENDLESS = "echo begun; touch ../begun; while ! test -e {go}; do sleep 0.05; done; echo done; mkdir out; touch out/home"


def until(happened: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def states(invoke: Invoke) -> dict[str, str]:
    told = json.loads(invoke("status", "--json").stdout)
    return {row["name"]: row["state"] for row in told["submissions"]}


def results(invoke: Invoke, name: str) -> Path:
    told = json.loads(invoke("status", "--json").stdout)
    return Path(next(row["results"] for row in told["submissions"] if row["name"] == name))


@pytest.fixture
def endless(here: Path, invoke: Invoke) -> Path:
    """A submission that runs until the file is there that this answers with."""
    go = here / "go"
    assert invoke("submit", submission(here, ENDLESS.format(go=go), "endless")).exit_code == 0
    return go


def test_until_settled_shows_what_became_of_everything_and_starts_nothing_again(
    here: Path, invoke: Invoke, start: Start
) -> None:
    invoke("submit", submission(here, "echo fine; mkdir out; echo 1 > out/x", "good"))
    invoke("submit", submission(here, "echo 'no such thing' >&2; exit 3", "bad"))
    first = start("--until-settled")
    out, err = first.communicate(timeout=PATIENCE)
    assert first.returncode == 0, out + err
    assert ESCAPE not in out + err
    lines = out.splitlines()
    assert any(re.fullmatch(r"\S+ \S+ ~ submission good: queued → staging on cpu-\w+", line) for line in lines)
    assert any(re.fullmatch(r"good +succeeded +1", line) for line in lines)
    (failure,) = [line for line in lines if "bad" in line and "log" in line]
    assert re.fullmatch(r"bad failed: exit code 3: .*no such thing.* \(log: results/bad/1/log\)", failure)
    assert (here / "results" / "good" / "1" / "out" / "x").exists()

    history = invoke("history", "--json").stdout
    again = start("--until-settled")
    repeated, _ = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0
    assert repeated == out[out.index("\nSUBMISSION") :]
    assert invoke("history", "--json").stdout == history


def test_a_type_that_the_pool_does_not_have_is_set_aside_and_holds_up_nobody(here: Path, start: Start) -> None:
    for name, options in (("picky", "instance_types: [huge]\n"), ("easy", "priority: 1\n")):
        (here / "submissions" / name).mkdir()
        (here / "submissions" / name / "run.sh").write_text("true")
        (here / "submissions" / name / "submission.yml").write_text(options)
    process = start("--until-settled")
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3, out + err
    assert "set aside: 1 queued for pool cpu: it names huge, and pool cpu has local only" in out.splitlines()
    assert any(re.fullmatch(r"easy +succeeded +1", line) for line in out.splitlines())


def test_quiet_prints_the_table_alone(here: Path, invoke: Invoke, start: Start) -> None:
    invoke("submit", submission(here, "true", "good"))
    out, _ = start("--until-settled", "--quiet").communicate(timeout=PATIENCE)
    assert out.split() == ["SUBMISSION", "STATE", "TRY", "good", "succeeded", "1"]


def test_verbose_tells_the_log_on_standard_error(here: Path, start: Start) -> None:
    _, err = start("--once", "--verbose").communicate(timeout=PATIENCE)
    assert "info: pool cpu: new" in err


def test_once_does_not_wait_for_jobs(here: Path, invoke: Invoke, start: Start, endless: Path) -> None:
    while states(invoke)["endless"] != "running":
        once = start("--once")
        out, err = once.communicate(timeout=PATIENCE)
        assert once.returncode == 3, out + err
    assert "in flight: endless is running" in out
    endless.touch()
    while states(invoke)["endless"] != "succeeded":
        start("--once").communicate(timeout=PATIENCE)
    assert (results(invoke, "endless") / "out" / "home").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("words", "status"), [([], 0), (["--until-settled"], 3)])
def test_a_signal_ends_it_cleanly_and_the_job_runs_on(
    here: Path, invoke: Invoke, start: Start, endless: Path, number: signal.Signals, words: list[str], status: int
) -> None:
    running = start(*words)
    until(lambda: states(invoke)["endless"] == "running")
    running.send_signal(number)
    out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == status, out + err
    assert "stopped: 1 submissions on 1 machines go on without us" in out
    assert "Traceback" not in out + err
    endless.touch()
    later = start("--until-settled")
    later.communicate(timeout=PATIENCE)
    assert later.returncode == 0
    assert (results(invoke, "endless") / "out" / "home").exists()
    assert results(invoke, "endless").name == "1"


# Stands for the program of its name on machines: what packs results comes to no end.
PACKS_FOR_EVER = """\
#!/bin/sh
case "$*" in *c*f*) touch {packing}; exec sleep 1000;; esac
exec {tar} "$@"
"""


@pytest.mark.parametrize("word", ["--once", "--until-settled"])
def test_a_signal_while_results_come_home_ends_it_without_a_word_of_pythons(
    here: Path, invoke: Invoke, start: Start, word: str
) -> None:
    packing, programs = here / "packing", here / "programs"
    programs.mkdir()
    (programs / "tar").write_text(PACKS_FOR_EVER.format(packing=packing, tar=shutil.which("tar")))
    (programs / "tar").chmod(0o755)
    for name in ("one", "two"):
        invoke("submit", submission(here, "mkdir out; echo home > out/x", name))
    while not packing.exists():
        running = start(word, PATH=f"{programs}:{os.environ['PATH']}")
        until(lambda running=running: packing.exists() or running.poll() is not None)  # type: ignore[misc]
    running.terminate()
    out, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, err) == (3, ""), out
    assert "stopped: " in out


# A run whose clean end takes long: it waits for a thread, as it waits for a database that is locked.
SLOW_TO_END = """
import asyncio, time
from reconciler.cli.run import _unless_stopped

async def work():
    print("begun", flush=True)
    try:
        await asyncio.sleep(600)
    finally:
        print("ending", flush=True)
        time.sleep(600)

asyncio.run(_unless_stopped(work()))
"""


def test_a_second_ctrl_c_ends_it_at_once() -> None:
    running = subprocess.Popen([sys.executable, "-c", SLOW_TO_END], stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        running.send_signal(signal.SIGINT)
        assert running.stdout.readline() == "ending\n"
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 130
    finally:
        running.kill()
        running.communicate()


def test_a_command_wakes_a_running_loop(here: Path, invoke: Invoke, start: Start, endless: Path) -> None:
    (here / "config.yml").write_text(CONFIG.replace("0.5s", "1h"))
    running = start()
    until(lambda: states(invoke)["endless"] == "running")
    invoke("submit", submission(here, "true", "quick"))
    until(lambda: states(invoke)["quick"] == "succeeded")
    invoke("cancel", "endless")
    until(lambda: states(invoke)["endless"] == "cancelled")
    running.terminate()
    running.communicate(timeout=PATIENCE)


def test_a_log_is_followed_while_it_is_written(here: Path, invoke: Invoke, start: Start, endless: Path) -> None:
    running = start()
    following = start("logs", "-f", "endless")
    assert following.stdout is not None
    assert following.stdout.readline() == "begun\n"
    endless.touch()
    out, err = following.communicate(timeout=PATIENCE)
    assert (following.returncode, out, err) == (0, "done\n", "")
    until(lambda: states(invoke)["endless"] == "succeeded")
    assert invoke("logs", "endless").stdout == "begun\ndone\n"
    running.terminate()
    running.communicate(timeout=PATIENCE)


def on_a_terminal(here: Path, **environ: str) -> str:
    """All that `reconcile --until-settled` writes to a terminal of 80 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", **environ}
    environment.pop("COLUMNS", None)
    command = [sys.executable, "-m", "reconciler", "--until-settled"]
    process = subprocess.Popen(command, cwd=here, env=environment, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    written = b""
    while True:
        ready, _, _ = select.select([master], [], [], PATIENCE)
        try:
            piece = os.read(master, 65536) if ready else b""
        except OSError:  # the last process has closed it
            break
        if not piece:
            break
        written += piece
    os.close(master)
    assert process.wait(PATIENCE) == 0, written
    return written.decode()


def test_on_a_terminal_it_is_live_and_leaves_the_cursor_as_it_was(here: Path, invoke: Invoke) -> None:
    invoke("submit", submission(here, "printf '\\033]0;title\\007evil'; exit 1", "bad"))
    written = on_a_terminal(here)
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert "]0;title" not in written
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    assert "tests · 1 queued" in plain
    assert max(len(line.rstrip()) for line in plain.replace("\r", "\n").splitlines() if "log:" not in line) <= 80
    assert re.search(r"\x1b\[31m.*failed", written)


def test_no_color_is_respected(here: Path, invoke: Invoke) -> None:
    invoke("submit", submission(here, "exit 1", "bad"))
    assert not re.search(r"\x1b\[(\d+;)*[349]\d", on_a_terminal(here, NO_COLOR="1"))
