"""What is the ssh cloud's own: other people's machines are left alone, silent ones take nothing from the others."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import evolve

from reconciler.clouds.base import Check, CloudError, Found
from reconciler.clouds.registry import CHECKS, CLOUDS
from reconciler.clouds.ssh import SshCloud
from reconciler.clouds.ssh_examine import examine
from reconciler.model.job import Job
from reconciler.model.offer import Fault, LaunchRequest, Machine, MachineState
from reconciler.model.tags import CONTROLLER
from reconciler.spec.values import Choice, Pool, Size
from tests.clouds.cloud_cases import OWNER, own, run, ssh_here, ssh_options, ssh_place, ssh_request
from tests.machines.sshd import SshMachine, machine, need_machines, new_key

FOREIGN = "other d9 cpu t9 0 big - 1.000"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[list[SshMachine]]:
    need_machines()
    with ExitStack() as stack:
        yield [stack.enter_context(machine(folder=tmp_path / name)) for name in ("a", "b")]


@pytest.fixture
def cloud(made: list[SshMachine], tmp_path: Path) -> Iterator[SshCloud]:
    cloud = SshCloud(ssh_place(*made), ssh_here(tmp_path))
    yield cloud
    run(cloud.close())


def _request(made: list[SshMachine], token: str, count: int = 1) -> LaunchRequest:
    return ssh_request(*made, token=token, count=count)


def _fault(cloud: SshCloud, request: LaunchRequest) -> tuple[Fault, str]:
    with pytest.raises(CloudError) as refusal:
        run(cloud.launch(request))
    return refusal.value.fault, refusal.value.message


def _owner(there: SshMachine) -> str:
    return (there.home / ".reconciler/owner").read_text()


@pytest.mark.parametrize("line", [FOREIGN, "", "nonsense", "iris d1 cpu t1 x big - 1.000", "\x1b[31m" * 1000])
def test_a_machine_of_somebody_else_is_never_touched(made: list[SshMachine], cloud: SshCloud, line: str) -> None:
    own(made[0], line)
    (machine,) = run(cloud.launch(_request(made, "t1", 2)))
    assert machine.address == made[1].where
    assert [each.cloud_id for each in run(cloud.listing(OWNER)).machines] == [machine.cloud_id]
    with pytest.raises(CloudError, match="no machine"):
        run(cloud.terminate([f"{made[0].address}:22/t9.0"]))
    assert _owner(made[0]) == f"{line}\n"


def test_a_machine_that_another_way_in_uses_is_left_alone(made: list[SshMachine], cloud: SshCloud) -> None:
    for each in made:
        (each.home / ".reconciler").mkdir()
        (each.home / ".reconciler/claim").write_text("somebody else\n")
    assert _fault(cloud, _request(made, "t1"))[0] is Fault.CAPACITY


def test_a_silent_machine_makes_a_listing_incomplete_and_stops_nobody(made: list[SshMachine], cloud: SshCloud) -> None:
    one, two = run(cloud.launch(_request(made, "t1", 2)))
    made[0].stop()
    listing = run(cloud.listing(OWNER))
    assert not listing.complete
    assert made[0].address in listing.error
    assert [each.cloud_id for each in listing.machines] == [two.cloud_id]
    found = run(cloud.lookup([one.cloud_id, two.cloud_id]))
    assert list(found) == [two.cloud_id]
    with pytest.raises(CloudError) as refusal:
        run(cloud.terminate([one.cloud_id]))
    assert refusal.value.fault is Fault.UNREACHABLE
    run(cloud.terminate([two.cloud_id]))
    assert [each.address for each in run(cloud.launch(_request(made, "t2", 2)))] == [made[1].where]
    fault, message = _fault(cloud, _request(made, "t3"))
    assert fault is Fault.CAPACITY
    assert made[0].address in message


def test_when_nobody_answers_nothing_is_known(made: list[SshMachine], cloud: SshCloud) -> None:
    (machine,) = run(cloud.launch(_request(made, "t1")))
    for each in made:
        each.stop()
    assert _fault(cloud, _request(made, "t1"))[0] is Fault.UNREACHABLE
    with pytest.raises(CloudError) as refusal:
        run(cloud.lookup([machine.cloud_id]))
    assert refusal.value.fault is Fault.UNREACHABLE


def test_a_machine_that_is_claimed_again_is_another(made: list[SshMachine], tmp_path: Path) -> None:
    cloud = SshCloud(ssh_place(made[0]), ssh_here(tmp_path))
    (first,) = run(cloud.launch(_request(made[:1], "t1")))
    run(cloud.terminate([first.cloud_id]))
    (second,) = run(cloud.launch(_request(made[:1], "t2")))
    assert second.cloud_id != first.cloud_id
    run(cloud.terminate([first.cloud_id]))  # late
    found = run(cloud.lookup([first.cloud_id, second.cloud_id]))
    assert [each.state for each in found.values() if each] == [MachineState.TERMINATED, MachineState.RUNNING]
    run(cloud.close())


def test_tombstones_do_not_grow_for_ever(made: list[SshMachine], tmp_path: Path) -> None:
    cloud = SshCloud(ssh_place(made[0]), ssh_here(tmp_path))
    (made[0].home / ".reconciler").mkdir()
    shutil.chown(made[0].home / ".reconciler", 1000, 1000)
    released = made[0].home / ".reconciler/released"
    released.write_text("".join(f"iris d1 - old{number} 0 big - 1.000\n" for number in range(100)))
    (machine,) = run(cloud.launch(_request(made[:1], "t1")))
    run(cloud.terminate([machine.cloud_id]))
    name = f"{made[0].address}:22"
    found = run(cloud.lookup([f"{name}/old0.0", f"{name}/old1.0", machine.cloud_id]))
    assert [each is None for each in found.values()] == [True, False, False]
    assert len(released.read_text().splitlines()) == 100
    run(cloud.close())


def test_two_that_want_one_machine_do_not_both_get_it(made: list[SshMachine], tmp_path: Path) -> None:
    clouds = [SshCloud(ssh_place(*made), ssh_here(tmp_path)) for _ in range(2)]

    async def story() -> None:
        wanted = [cloud.launch(_request(made, f"t{number}", 2)) for number, cloud in enumerate(clouds)]
        answers = await asyncio.gather(*wanted, return_exceptions=True)
        got = [each.address for answer in answers if not isinstance(answer, BaseException) for each in answer]
        assert sorted(got) == sorted(each.where for each in made)
        assert len((await clouds[0].listing(OWNER)).machines) == 2
        for cloud in clouds:
            await cloud.close()

    run(story())


def test_ending_a_machine_ends_its_jobs_and_frees_their_disk(made: list[SshMachine], cloud: SshCloud) -> None:
    async def story() -> None:
        (machine,) = await cloud.launch(_request(made, "t1"))
        host = cloud.host(machine, "")
        await host.install()
        boot = (await host.report()).boot_id
        await host.start(Job(id="a", command="trap '' TERM; sleep 1008; sleep 1009"), boot_id=boot)
        await host.start(Job(id="b", command="echo x > x"), boot_id=boot)
        await cloud.terminate([machine.cloud_id])
        assert not [line for line in made[0].commands() if "sleep 100" in line]
        assert (await host.report()).jobs == {}
        assert not (made[0].home / ".reconciler/jobs/b/work").exists()

    run(story())


def test_a_host_and_its_cloud_share_one_connection(made: list[SshMachine], cloud: SshCloud) -> None:
    async def story() -> None:
        (machine,) = await cloud.launch(_request(made, "t1"))
        report = await cloud.host(machine, "").report()
        assert report.host_key == made[0].host_key
        pinned = cloud.host(evolve(machine, host_key=report.host_key), "")
        await pinned.report()
        await pinned.close()
        await cloud.listing(OWNER)
        assert made[0].connections() == 1

    run(story())


def test_a_changed_key_is_shown_and_outlives_us(made: list[SshMachine], tmp_path: Path) -> None:
    for first in (True, False):
        cloud = SshCloud(ssh_place(*made), ssh_here(tmp_path))
        listing = run(cloud.listing(OWNER))
        assert listing.complete is first
        assert ("changed" in listing.error) is not first
        run(cloud.close())
        made[0].change_host_key(new_key())
        made[0].reboot()
    pins = (tmp_path / "ssh_hosts").read_text().splitlines()
    assert len(pins) == 2


def test_a_key_that_a_row_pins_is_the_only_one_for_its_host(made: list[SshMachine], cloud: SshCloud) -> None:
    async def story() -> None:
        (machine,) = await cloud.launch(_request(made, "t1"))
        host = cloud.host(evolve(machine, host_key=made[1].host_key), "")
        with pytest.raises(Exception, match="nothing more is sent to it"):
            await host.report()

    run(story())


def test_a_machine_that_the_place_does_not_have_has_no_host(made: list[SshMachine], cloud: SshCloud) -> None:
    with pytest.raises(CloudError) as refusal:
        cloud.host(Machine(cloud_id="x:22/t.0", token="t", index=0, state=MachineState.RUNNING, type="big"), "")
    assert refusal.value.fault is Fault.NOT_FOUND


def test_a_machine_that_cannot_be_written_to_is_told_of(made: list[SshMachine], cloud: SshCloud) -> None:
    for each in made:
        (each.home / ".reconciler").mkdir()  # root's
    fault, message = _fault(cloud, _request(made, "t1"))
    assert fault is Fault.CAPACITY
    assert "cannot be written" in message


@pytest.mark.parametrize("tags", [{}, {CONTROLLER: "a b"}])
def test_a_launch_that_no_owner_file_can_tell_is_refused(
    made: list[SshMachine], cloud: SshCloud, tags: dict[str, str]
) -> None:
    assert _fault(cloud, evolve(_request(made, "t1"), tags=tags))[0] is Fault.REFUSED


def test_the_registry_has_it(made: list[SshMachine], tmp_path: Path) -> None:
    cloud = CLOUDS["ssh"](ssh_place(*made), "", ssh_here(tmp_path))
    assert run(cloud.listing(OWNER)).complete
    run(cloud.close())
    assert CHECKS["ssh"]() is examine


def _examined(made: list[SshMachine], folder: Path) -> dict[str, Check]:
    settings = ssh_options(*made)
    pool = Pool(
        pool="cpu", cloud=Choice(kind="ssh", settings=settings), size={"big": Size(low=0, high=2)},
        workload=Choice(kind="script", settings=None),
    )  # fmt: skip

    async def story() -> dict[str, Check]:
        return {check.what: check async for check in examine(pool, ssh_here(folder))}

    return run(story())


def test_doctor_finds_nothing_where_all_is_well(made: list[SshMachine], tmp_path: Path) -> None:
    checks = _examined(made, tmp_path)
    assert {check.found for check in checks.values()} == {Found.OK}, checks
    assert checks[f"{made[0].address}:22: owner"].text == "free"


def test_doctor_says_what_is_wrong(made: list[SshMachine], tmp_path: Path) -> None:
    own(made[0], FOREIGN)
    made[0].key_path.chmod(0o644)
    made[1].stop()
    checks = _examined(made, tmp_path)
    problems = {what: check.text for what, check in checks.items() if check.found is Found.PROBLEM}
    assert problems.keys() == {
        f"key file {made[0].key_path}", f"{made[0].address}:22: owner", f"{made[1].address}:22",
    }  # fmt: skip
    assert "chmod 600" in problems[f"key file {made[0].key_path}"]
    assert "belongs to the controller other" in problems[f"{made[0].address}:22: owner"]
    assert "cannot be reached" in problems[f"{made[1].address}:22"]
