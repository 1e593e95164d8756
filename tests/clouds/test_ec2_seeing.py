"""What EC2 says exists: listings by the page, lookups by id, evictions, checks, and batches with an id that is gone."""

from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.clouds.base import CloudError
from reconciler.clouds.ec2 import CHECKS_EVERY, Ec2Cloud
from reconciler.clouds.ec2_machines import machine_of
from reconciler.model.offer import Fault, MachineState
from reconciler.model.tags import ADDRESS
from reconciler.spec.options import Ec2Cloud as Options
from tests.clouds.cloud_cases import OWNER, run
from tests.clouds.ec2_cases import NOBODY, SPOT, cloud, options, request
from tests.ec2.control import Ec2


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(ec2: Ec2) -> Options:
    return options(ec2, image=ec2.image())


@pytest.fixture
def made(settings: Options, clock: Clock) -> Iterator[Ec2Cloud]:
    with cloud(settings, clock) as made:
        yield made


def test_a_listing_is_one_call_a_page_and_nothing_else(ec2: Ec2, settings: Options, made: Ec2Cloud) -> None:
    for number in range(11):
        run(made.launch(request(settings, f"t{number}", 10)))
    run(made.listing(OWNER))
    ec2.clear()
    listing = run(made.listing(OWNER))
    assert (listing.complete, len(listing.machines)) == (True, 110)
    assert ec2.calls() == {"DescribeInstances": 1}
    ec2.set(page=4)
    ec2.clear()
    assert len(run(made.listing(OWNER)).machines) == 110
    assert ec2.calls() == {"DescribeInstances": 3}


def test_a_page_that_fails_leaves_a_part(ec2: Ec2, settings: Options, made: Ec2Cloud) -> None:
    for number in range(3):
        run(made.launch(request(settings, f"t{number}")))
    ec2.set(page=2)
    run(made.listing(OWNER))
    ec2.fault("DescribeInstances")
    ec2.fault("DescribeInstances", "UnauthorizedOperation", status=403)
    listing = run(made.listing(OWNER))
    assert (listing.complete, len(listing.machines)) == (False, 2)
    assert "UnauthorizedOperation" in listing.error


def test_throttling_is_tried_a_few_times_and_then_told(ec2: Ec2, settings: Options, made: Ec2Cloud) -> None:
    ec2.fault("DescribeInstances", "RequestLimitExceeded", status=503, times=2)
    assert run(made.listing(OWNER)).complete
    ec2.fault("DescribeInstances", "RequestLimitExceeded", status=503, times=3)
    with pytest.raises(CloudError) as refusal:
        run(made.lookup([NOBODY]))
    assert refusal.value.fault is Fault.THROTTLED


def test_lookup_asks_again_without_those_that_are_unknown(ec2: Ec2, settings: Options, made: Ec2Cloud) -> None:
    one, two = run(made.launch(request(settings, count=2)))
    ids = ["i-00000000000000001", one.cloud_id, NOBODY, two.cloud_id]
    ec2.clear()
    found = run(made.lookup(ids))
    assert list(found) == ids
    assert [found[each] is None for each in ids] == [True, False, True, False]
    assert ec2.calls() == {"DescribeInstances": 2}
    assert run(made.lookup([NOBODY])) == {NOBODY: None}


def test_a_newborn_may_not_be_known_yet(ec2: Ec2, settings: Options, made: Ec2Cloud) -> None:
    ec2.set(lag=1000.0, unknown=1000.0)
    (machine,) = run(made.launch(request(settings)))
    assert run(made.listing(OWNER)).machines == ()
    assert run(made.lookup([machine.cloud_id])) == {machine.cloud_id: None}
    with pytest.raises(CloudError) as refusal:
        run(made.terminate([machine.cloud_id]))
    assert refusal.value.fault is Fault.NOT_FOUND
    ec2.set(lag=0.0, unknown=0.0)
    run(made.terminate([machine.cloud_id]))
    assert ec2.instances()[0]["state"] == "terminated"


def test_states_take_their_time(ec2: Ec2, settings: Options, made: Ec2Cloud) -> None:
    ec2.set(boot=1000.0, ending=1000.0)
    (machine,) = run(made.launch(request(settings)))
    assert run(made.listing(OWNER)).machines[0].state is MachineState.PENDING
    run(made.terminate([machine.cloud_id]))
    (seen,) = run(made.listing(OWNER)).machines
    assert (seen.state, seen.evicted) == (MachineState.SHUTTING_DOWN, False)
    assert "User initiated" in seen.reason


def test_an_eviction_is_seen(ec2: Ec2, settings: Options, made: Ec2Cloud) -> None:
    one, two = run(made.launch(request(settings, count=2, market=SPOT)))
    ec2.evict(one.cloud_id)
    ec2.end(two.cloud_id, "Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: it did it itself")
    seen = {each.cloud_id: each for each in run(made.listing(OWNER)).machines}
    assert [seen[each.cloud_id].evicted for each in (one, two)] == [True, False]
    assert {each.state for each in seen.values()} == {MachineState.TERMINATED}
    assert "SpotInstanceTermination" in seen[one.cloud_id].reason


def test_failed_checks_are_read_once_in_five_minutes(ec2: Ec2, settings: Options, made: Ec2Cloud, clock: Clock) -> None:
    one, two = run(made.launch(request(settings, count=2)))
    run(made.listing(OWNER))
    ec2.impair(one.cloud_id, "instance")
    ec2.impair(two.cloud_id, "system")
    ec2.clear()
    for _ in range(5):
        assert {each.impaired for each in run(made.listing(OWNER)).machines} == {""}
    assert ec2.calls() == {"DescribeInstances": 5}
    clock.now += CHECKS_EVERY
    seen = {each.cloud_id: each.impaired for each in run(made.listing(OWNER)).machines}
    assert seen == {one.cloud_id: "instance-status check failed", two.cloud_id: "system-status check failed"}
    assert ec2.calls() == {"DescribeInstances": 6, "DescribeInstanceStatus": 2}


def test_checks_that_we_may_not_read_leave_the_listing_whole(ec2: Ec2, settings: Options, made: Ec2Cloud) -> None:
    run(made.launch(request(settings)))
    ec2.fault("DescribeInstanceStatus", "UnauthorizedOperation", status=403)
    assert run(made.listing(OWNER)).complete


def test_a_batch_goes_on_without_one_that_vanished(ec2: Ec2, settings: Options, made: Ec2Cloud) -> None:
    machines = run(made.launch(request(settings, count=4)))
    ids = [each.cloud_id for each in machines]
    ec2.forget(ids[1])
    ec2.clear()
    run(made.stop(ids))
    assert {each["state"] for each in ec2.instances()} <= {"stopping", "stopped"}
    run(made.start(ids))
    assert {each["state"] for each in ec2.instances()} <= {"pending", "running"}
    run(made.terminate(ids))
    assert {each["state"] for each in ec2.instances()} <= {"shutting-down", "terminated"}
    assert ec2.calls() == {"StopInstances": 2, "StartInstances": 2, "TerminateInstances": 2}


def test_spot_machines_are_not_stopped(ec2: Ec2, settings: Options, made: Ec2Cloud) -> None:
    (machine,) = run(made.launch(request(settings, market=SPOT)))
    with pytest.raises(CloudError, match="UnsupportedOperation") as refusal:
        run(made.stop([machine.cloud_id]))
    assert refusal.value.fault is Fault.REFUSED


def test_the_private_address_is_told_where_the_settings_say_so(ec2: Ec2) -> None:
    settings = options(ec2, image=ec2.image(), address="private")
    with cloud(settings) as made:
        run(made.launch(request(settings)))
        (seen,) = run(made.listing(OWNER)).machines
    assert seen.address == ec2.instances()[0]["address"]
    assert ec2.instances()[0]["tags"][ADDRESS] == "private"
    assert ADDRESS not in seen.tags


INSTANCE: dict[str, Any] = {
    "InstanceId": "i-1",
    "InstanceType": "m5.large",
    "State": {"Name": "running"},
    "PrivateIpAddress": "10.0.0.1",
    "PublicIpAddress": "54.0.0.1",
}


def test_the_public_address_comes_first_and_a_tag_turns_it_round() -> None:
    assert machine_of(INSTANCE).address == "54.0.0.1"
    assert machine_of(INSTANCE | {"PublicIpAddress": ""}).address == "10.0.0.1"
    assert machine_of(INSTANCE | {"Tags": [{"Key": ADDRESS, "Value": "private"}]}).address == "10.0.0.1"


@pytest.mark.parametrize(
    "told",
    [
        {"StateReason": {"Code": "Server.SpotInstanceTermination", "Message": "x"}},
        {"StateTransitionReason": "Server.SpotInstanceTermination (2026-11-21 10:00:00 GMT)"},
        {"StateReason": {"Code": "Server.SpotInstanceShutdown", "Message": "x"}},
        {"StateReason": {"Code": "Server.ScheduledStop", "Message": "x"}},
    ],
)
def test_each_way_of_telling_an_eviction(told: dict[str, Any]) -> None:
    assert machine_of(INSTANCE | {"State": {"Name": "terminated"}} | told).evicted


def test_a_state_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(CloudError, match="rebooting"):
        machine_of(INSTANCE | {"State": {"Name": "rebooting"}})
