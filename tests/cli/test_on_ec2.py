"""The commands that ask EC2 itself: doctor before money is spent, what it costs, and the way back to nothing."""

import json
from pathlib import Path

import pytest

from reconciler.store.store import Store
from tests.cli.cli_rows import Invoke
from tests.ec2.control import KEYS, Ec2
from tests.store.store_rows import fill, instance

pytestmark = pytest.mark.real

POOL = """\
pool: cpu
cloud: {ec2: {region: eu-west-1, image: %s, prices: {t3.micro: 0.25}}}
size: {t3.micro: 0..2}
workload: {script: {command: sh run.sh}}
"""


@pytest.fixture
def on_ec2(here: Path, ec2: Ec2, monkeypatch: pytest.MonkeyPatch) -> Ec2:
    """The deployment's pool is one of EC2, with an image that is there."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": ec2.url}.items():
        monkeypatch.setenv(name, value)
    (here / "specs" / "cpu.yml").write_text(POOL % ec2.image())
    return ec2


def bought(ec2: Ec2, controller: str = "tests", count: int = 2) -> list[str]:
    """Machines that carry a controller's name, as a database that is gone has bought them."""
    tags = [{"Key": "reconciler:controller", "Value": controller}, {"Key": "reconciler:pool", "Value": "cpu"}]
    client = ec2.client()
    try:
        made = client.run_instances(
            ImageId=ec2.image(controller), MinCount=count, MaxCount=count, InstanceType="t3.micro",
            ClientToken=f"token-{controller}", TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )  # fmt: skip
        return [each["InstanceId"] for each in made["Instances"]]
    finally:
        client.close()


def living(ec2: Ec2) -> set[str]:
    return {each["id"] for each in ec2.instances() if each["state"] in ("pending", "running", "stopped")}


def test_destroy_ends_what_is_ours_in_one_call(invoke: Invoke, here: Path, on_ec2: Ec2) -> None:
    ours, theirs = bought(on_ec2), bought(on_ec2, "others")
    on_ec2.clear()
    told = invoke("destroy", "--yes")
    assert told.exit_code == 0, told.output
    assert all(name in told.stdout for name in ours)
    assert living(on_ec2) == set(theirs)
    assert on_ec2.calls()["TerminateInstances"] == 1
    assert not (here / "tests.db").exists()


def test_destroy_that_may_not_look_says_so(invoke: Invoke, on_ec2: Ec2) -> None:
    machines = bought(on_ec2)
    on_ec2.fault("DescribeInstances", "UnauthorizedOperation", times=100)
    told = invoke("destroy", "--yes")
    assert told.exit_code == 1
    assert "could not be made sure of: ec2" in told.stderr
    assert living(on_ec2) == set(machines)


def test_doctor_says_what_is_wrong_and_buys_nothing(invoke: Invoke, here: Path, on_ec2: Ec2) -> None:
    invoke("init", "ec2", here / "new")
    told = invoke("doctor", "--json", "--config", "new/config.yml")
    assert told.exit_code == 1, told.output
    found = {each["check"]: each for each in json.loads(told.stdout)}
    assert found["pool ec2: credentials"]["result"] == "ok"
    wrong = " ".join(each["text"] for each in found.values() if each["result"] == "problem")
    for placeholder in ("FILL-IN-AN-IMAGE", "FILL-IN-A-KEY-PAIR", "FILL-IN.pem"):
        assert placeholder in wrong
    assert not on_ec2.instances()
    assert not list((here / "new").glob("*.db*"))


def test_what_a_machine_cost_so_far(invoke: Invoke, here: Path, on_ec2: Ec2, store: Store) -> None:
    settings = json.dumps({"region": "eu-west-1", "prices": {"t3.micro": 0.25}})
    now = store.now()
    fill(
        store, instance("m1", state="ready", type="t3.micro", cloud="ec2", cloud_id="i-1", settings=settings,
                        place='{"region":"eu-west-1"}', born=now - 7200, since=now),
    )  # fmt: skip
    (found,) = json.loads(invoke("instances", "--json").stdout)
    assert (found["hourly"], found["cost"]) == (0.25, pytest.approx(0.5, abs=0.01))
    assert " 0.50 " in invoke("instances").stdout
