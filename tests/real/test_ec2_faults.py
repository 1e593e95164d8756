"""For real, on EC2 as tests have it: the faults at which RAMP leaks machines, trains twice or loses results."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ec2.control import Ec2
from tests.hosts.metadata import ACTION, REBALANCE, TOKEN, metadata_service
from tests.machines.sshd import need_machines
from tests.real.ec2_deployment import JOB, Deployment, ToolFleet, deployment, ledger

__all__ = ["deployment", "ledger"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(200)]

# No outcome but success and an eviction may happen: any other has no retry.
REST = """\
size: {t3.micro: 0..%d}
market: %s
idle: 1s
deadlines: {silence: 20s, boot: 60s}
retries: {lost: 0, never started: 0}
workload: {script: {command: sh run.sh, outputs: ["out/**"]}}
"""
# How an answer is cut off: tar stands still within the first file, until the test drops the connection.
TORN = """\
if [ "$1" = -cf ] && [ "$(wc -l 2>/dev/null < ~/torn)" -lt 2 ]; then
    /usr/bin/tar "$@" | head -c 700
    echo torn >> ~/torn
    exec sleep 60
fi
exec /usr/bin/tar "$@\""""
HTML = "<html><body>Please log in: a terminate notice of this portal</body></html>"
# What something else than EC2 may answer where a notice would stand.
NO_NOTICE = (HTML, "none", "{}", '{"action":"none"}', '"action":"terminate"', "terminate", "", '{"noticeTime":null}')


@pytest.fixture
def fleet(tmp_path: Path, ec2: Ec2) -> Iterator[ToolFleet]:
    """EC2 that takes its time, and machines."""
    need_machines()
    ec2.set(boot=0.3, ending=0.3, lag=0.3, unknown=0.2)
    fleet = ToolFleet(ec2, tmp_path / "machines")
    with fleet:
        yield fleet
    assert fleet.problems == []


def begun(deployment: Deployment, count: int, market: str = "on-demand") -> subprocess.Popen[bytes]:
    """So many submissions, each on its own machine."""
    deployment.pool(REST % (count, market))
    for number in range(count):
        deployment.submit(f"job-{number}")
    process = deployment.run("--until-settled")
    deployment.until(lambda: deployment.count("start") == count, process)
    return process


def all_is_well(deployment: Deployment, count: int, *, starts: int, bought: int) -> None:
    """Each submission's result is home, no machine is left, and nothing was started or bought more often than this."""
    deployment.nothing_lost(*(f"job-{number}" for number in range(count)))
    assert deployment.count("start") == starts
    assert len(deployment.fleet.ec2.instances()) == bought


def test_killed_with_five_training(deployment: Deployment) -> None:
    deployment.kill(begun(deployment, 5))
    deployment.go()
    deployment.settle()
    all_is_well(deployment, 5, starts=5, bought=5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_with_three_training(deployment: Deployment, number: signal.Signals) -> None:
    assert deployment.kill(begun(deployment, 3), number) == 3
    deployment.go()
    deployment.until(lambda: deployment.count("end") == 3)  # without anybody who looks after them
    assert len(deployment.fleet.live()) == 3
    deployment.settle()
    all_is_well(deployment, 3, starts=3, bought=3)


def test_one_of_three_spot_machines_is_taken_back(deployment: Deployment) -> None:
    process = begun(deployment, 3, "spot")
    victim = next(each["id"] for each in deployment.fleet.live() if each["spot"])
    (name,) = [row["name"] for row in deployment.rows("submissions") if row["instance"] == deployment.row(victim)["id"]]
    deployment.fleet.ec2.evict(victim)
    # While the others train on: it waits neither for them nor for a time.
    deployment.until(lambda: deployment.counted()[f"start {name}"] == 2, process)
    assert deployment.count("end") == 0
    deployment.go()
    deployment.settle(process)
    all_is_well(deployment, 3, starts=4, bought=4)
    assert [each["outcome"] for each in deployment.tries(name)] == ["evicted", "succeeded"]


def test_a_download_that_is_cut_off_is_tried_again_before_the_machine_goes(deployment: Deployment) -> None:
    process = begun(deployment, 1)
    fleet, (machine,) = deployment.fleet, deployment.fleet.machines.values()
    assert isinstance(fleet, ToolFleet)
    torn = machine.home / "torn"
    torn.touch()
    torn.chmod(0o666)
    fleet.tool(machine, "tar", TORN)
    deployment.go()
    for times in (1, 2):
        deployment.until(lambda times=times: torn.read_text().count("torn") == times, process)  # type: ignore[misc]
        assert deployment.row(fleet.live()[0]["id"])["state"] == "ready"
        machine.drop_connections()
    deployment.settle(process)
    all_is_well(deployment, 1, starts=1, bought=1)


def test_a_request_that_was_wrong_is_made_again_at_once_where_its_pool_is_edited(deployment: Deployment) -> None:
    rest = REST % (1, "on-demand")
    deployment.pool(rest, image="ami-00000000000000000")
    deployment.submit("job-0")
    deployment.go()
    process = deployment.run("--until-settled")
    deployment.until(lambda: "held back t3.micro" in deployment.log(), process)
    assert "image id '[ami-00000000000000000]' does not exist" in deployment.command("show", "job-0")
    deployment.pool(rest, image="ami-0000000000000000f")
    deployment.until(lambda: "ami-0000000000000000f]' does not exist" in deployment.command("show", "job-0"), process)
    assert "ami-00000000000000000" not in deployment.command("pools")
    deployment.pool(rest)
    deployment.settle(process)  # within the test's time, which is shorter than any hold
    all_is_well(deployment, 1, starts=1, bought=1)
    assert "held back" not in deployment.command("pools")


@contextmanager
def tiny(folder: Path) -> Iterator[None]:
    """A file system of its own, in which there is hardly any room. Yields nothing; its content goes with the block."""
    folder.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"a small file system: {made.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_is_full_here_keeps_results_and_machine(deployment: Deployment) -> None:
    deployment.pool(REST % (1, "on-demand"))
    deployment.submit("job-0", JOB + "head -c 300000 /dev/urandom > out/large\n")
    deployment.go()
    with tiny(deployment.folder / "results"):
        process = deployment.run("--until-settled")
        deployment.until(lambda: deployment.count("end") == 1, process)
        deployment.until(lambda: "No space left on device" in deployment.command("show", "job-0"), process)
        assert [each["state"] for each in deployment.fleet.live()] == ["running"]
        subprocess.run(["mount", "-o", "remount,size=8m", deployment.folder / "results"], check=True)
        deployment.settle(process)
        all_is_well(deployment, 1, starts=1, bought=1)
        assert (deployment.folder / "results" / "job-0" / "1" / "out" / "large").stat().st_size == 300000
        assert deployment.tries("job-0")[0]["outcome"] == "succeeded"


@pytest.mark.parametrize(("code", "status"), [("InternalError", 500), ("RequestLimitExceeded", 503)])
def test_ec2_does_not_answer_while_machines_boot(deployment: Deployment, code: str, status: int) -> None:
    server = deployment.fleet.ec2
    server.set(boot=1.5)
    deployment.pool(REST % (2, "on-demand"))
    deployment.submit("job-0")
    deployment.submit("job-1")
    deployment.go()
    process = deployment.run("--until-settled")
    deployment.until(lambda: server.calls().get("RunInstances"), process)
    server.fault("DescribeInstances", code, status=status, times=7)
    server.clear()
    deployment.until(lambda: server.calls().get("DescribeInstances", 0) >= 7, process)
    deployment.settle(process)
    all_is_well(deployment, 2, starts=2, bought=2)


def test_metadata_that_say_anything_are_no_notice(deployment: Deployment) -> None:
    with metadata_service() as service:
        lease = f"    metadata: {service.url}\n    lease: 1s"  # so that it is asked four times a second
        deployment.pool(REST % (2, "spot"), cloud=lease)
        deployment.submit("job-0")
        deployment.submit("job-1")
        process = deployment.run("--until-settled")
        deployment.until(lambda: deployment.count("start") == 2, process)
        for text in NO_NOTICE:
            service.answers = {ACTION: (200, text), REBALANCE: (200, text)}
            asked = service.asked.count(("GET", REBALANCE, 200))
            deployment.until(lambda asked=asked: service.asked.count(("GET", REBALANCE, 200)) >= asked + 3, process)  # type: ignore[misc]
        service.token = HTML
        asked = len(service.asked)
        deployment.until(lambda: len(service.asked) >= asked + 3, process)
        service.token = TOKEN
        deployment.go()
        deployment.settle(process)
    all_is_well(deployment, 2, starts=2, bought=2)
