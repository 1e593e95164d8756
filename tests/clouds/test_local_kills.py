"""SIGKILL at any moment, and several processes at once: no half machine, none too many, none left behind."""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from reconciler.clouds import local_folders
from reconciler.clouds.local import LocalCloud, local_place
from reconciler.model.offer import MachineState
from tests.clouds.cloud_cases import OWNER, local_request, names, run

PROGRAM = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.clouds.cloud_cases import OWNER, local_request
from reconciler.clouds.base import CloudError
from reconciler.clouds.local import LocalCloud, local_place

async def main(root, work, *words):
    cloud = LocalCloud(local_place(Path(root)))
    print("ready", flush=True)
    sys.stdin.readline()
    if work == "launch":
        for token in words[2:]:
            try:
                got = await cloud.launch(local_request(token, int(words[0]), capacity=int(words[1])))
                print(token, *(machine.cloud_id for machine in got), flush=True)
            except CloudError as error:
                print(token, error.fault.value, flush=True)
    else:
        await cloud.terminate(words)

asyncio.run(main(*sys.argv[2:]))
"""

Process = subprocess.Popen[bytes]
Processes = list[Process]


@pytest.fixture
def program() -> Iterator[Processes]:
    started: Processes = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def begin(started: Processes, *words: str) -> Process:
    """Start the program up to where it waits for its cue."""
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parents[2]), *words]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def cue(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


def test_two_processes_with_one_token_get_the_same_machines(root: Path, program: Processes) -> None:
    tokens = [f"t{number}" for number in range(20)]
    pair = [begin(program, str(root), "launch", "3", "100", *tokens) for _ in range(2)]
    for process in pair:
        cue(process)
    one, two = (process.communicate(timeout=60)[0] for process in pair)
    assert one == two
    assert len(run(LocalCloud(local_place(root)).listing(OWNER)).machines) == 60


def test_processes_together_stay_within_capacity(root: Path, program: Processes) -> None:
    group = [begin(program, str(root), "launch", "2", "7", *(f"{name}{n}" for n in range(5))) for name in "abc"]
    for process in group:
        cue(process)
    answers = b"".join(process.communicate(timeout=60)[0] for process in group)
    machines = run(LocalCloud(local_place(root)).listing(OWNER)).machines
    assert len(machines) == 7
    assert answers.count(b"local-") == 7
    assert answers.count(b"capacity") == 15 - 4


def test_the_first_launches_of_all_may_come_at_once(tmp_path: Path) -> None:
    for number in range(40):
        root = tmp_path / f"root{number}"
        with ThreadPoolExecutor(4) as pool:
            launch = partial(folders_of(root).launch, boot=0.0, capacity=None)
            assert [len(got) for got in pool.map(launch, map(local_request, "abcd"))] == [1, 1, 1, 1]
        assert len(listed(root)) == 4


class Killed(BaseException):
    """Stands for SIGKILL: no handler of ours catches it."""


FILE_CALLS = ("mkdir", "rename", "unlink", "rmdir", "scandir", "open", "utime", "fsync", "replace", "chmod")


def cut_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The process dies before its `number`th call that touches the file system."""
    left = [number]

    def cut(original):  # type: ignore[no-untyped-def]
        def call(*args, **kwargs):  # type: ignore[no-untyped-def]
            left[0] -= 1
            if left[0] <= 0:
                raise Killed
            return original(*args, **kwargs)

        return call

    for name in FILE_CALLS:
        monkeypatch.setattr(os, name, cut(getattr(os, name)))


def folders_of(root: Path) -> local_folders.Folders:
    return local_folders.Folders(root, time.time)


def listed(root: Path) -> dict[str, MachineState]:
    scan = folders_of(root).scan()
    assert scan.broken == ()
    return {record.cloud_id: record.seen(time.time()) for record in scan.live + scan.ended}


def test_a_launch_cut_at_every_call_brings_all_of_its_machines_or_none(root: Path) -> None:
    request = local_request(count=3)
    seen = set()
    for number in range(1, 500):
        shutil.rmtree(root, ignore_errors=True)
        root.with_name(root.name + ".lock").unlink(missing_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            cut_at(patch, number)
            try:
                folders_of(root).launch(request, boot=0, capacity=None)
            except Killed:
                whole = False
            else:
                whole = True
        seen.add(len(listed(root)))
        assert len(listed(root)) in {0, 3}
        assert len(folders_of(root).launch(request, boot=0, capacity=None)) == 3
        assert len(listed(root)) == 3
        assert [name for name in names(root) if name.startswith(".")] == []
        if whole:
            break
    assert whole
    assert seen == {0, 3}


def test_an_end_cut_at_every_call_leaves_a_machine_that_is_still_being_ended(root: Path) -> None:
    seen = set()
    for number in range(1, 500):
        folders = folders_of(root)
        (record,) = folders.launch(local_request(f"t{number}"), boot=0, capacity=None)
        (folders.home(record.cloud_id) / "a" / "b").mkdir(parents=True)
        (folders.home(record.cloud_id) / "a" / "file").write_text("x")
        with pytest.MonkeyPatch.context() as patch:
            cut_at(patch, number)
            try:
                folders.turn(record.cloud_id, MachineState.SHUTTING_DOWN)
                folders.bury(record.cloud_id)
            except Killed:
                whole = False
            else:
                whole = True
        state = listed(root)[record.cloud_id]
        seen.add(state)
        if state is MachineState.TERMINATED:
            assert not (root / record.cloud_id).exists()
        folders.turn(record.cloud_id, MachineState.SHUTTING_DOWN)
        folders.bury(record.cloud_id)
        assert listed(root)[record.cloud_id] is MachineState.TERMINATED
        assert names(root) == [".ended"]
        if whole:
            break
    assert whole
    assert seen == {MachineState.RUNNING, MachineState.SHUTTING_DOWN, MachineState.TERMINATED}


@pytest.mark.real
def test_killed_for_real_at_random(root: Path, program: Processes) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    cloud = LocalCloud(local_place(root))
    for number in range(12):
        token = f"t{number}"
        process = begin(program, str(root), "launch", "3", "10", token)
        cue(process)
        time.sleep(chance.uniform(0.0, 0.03))
        process.kill()
        assert len(listed(root)) in {0, 3}, f"seed {seed}"
        machines = [machine.cloud_id for machine in run(cloud.launch(local_request(token, 3, capacity=10)))]
        assert len(machines) == 3
        process = begin(program, str(root), "terminate", *machines)
        cue(process)
        time.sleep(chance.uniform(0.0, 0.05))
        process.kill()
        states = listed(root)
        gone = [each for each in machines if states[each] is MachineState.TERMINATED]
        assert not any((root / each).exists() for each in gone), f"seed {seed}"
        run(cloud.terminate(machines))
        assert names(root) == [".ended"]
        shutil.rmtree(root / ".ended")


def test_a_cancelled_call_is_finished_by_the_next(root: Path) -> None:
    async def story() -> list[str]:
        cloud = LocalCloud(local_place(root), delay=5.0)
        call = asyncio.create_task(cloud.launch(local_request(count=2)))
        await asyncio.sleep(0.05)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        return [machine.cloud_id for machine in await LocalCloud(local_place(root)).launch(local_request(count=2))]

    assert len(run(story())) == 2
    assert len(listed(root)) == 2
