"""Whatever a machine's process does to get away, it ends with its machine; nothing else does."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciler.clouds.local_processes import Process, ProcessesLeftError, end_processes, members
from tests.clouds.cloud_cases import Spawn, is_alive

MACHINE = f"local-{os.getpid():020d}"  # of its own for each process that runs these tests
LATE = "import time; time.sleep(60)"
# Each prints the pid of what must be ended, and leaves it running.
ESCAPES = {
    "simply runs": "import os, time; print(os.getpid(), flush=True); time.sleep(60)",
    "ignores every signal": """
import os, signal, time
for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
    try: signal.signal(number, signal.SIG_IGN)
    except OSError: pass
print(os.getpid(), flush=True); time.sleep(60)""",
    "is detached twice": """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/"); print(os.getpid(), flush=True); os.close(1); time.sleep(60)
os._exit(0)""",
    "forgets its environment in the session": """
import os, sys
os.chdir("/")
if os.fork() == 0:
    os.execve(sys.executable, [sys.executable, "-c",
        "import os, time; print(os.getpid(), flush=True); time.sleep(60)"], {})
import time; time.sleep(60)""",
    "forgets its environment and its session": """
import os, sys, time
os.chdir("/")
if os.fork() == 0:
    os.setsid()
    os.execve(sys.executable, [sys.executable, "-c",
        "import os, time; print(os.getpid(), flush=True); time.sleep(60)"], {})
time.sleep(60)""",
    "forgets everything but where it stands": """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, "-c",
            "import os, time; print(os.getpid(), flush=True); time.sleep(60)"], {})
os._exit(0)""",
    "is stopped": "import os, signal; print(os.getpid(), flush=True); os.kill(os.getpid(), signal.SIGSTOP)",
    "has threads only": """
import os, threading, time, ctypes
def last():
    time.sleep(0.2)  # the first thread has ended by then, and the process looks like one that waits to be reaped
    print(os.getpid(), flush=True)
    time.sleep(60)
threading.Thread(target=last).start()
ctypes.CDLL(None).pthread_exit(None)""",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "root" / MACHINE / "home"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("program", ESCAPES.values(), ids=ESCAPES.keys())
def test_a_process_does_not_get_away(program: str, home: Path, spawn: Spawn) -> None:
    started = spawn([sys.executable, "-c", program], MACHINE, home)
    assert started.stdout is not None
    pid = int(started.stdout.readline())
    assert is_alive(pid)
    end_processes({MACHINE: (home.parent,)})
    assert not is_alive(pid)


HOPS = """
import os, time
os.close(0)
print(1, flush=True)
os.close(1)
until = time.monotonic() + 2
for _ in range({doublings}):
    os.fork()
while time.monotonic() < until:  # a test that fails leaves nothing behind for long
    if os.fork():
        os._exit(0)
    os.setsid()
"""


@pytest.mark.parametrize("doublings", [0, 1, 3])
def test_those_that_fork_and_end_all_the_time_are_caught(doublings: int, home: Path, spawn: Spawn) -> None:
    started = spawn([sys.executable, "-c", HOPS.format(doublings=doublings)], MACHINE, home)
    assert started.stdout is not None
    started.stdout.readline()
    end_processes({MACHINE: (home.parent,)})
    assert marked(MACHINE) == []


def marked(machine: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"RECONCILER_MACHINE={machine}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(process.name)
        except OSError:
            continue
    return found


def test_other_machines_and_other_processes_go_on(home: Path, tmp_path: Path, spawn: Spawn) -> None:
    elsewhere = tmp_path / "root" / f"{MACHINE}4"  # its name begins with the other's
    elsewhere.mkdir()
    other = spawn([sys.executable, "-c", LATE], f"{MACHINE}4", elsewhere)
    beside = spawn([sys.executable, "-c", LATE], "", tmp_path, env={"TEST_MARK": str(tmp_path)})
    ours = spawn([sys.executable, "-c", LATE], MACHINE, home)
    end_processes({MACHINE: (home.parent,)})
    assert ours.wait(10) == -9
    assert other.poll() is None
    assert beside.poll() is None


def test_who_ends_a_machine_is_spared_with_its_session_wherever_it_stands(home: Path, spawn: Spawn) -> None:
    program = f"""
import os, subprocess, sys
from pathlib import Path
from reconciler.clouds.local_processes import end_processes
beside = subprocess.Popen(["sleep", "60"], cwd="/", env={{"PATH": os.environ["PATH"]}}, stdout=subprocess.DEVNULL)
child = subprocess.Popen(["sleep", "60"])
end_processes({{"{MACHINE}": (Path.cwd(),)}})
print(child.wait(), beside.poll())
beside.kill()"""
    started = spawn([sys.executable, "-c", program], MACHINE, home)
    out, _ = started.communicate(timeout=60)
    assert (out.strip(), started.returncode) == (b"-9 None", 0)


def test_what_cannot_be_ended_is_told(home: Path, spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    started = spawn([sys.executable, "-c", LATE], MACHINE, home)
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    with pytest.raises(ProcessesLeftError, match=str(started.pid)):
        end_processes({MACHINE: (home.parent,)}, patience=0.05)


def test_no_machine_no_search() -> None:
    end_processes({})


def table(*rows: tuple[int, int, int, bool]) -> dict[int, Process]:
    return {pid: Process(pid, parent, session, 0, marked) for pid, parent, session, marked in rows}


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([(9, 1, 9, False)], set()),
        ([(9, 1, 9, True), (10, 9, 9, False), (11, 10, 11, False), (12, 1, 12, False)], {9, 10, 11}),
        # The session's leader has ended.
        ([(20, 1, 19, True), (21, 1, 19, False)], {20, 21}),
        # Started by hand from a terminal that is not the machine's.
        ([(30, 1, 30, False), (31, 30, 30, True), (32, 30, 30, False)], {31}),
        # We ourselves, in a session of our own, started from a marked shell.
        ([(3, 2, 3, True), (5, 3, 3, False), (6, 3, 3, True)], {6}),
        # A marked child of ours, and its own children; ours that are not marked stay.
        ([(6, 4, 4, True), (7, 6, 4, False), (8, 4, 4, False)], {6, 7}),
        # A session of a descendant.
        ([(9, 1, 9, True), (10, 9, 10, False), (11, 1, 10, False)], {9, 10, 11}),
    ],
)
def test_who_belongs_to_a_machine(rows: list[tuple[int, int, int, bool]], found: set[int]) -> None:
    me = 4
    ours = [(1, 0, 1, False), (2, 1, 2, False), (3, 2, 3, False), (me, 3, 4, False)]
    assert members(table(*ours) | table(*rows), me) == found


def test_a_process_table_is_read_while_processes_come_and_go(home: Path) -> None:
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        short = [subprocess.Popen(["true"]) for _ in range(5)]
        end_processes({MACHINE: (home.parent,)})
        assert [process.wait() for process in short] == [0] * 5
