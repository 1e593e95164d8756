"""What every cloud promises, whichever it is."""

import pytest
from attrs import evolve

from reconciler.clouds.base import CloudError, Owner
from reconciler.model.offer import Fault, MachineState, Place
from tests.clouds.cloud_cases import OWNER, Case, run

LIVE = {MachineState.PENDING, MachineState.RUNNING}
STOPPED = {MachineState.STOPPING, MachineState.STOPPED}
ENDED = {MachineState.SHUTTING_DOWN, MachineState.TERMINATED}


def listed(case: Case) -> dict[str, MachineState]:
    listing = run(case.cloud.listing(OWNER))
    assert listing.complete, listing.error
    assert listing.place == case.cloud.place
    return {machine.cloud_id: machine.state for machine in listing.machines}


def test_a_place_without_machines_lists_none(case: Case) -> None:
    assert listed(case) == {}
    assert isinstance(case.cloud.place, Place)


def test_a_launch_is_listed_with_all_that_it_was_asked_for(case: Case) -> None:
    (machine,) = run(case.cloud.launch(case.request))
    (seen,) = run(case.cloud.listing(OWNER)).machines
    assert evolve(seen, state=machine.state) == machine
    assert (seen.token, seen.index, seen.type) == ("t1", 0, case.request.offer.type)
    assert seen.tags == case.request.tags
    assert seen.born is not None


def test_one_token_never_buys_twice(case: Case) -> None:
    bought = run(case.cloud.launch(case.asking("a", 3)))
    again = run(case.cloud.launch(case.asking("a", 3)))
    assert [machine.cloud_id for machine in again] == [machine.cloud_id for machine in bought]
    assert [machine.index for machine in again] == [0, 1, 2]
    assert len(listed(case)) == 3


def test_a_token_that_is_replayed_after_its_machines_ended_gives_the_ended_ones(case: Case) -> None:
    (machine,) = run(case.cloud.launch(case.request))
    run(case.cloud.terminate([machine.cloud_id]))
    (again,) = run(case.cloud.launch(case.request))
    assert again.cloud_id == machine.cloud_id
    assert again.state in ENDED
    assert set(listed(case).values()) <= ENDED


def test_a_token_is_refused_for_another_request(case: Case) -> None:
    run(case.cloud.launch(case.asking("a", 1)))
    with pytest.raises(CloudError) as refusal:
        run(case.cloud.launch(case.asking("a", 2)))
    assert refusal.value.fault is Fault.REFUSED
    assert len(listed(case)) == 1


def test_a_cloud_that_is_nearly_full_gives_fewer(case: Case) -> None:
    request = case.crowded(2)
    assert [machine.index for machine in run(case.cloud.launch(request))] == [0, 1]
    assert [machine.index for machine in run(case.cloud.launch(request))] == [0, 1]
    assert len(listed(case)) == 2


def test_a_full_cloud_says_capacity(case: Case) -> None:
    request = case.crowded(1)
    run(case.cloud.launch(request))
    with pytest.raises(CloudError) as refusal:
        run(case.cloud.launch(evolve(request, token="another")))
    assert refusal.value.fault is Fault.CAPACITY
    assert len(listed(case)) == 1


def test_room_that_an_ended_machine_leaves_is_given_again(case: Case) -> None:
    request = case.crowded(1)
    (machine,) = run(case.cloud.launch(request))
    run(case.cloud.terminate([machine.cloud_id]))
    assert len(run(case.cloud.launch(evolve(request, token="another")))) == 1


def test_only_our_own_machines_are_listed(case: Case) -> None:
    run(case.cloud.launch(case.request))
    assert run(case.cloud.listing(Owner(controller="other", database_id="d1"))).machines == ()
    assert len(run(case.cloud.listing(Owner(controller="iris", database_id="another"))).machines) == 1


def test_lookup_knows_live_ones_and_ended_ones_and_says_none_for_others(case: Case) -> None:
    one, two = run(case.cloud.launch(case.asking("a", 2)))
    run(case.cloud.terminate([two.cloud_id]))
    found = run(case.cloud.lookup([one.cloud_id, two.cloud_id, case.unknown]))
    assert (one_found := found[one.cloud_id])
    assert one_found.state in {MachineState.PENDING, MachineState.RUNNING}
    assert (two_found := found[two.cloud_id])
    assert two_found.state in ENDED
    assert (two_found.token, two_found.index, two_found.tags) == ("a", 1, case.request.tags)
    assert found[case.unknown] is None


def test_ending_twice_is_no_error(case: Case) -> None:
    (machine,) = run(case.cloud.launch(case.request))
    run(case.cloud.terminate([machine.cloud_id]))
    run(case.cloud.terminate([machine.cloud_id]))
    assert set(listed(case).values()) <= ENDED


@pytest.mark.parametrize("call", ["terminate", "stop", "start"])
def test_an_unknown_machine_is_not_found(case: Case, call: str) -> None:
    run(case.cloud.launch(case.request))
    with pytest.raises(CloudError) as refusal:
        run(getattr(case.cloud, call)([case.unknown]))
    assert refusal.value.fault is Fault.NOT_FOUND
    assert set(listed(case).values()) <= LIVE


@pytest.mark.parametrize(("call", "after"), [("terminate", ENDED), ("stop", STOPPED), ("start", LIVE)])
def test_a_batch_with_an_unknown_machine_is_left_alone_or_done_for_the_others(
    case: Case, call: str, after: set[MachineState]
) -> None:
    (machine,) = run(case.cloud.launch(case.request))
    work = getattr(case.cloud, call)([case.unknown, machine.cloud_id])
    if case.all_or_none:
        with pytest.raises(CloudError) as refusal:
            run(work)
        assert refusal.value.fault is Fault.NOT_FOUND
    else:
        run(work)
    assert set(listed(case).values()) <= (LIVE if case.all_or_none else after)


def test_a_stopped_machine_stays_and_starts_again(case: Case) -> None:
    (machine,) = run(case.cloud.launch(case.request))
    if not case.stops:
        for call in (case.cloud.stop, case.cloud.start):
            with pytest.raises(CloudError) as refusal:
                run(call([machine.cloud_id]))
            assert refusal.value.fault is Fault.REFUSED
        assert listed(case) == {machine.cloud_id: MachineState.RUNNING}
        return
    run(case.cloud.stop([machine.cloud_id]))
    assert listed(case)[machine.cloud_id] in {MachineState.STOPPING, MachineState.STOPPED}
    run(case.cloud.stop([machine.cloud_id]))
    run(case.cloud.start([machine.cloud_id]))
    run(case.cloud.start([machine.cloud_id]))
    assert listed(case)[machine.cloud_id] in {MachineState.PENDING, MachineState.RUNNING}


@pytest.mark.parametrize("call", ["stop", "start"])
def test_an_ended_machine_neither_stops_nor_starts(case: Case, call: str) -> None:
    (machine,) = run(case.cloud.launch(case.request))
    run(case.cloud.terminate([machine.cloud_id]))
    with pytest.raises(CloudError) as refusal:
        run(getattr(case.cloud, call)([machine.cloud_id]))
    assert refusal.value.fault in {Fault.NOT_FOUND, Fault.REFUSED}
    assert set(listed(case).values()) <= ENDED


@pytest.mark.parametrize(("token", "count"), [("", 1), ("t" * 65, 1), ("é", 1), ("t", 0), ("t", -1)])
def test_a_request_that_makes_no_sense_is_refused(case: Case, token: str, count: int) -> None:
    with pytest.raises(CloudError) as refusal:
        run(case.cloud.launch(case.asking(token, count)))
    assert refusal.value.fault is Fault.REFUSED
    assert listed(case) == {}
