"""The numbers of EC2 that can be counted, at a small scale: calls and virtual time are the same on every computer."""

import pytest

from benchmarks.ec2_fifty import STRETCH, ours
from benchmarks.ec2_hosts import BOOT
from benchmarks.ec2_run import SECONDS

MACHINES = 4
LISTINGS = 45  # one every 10 s until the last machine has ended


@pytest.mark.timeout(120)
def test_calls_are_a_listing_a_pass_and_a_few_for_all_machines_together() -> None:
    told = ours(MACHINES)
    calls = told["calls"]
    assert calls.pop("get_console_output") == MACHINES  # each host key is asked for once, when the machine answers
    assert calls.pop("run_instances") == 1
    assert calls.pop("terminate_instances") <= 2
    assert calls.pop("describe_instance_status") <= 4
    assert set(calls) == {"describe_instances"}
    assert calls["describe_instances"] <= LISTINGS
    assert told["makespan"] <= STRETCH * (BOOT + SECONDS)
