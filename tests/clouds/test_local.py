"""The local cloud's own ways: boot time, late answers, what becomes of broken files, and its way in."""

import asyncio
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from reconciler.clouds.base import CloudError
from reconciler.clouds.local import LocalCloud, local_place
from reconciler.clouds.local_folders import KEPT, SHOWN, Folders
from reconciler.hosts.base import UnreachableError
from reconciler.model.job import Folder, Job
from reconciler.model.offer import Fault, Machine, MachineState
from tests.clouds.cloud_cases import OWNER, is_alive, local_request, machine_file, names, rewrite, run


class Clock:
    """Seconds since the epoch, as a test says."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cloud(root: Path, clock: Clock) -> LocalCloud:
    return LocalCloud(local_place(root), clock=clock)


def state(cloud: LocalCloud) -> MachineState:
    (machine,) = run(cloud.listing(OWNER)).machines
    return machine.state


def test_a_machine_is_pending_for_its_boot_time(cloud: LocalCloud, clock: Clock) -> None:
    (machine,) = run(cloud.launch(local_request(boot=30.0)))
    assert machine.state is MachineState.PENDING
    clock.now += 29
    assert state(cloud) is MachineState.PENDING
    clock.now += 1
    assert state(cloud) is MachineState.RUNNING


def test_a_start_takes_the_boot_time_again(cloud: LocalCloud, clock: Clock) -> None:
    (machine,) = run(cloud.launch(local_request(boot=30.0)))
    clock.now += 100
    run(cloud.stop([machine.cloud_id]))
    assert state(cloud) is MachineState.STOPPED
    run(cloud.start([machine.cloud_id]))
    assert state(cloud) is MachineState.PENDING
    clock.now += 30
    assert state(cloud) is MachineState.RUNNING


def test_an_ended_machine_is_listed_for_an_hour_and_known_for_longer(cloud: LocalCloud, clock: Clock) -> None:
    (machine,) = run(cloud.launch(local_request()))
    run(cloud.terminate([machine.cloud_id]))
    clock.now += SHOWN
    assert state(cloud) is MachineState.TERMINATED
    clock.now += 1
    assert run(cloud.listing(OWNER)).machines == ()
    clock.now += KEPT - SHOWN - 1
    (other,) = run(cloud.launch(local_request("t2")))
    run(cloud.terminate([other.cloud_id]))
    assert run(cloud.lookup([machine.cloud_id]))[machine.cloud_id] is not None
    clock.now += 1
    run(cloud.terminate([other.cloud_id]))
    assert run(cloud.lookup([machine.cloud_id]))[machine.cloud_id] is None


def test_answers_come_late_but_what_was_asked_is_done(root: Path) -> None:
    cloud = LocalCloud(local_place(root))
    began = time.monotonic()
    run(cloud.launch(local_request(delay=0.2)))
    assert time.monotonic() - began >= 0.2
    began = time.monotonic()
    assert len(run(LocalCloud(local_place(root), delay=0.2).listing(OWNER)).machines) == 1
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "keys"),
        (b"{}", "keys"),
    ],
)
def test_a_broken_file_makes_the_listing_incomplete(root: Path, cloud: LocalCloud, content: bytes, why: str) -> None:
    one, two = run(cloud.launch(local_request(count=2)))
    machine_file(root, one.cloud_id).write_bytes(content)
    listing = run(cloud.listing(OWNER))
    assert not listing.complete
    assert why in listing.error
    assert str(machine_file(root, one.cloud_id)) in listing.error
    assert [machine.cloud_id for machine in listing.machines] == [two.cloud_id]
    with pytest.raises(CloudError) as refusal:
        run(cloud.lookup([one.cloud_id]))
    assert refusal.value.fault is Fault.UNREACHABLE


@pytest.mark.parametrize(
    "values",
    [
        {"index": "0"},
        {"index": True},
        {"born": None},
        {"born": 1e30},
        {"state": "rebooting"},
        {"tags": []},
        {"tags": {"a": 1}},
        {"cloud_id": "local-00000000000000000000"},
        {"more": 1},
    ],
)
def test_a_file_with_a_wrong_value_is_broken(root: Path, cloud: LocalCloud, values: dict[str, object]) -> None:
    (machine,) = run(cloud.launch(local_request()))
    rewrite(machine_file(root, machine.cloud_id), **values)
    listing = run(cloud.listing(OWNER))
    assert (listing.machines, listing.complete) == ((), False)


def test_a_machine_with_a_broken_file_can_still_be_ended(root: Path, cloud: LocalCloud) -> None:
    (machine,) = run(cloud.launch(local_request()))
    machine_file(root, machine.cloud_id).unlink()
    assert not run(cloud.listing(OWNER)).complete
    run(cloud.terminate([machine.cloud_id]))
    assert not (root / machine.cloud_id).exists()
    assert run(cloud.listing(OWNER)).complete


def test_a_root_that_vanished_says_nothing_about_its_machines(root: Path, cloud: LocalCloud) -> None:
    (machine,) = run(cloud.launch(local_request()))
    shutil.rmtree(root)
    listing = run(cloud.listing(OWNER))
    assert (listing.machines, listing.complete) == ((), False)
    assert str(root) in listing.error
    for call in (cloud.lookup([machine.cloud_id]), cloud.terminate([machine.cloud_id]), cloud.launch(local_request())):
        with pytest.raises(CloudError) as refusal:
            run(call)
        assert refusal.value.fault is Fault.UNREACHABLE
    root.mkdir()
    assert run(cloud.listing(OWNER)).complete
    assert run(cloud.lookup([machine.cloud_id])) == {machine.cloud_id: None}


def test_a_root_that_cannot_be_made_is_our_own_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cloud = LocalCloud(local_place(tmp_path / "file" / "machines"))
    with pytest.raises(CloudError) as refusal:
        run(cloud.launch(local_request()))
    assert refusal.value.fault is Fault.OURS


def test_a_lost_machine_is_missing_from_a_complete_listing(root: Path, cloud: LocalCloud) -> None:
    one, two = run(cloud.launch(local_request(count=2)))
    shutil.rmtree(root / one.cloud_id)
    listing = run(cloud.listing(OWNER))
    assert listing.complete
    assert [machine.cloud_id for machine in listing.machines] == [two.cloud_id]
    assert listing.grace == 0
    assert run(cloud.lookup([one.cloud_id])) == {one.cloud_id: None}


def test_what_still_runs_in_a_folder_that_was_removed_is_ended(root: Path, cloud: LocalCloud) -> None:
    one, two = run(cloud.launch(local_request(count=2)))
    names = (one.cloud_id, two.cloud_id)
    runs = {name: subprocess.Popen(["sleep", "1000"], cwd=root / name / "home") for name in names}
    try:
        shutil.rmtree(root / one.cloud_id)
        assert run(cloud.lookup([one.cloud_id])) == {one.cloud_id: None}
        assert runs[one.cloud_id].wait() == -signal.SIGKILL
        assert runs[two.cloud_id].poll() is None
    finally:
        for process in runs.values():
            process.kill()
            process.wait()


@pytest.mark.parametrize("cloud_id", ["..", "../x", "/etc", "", ".", "local-\n", "local-" + "0" * 19 + "/"])
def test_an_id_never_leads_out_of_the_root(root: Path, cloud: LocalCloud, cloud_id: str) -> None:
    run(cloud.launch(local_request()))
    assert run(cloud.lookup([cloud_id])) == {cloud_id: None}
    with pytest.raises(CloudError) as refusal:
        run(cloud.terminate([cloud_id]))
    assert refusal.value.fault is Fault.NOT_FOUND


def test_other_things_below_the_root_are_left_alone(root: Path, cloud: LocalCloud) -> None:
    (machine,) = run(cloud.launch(local_request()))
    (root / "notes").mkdir()
    (root / "README").write_text("mine\n")
    assert [each.cloud_id for each in run(cloud.listing(OWNER)).machines] == [machine.cloud_id]
    run(cloud.terminate([machine.cloud_id]))
    assert names(root) == [".ended", "README", "notes"]


def test_unreadable_settings_are_refused(cloud: LocalCloud) -> None:
    request = local_request()
    for settings in ("", "{", '{"boot": "soon", "more": 1}'):
        with pytest.raises(CloudError) as refusal:
            run(cloud.launch(type(request)(token="t", offer=request.offer, count=1, settings=settings)))
        assert refusal.value.fault is Fault.REFUSED


def reaches(cloud: LocalCloud, machine: Machine) -> str:
    """The boot id that the machine's host tells; empty where it cannot be reached."""
    try:
        return run(cloud.host(machine, "{}").report()).boot_id
    except UnreachableError:
        return ""


def test_a_host_answers_only_while_its_machine_runs(root: Path, cloud: LocalCloud, clock: Clock) -> None:
    (machine,) = run(cloud.launch(local_request(boot=30.0)))
    assert not reaches(cloud, machine)
    clock.now += 30
    first = reaches(cloud, machine)
    assert first
    assert reaches(LocalCloud(cloud.place, clock=clock), machine) == first
    run(cloud.stop([machine.cloud_id]))
    assert not reaches(cloud, machine)
    run(cloud.start([machine.cloud_id]))
    assert not reaches(cloud, machine)
    clock.now += 30
    assert reaches(cloud, machine) not in {"", first}
    run(cloud.terminate([machine.cloud_id]))
    assert not reaches(cloud, machine)
    shutil.rmtree(root)
    assert not reaches(cloud, machine)


@pytest.mark.parametrize("state", [MachineState.STOPPING, MachineState.STOPPED, MachineState.RUNNING])
def test_what_is_being_ended_does_nothing_else(root: Path, clock: Clock, state: MachineState) -> None:
    folders = Folders(root, clock)
    (record,) = folders.launch(local_request(), boot=0.0, capacity=None)
    folders.turn(record.cloud_id, MachineState.SHUTTING_DOWN)
    assert folders.turn(record.cloud_id, state) is None
    found = folders.find(record.cloud_id)
    assert found is not None
    assert found.state == MachineState.SHUTTING_DOWN
    for call in ("stop", "start"):
        with pytest.raises(CloudError) as refusal:
            run(getattr(LocalCloud(local_place(root)), call)([record.cloud_id]))
        assert refusal.value.fault is Fault.REFUSED


def test_what_lies_in_the_home_outlasts_a_stop(root: Path, cloud: LocalCloud) -> None:
    (machine,) = run(cloud.launch(local_request()))
    (Path(machine.address) / "kept").write_text("42")
    run(cloud.stop([machine.cloud_id]))
    assert not Path(machine.address).exists()
    run(cloud.start([machine.cloud_id]))
    assert (Path(machine.address) / "kept").read_text() == "42"


async def start(cloud: LocalCloud, machine: Machine, told: Path) -> int:
    """Start a job that detaches a process, and answer with that one's pid."""
    host = cloud.host(machine, "{}")
    await host.install()
    boot_id = (await host.report()).boot_id
    command = f"setsid sh -c 'echo $$ > {told}.part; mv {told}.part {told}; exec sleep 60' & sleep 60"
    await host.start(Job(id="a.1", command=command, runs_in=Folder.HOME), boot_id=boot_id)
    while not told.exists():
        await asyncio.sleep(0.01)
    return int(told.read_text())


def test_a_job_that_runs_is_gone_with_its_machine(cloud: LocalCloud, tmp_path: Path) -> None:
    (machine,) = run(cloud.launch(local_request()))
    pid = run(start(cloud, machine, tmp_path / "pid"))
    assert is_alive(pid)
    run(cloud.terminate([machine.cloud_id]))
    assert not is_alive(pid)
    assert not Path(machine.address).parent.exists()


def test_a_job_on_a_machine_of_the_same_id_below_another_root_goes_on(tmp_path: Path) -> None:
    ours, theirs = (LocalCloud(local_place(tmp_path / name)) for name in ("ours", "theirs"))
    (mine,) = run(ours.launch(local_request()))
    (other,) = run(theirs.launch(local_request()))
    assert mine.cloud_id == other.cloud_id
    pids = [run(start(ours, mine, tmp_path / "mine")), run(start(theirs, other, tmp_path / "other"))]
    run(ours.terminate([mine.cloud_id]))
    assert [is_alive(pid) for pid in pids] == [False, True]
    run(theirs.terminate([other.cloud_id]))
    assert not is_alive(pids[1])


def test_a_thousand_machines_are_listed_in_one_go(root: Path, cloud: LocalCloud) -> None:
    bought = run(cloud.launch(local_request("first", 2)))
    template = machine_file(root, bought[0].cloud_id).read_text()
    for number in range(998):
        cloud_id = f"local-{number:020d}"
        (root / cloud_id / "home").mkdir(parents=True)
        machine_file(root, cloud_id).write_text(template.replace(bought[0].cloud_id, cloud_id))
    before = time.process_time()
    listing = run(cloud.listing(OWNER))
    spent = time.process_time() - before
    assert listing.complete
    assert len(listing.machines) == 1000
    assert spent < 1.0  # CPU seconds; far more than it takes, and far less than a slip to quadratic
