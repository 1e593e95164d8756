"""For real, on EC2 as tests have it: machines that are taken back, adopted, stopped, forgotten, destroyed."""

import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ec2.control import Ec2
from tests.hosts.metadata import ACTION, REBALANCE, Metadata, metadata_service
from tests.hosts.watched import uptime
from tests.machines.sshd import need_machines
from tests.real.ec2_deployment import END, NO_NEWS, ONCE, WAIT, Deployment, ToolFleet, deployment, ledger

__all__ = ["deployment", "ledger"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(200)]

REST = """\
size: {t3.micro: @SIZE@}
market: @MARKET@
idle: @IDLE@
deadlines: {silence: 20s, boot: 60s}
retries: {lost: 0, never started: 0}
workload: {script: {command: sh run.sh, outputs: ["out/**"], checkpoint: kept}}
"""
NOTICE = '{"action": "terminate", "time": "2026-11-21T16:00:00Z"}'
REBALANCING = '{"noticeTime": "2026-11-21T16:00:00Z"}'
LEASE = 3  # seconds

# It goes on from where it was, and would never end the first time.
CONTINUED = f"""\
{ONCE}
from=$(cat kept/step 2>/dev/null || echo 0)
say "from-$from"
mkdir -p kept out
echo $((from + 1)) > kept/step
echo "step $from was here"
echo half > out/half
say saved
[ "$from" -gt 0 ] || sleep 300
{END}"""


@pytest.fixture
def fleet(tmp_path: Path, ec2: Ec2) -> Iterator[ToolFleet]:
    """EC2 that takes its time, and machines."""
    need_machines()
    ec2.set(boot=0.3, ending=0.3, stopping=0.3)
    fleet = ToolFleet(ec2, tmp_path / "machines")
    with fleet:
        yield fleet
    assert fleet.problems == []


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    """What every machine is told of itself."""
    with metadata_service() as service:
        yield service


def rest(size: str = "0..1", market: str = "on-demand", idle: str = "1s") -> str:
    return REST.replace("@SIZE@", size).replace("@MARKET@", market).replace("@IDLE@", idle)


def told(metadata: Metadata) -> str:
    """The pool's cloud settings. The watch asks four times in each lease."""
    return f"    metadata: {metadata.url}\n    lease: 2s"


def test_two_minutes_notice(deployment: Deployment, metadata: Metadata) -> None:
    deployment.pool(rest(market="spot"), cloud=told(metadata))
    deployment.submit("work", CONTINUED)
    process = deployment.run("--until-settled")
    deployment.until(lambda: deployment.count("saved"), process)
    metadata.answers = {ACTION: (200, NOTICE)}
    deployment.until(lambda: ("GET", ACTION, 200) in metadata.asked, process)
    metadata.answers = {}  # the next machine is told nothing
    deployment.settle(process)

    deployment.nothing_lost("work")
    first, second = deployment.tries("work")
    assert (first["outcome"], second["outcome"]) == ("evicted", "succeeded")
    assert first["instance"] != second["instance"]
    home = deployment.folder / "results" / "work" / "1"
    assert (home / "out" / "half").read_text() == "half\n"
    assert (home / "kept" / "step").read_text() == "1\n"
    assert "step 0 was here" in (home / "log").read_text()
    assert not (home / "out" / "result").exists()
    assert deployment.counted()["from-1 work"] == 1
    reasons = {row["id"]: row["reason"] for row in deployment.rows("instances")}
    assert reasons[first["instance"]] == "evicted"
    # Its end was asked for: nobody waited until the two minutes were over.
    assert len(deployment.fleet.ec2.requests("TerminateInstances")) == 2


def test_a_rebalance_recommendation_ends_no_job(deployment: Deployment, metadata: Metadata) -> None:
    deployment.pool(rest(market="spot, then on-demand"), cloud=told(metadata))
    deployment.submit("first")
    process = deployment.run("--until-settled")
    deployment.until(lambda: deployment.count("start") == 1, process)
    metadata.answers = {REBALANCE: (200, REBALANCING)}
    deployment.until(lambda: ("GET", REBALANCE, 200) in metadata.asked, process)
    metadata.answers = {}
    deployment.until(lambda: deployment.rows("instances")[0]["state"] == "draining", process)
    deployment.submit("second")
    deployment.until(lambda: len(deployment.rows("submissions")) == 2, process)
    deployment.go("first")
    deployment.go("second")
    deployment.settle(process)
    deployment.nothing_lost("first", "second")
    (first,), (second,) = deployment.tries("first"), deployment.tries("second")
    assert first["instance"] != second["instance"]


def somebody_elses(deployment: Deployment) -> str:
    """A machine without any tag; its id."""
    server = deployment.fleet.ec2
    client = server.client()
    try:
        made = client.run_instances(
            ImageId=deployment.image(), MinCount=1, MaxCount=1, InstanceType="t3.large", SubnetId=server.subnet()
        )
        cloud_id = str(made["Instances"][0]["InstanceId"])
    finally:
        client.close()
    deployment.until(lambda: cloud_id in deployment.fleet.machines)
    return cloud_id


def test_a_machine_that_somebody_else_bought(deployment: Deployment) -> None:
    server = deployment.fleet.ec2
    theirs = somebody_elses(deployment)
    claim = deployment.fleet.machines[theirs].home / ".reconciler" / "claim"
    named = f"{rest(size='0')}adopt: [{theirs}]\n"
    deployment.pool(named)
    deployment.submit("work")
    deployment.go()
    process = deployment.run("--quiet")
    deployment.until(lambda: [row["state"] for row in deployment.rows("submissions")] == ["succeeded"], process)
    (row,) = deployment.rows("instances")
    assert (row["cloud_id"], deployment.tries("work")[0]["instance"]) == (theirs, row["id"])
    assert claim.read_text().startswith("tests ")
    deployment.pool(rest(size="0"))
    deployment.until(lambda: deployment.row(theirs)["state"] == "terminated", process)
    assert not claim.exists()
    assert [(each["id"], each["state"], each["tags"]) for each in server.instances()] == [(theirs, "running", {})]
    assert "TerminateInstances" not in server.calls()
    deployment.kill(process)


def test_a_machine_that_somebody_else_bought_is_ended_by_its_name(deployment: Deployment) -> None:
    theirs = somebody_elses(deployment)
    deployment.pool(f"{rest(size='0')}adopt: [{theirs}]\n")
    process = deployment.run("--quiet")
    deployment.until(lambda: [row["state"] for row in deployment.rows("instances")] == ["ready"], process)
    deployment.command("terminate", theirs, "--yes")
    deployment.until(lambda: not deployment.fleet.live(), process)
    deployment.until(lambda: deployment.row(theirs)["state"] == "terminated", process)
    deployment.kill(process)


def states(deployment: Deployment) -> list[str]:
    """Of the machines, as EC2 tells."""
    return [each["state"] for each in deployment.fleet.ec2.instances()]


def test_idle_machines_are_stopped_and_started_before_others_are_bought(deployment: Deployment) -> None:
    deployment.pool(rest(size="0..2", idle="stop after 0.5s, terminate after 1h"))
    deployment.go()
    deployment.submit("first")
    process = deployment.run("--quiet")
    deployment.until(lambda: states(deployment) == ["stopped"], process)
    deployment.until(lambda: deployment.rows("instances")[0]["state"] == "stopped", process)
    deployment.submit("second")
    deployment.until(lambda: deployment.count("end") == 2, process)
    deployment.until(lambda: states(deployment) == ["stopped"], process)
    assert deployment.fleet.ec2.calls()["RunInstances"] == 1
    assert deployment.fleet.ec2.calls()["StartInstances"] == 1
    # Who wants an end of it gets it, with stopped machines too.
    deployment.kill(process, signal.SIGTERM)
    deployment.settle()
    deployment.nothing_lost("first", "second")


def test_stopped_and_started_by_command(deployment: Deployment) -> None:
    deployment.pool(rest(idle="1h"))
    deployment.submit("work")
    deployment.go()
    process = deployment.run("--quiet")
    deployment.until(lambda: [row["state"] for row in deployment.rows("submissions")] == ["succeeded"], process)
    (row,) = deployment.rows("instances")
    deployment.command("stop", row["id"], "--yes")
    deployment.until(lambda: deployment.row(row["cloud_id"])["state"] == "stopped", process)
    assert states(deployment) == ["stopped"]
    deployment.command("start", row["cloud_id"], "--yes")
    deployment.until(lambda: deployment.row(row["cloud_id"])["state"] == "ready", process)
    assert states(deployment) == ["running"]
    deployment.kill(process)


def test_destroy_needs_no_database(deployment: Deployment) -> None:
    deployment.pool(rest(size="0..2"))
    for name in ("one", "two"):
        deployment.submit(name)
    process = deployment.run("--until-settled")
    deployment.until(lambda: deployment.count("start") == 2, process)
    deployment.kill(process)
    for file in deployment.folder.glob("reconciler.db*"):
        file.unlink()
    said = deployment.command("destroy", "--yes")
    assert deployment.fleet.live() == []
    assert all(each["id"] in said for each in deployment.fleet.ec2.instances())
    assert len(deployment.fleet.ec2.instances()) == 2


def test_a_machine_that_nobody_cares_for_ends_itself_once_its_job_is_over(
    deployment: Deployment, fleet: ToolFleet
) -> None:
    fleet.power = True
    deployment.pool(rest(), cloud=f"{NO_NEWS}\n    lease: {LEASE}s\n    keep_results: 1s")
    script = f"{ONCE}{WAIT}sleep 1\n{END}echo ended > {shlex.quote(str(deployment.ledger))}/ended\n"
    deployment.submit("work", script)
    process = deployment.run("--until-settled")
    deployment.until(lambda: deployment.count("start") == 1, process)
    deployment.kill(process)
    (machine,) = fleet.machines.values()
    over = uptime() + 2 * LEASE
    deployment.until(lambda: uptime() > over)
    assert states(deployment) == ["running"]
    assert not (machine.home / "shut-down").exists()
    deployment.go()
    deployment.until(lambda: states(deployment) == ["terminated"])
    assert (deployment.ledger / "ended").exists()
    assert deployment.count("end") == 1
    assert (machine.home / "shut-down").read_text().split()[1:3] == ["-h", "now"]
