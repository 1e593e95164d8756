"""What `doctor` finds on EC2 before money is spent: all well, what is wrong and what to do, and what it may not see."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.clouds.base import Check, Found
from reconciler.clouds.ec2_checks import SKEW, clock_check, examine
from reconciler.clouds.ec2_checks_access import sources_of
from reconciler.clouds.ec2_checks_launch import vcpus_by_quota
from reconciler.clouds.registry import CHECKS
from reconciler.model.offer import Market
from reconciler.spec.values import Choice, Idle, Pool, Size
from tests.clouds.cloud_cases import run
from tests.clouds.ec2_cases import TYPE, cloud, here, options, request
from tests.ec2.control import REGION, Ec2

SIZE = {TYPE: Size(low=0, high=4)}


def pool(server: Ec2, *, size: Mapping[str, Size] = SIZE, idle: Idle = Idle(), **settings: Any) -> Pool:  # noqa: B008
    choice = Choice(kind="ec2", settings=options(server, **settings))
    return Pool(pool="cpu", cloud=choice, size=size, workload=Choice(kind="script", settings=None), idle=idle)


def found(pool: Pool, environ: dict[str, str] | None = None) -> list[Check]:
    async def every() -> list[Check]:
        return [check async for check in examine(pool, here(environ))]

    return run(every())


def of(checks: list[Check], what: str) -> list[Check]:
    chosen = [check for check in checks if check.what == what]
    assert chosen, f"nothing was said of {what}"
    return chosen


@pytest.fixture
def good(ec2: Ec2, tmp_path: Path) -> dict[str, Any]:
    """Settings with which everything is well."""
    client, iam = ec2.client(), ec2.client("iam")
    client.create_key_pair(KeyName="ramp")
    subnet = ec2.subnet()
    vpc = client.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    group = client.create_security_group(GroupName="ssh-in", Description="x", VpcId=vpc)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 20, "ToPort": 30, "IpRanges": [{"CidrIp": "192.0.2.0/24"}]}
    client.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    iam.create_instance_profile(InstanceProfileName="worker")
    client.close()
    iam.close()
    key = tmp_path / "key.pem"
    key.touch(mode=0o600)
    return {
        "image": ec2.image(), "key_name": "ramp", "key_path": key, "security_group": ("ssh-in",),
        "subnets": (subnet,), "instance_profile": "worker",
    }  # fmt: skip


def test_all_is_well(ec2: Ec2, good: dict[str, Any]) -> None:
    settings = options(ec2, **good)
    with cloud(settings) as made:  # a machine of ours, so that permissions can be asked about
        run(made.launch(request(settings)))
    ec2.clear()
    checks = found(pool(ec2, idle=Idle(terminate=9.0, stop=1.0), **good))
    assert {check.found for check in checks} == {Found.OK}, [check for check in checks if check.found is not Found.OK]
    text = "\n".join(f"{check.what}: {check.text}" for check in checks)
    for said in (
        "credentials: account 123456789012", "clock: within", f"region: {REGION}", "(iris_backend), available",
        "key pair: ramp", "mode 600", "ssh-in: port 22 from 192.0.2.0/24", "free addresses", "profile: worker",
        f"{TYPE} in {REGION}", "16 vCPUs at most, of 256", "permission: TerminateInstances", "permission: RunInstances",
        "permission: StopInstances", "permission: DescribeInstances", "permission: GetConsoleOutput",
    ):  # fmt: skip
        assert said in text
    assert len(ec2.instances()) == 1


NOWHERE = Path("/nothing/here")
# Settings that are wrong together, and what is said of each.
WRONG: list[tuple[dict[str, Any], dict[str, str]]] = [
    (
        {
            "image": "nothing", "key_name": "none", "key_path": NOWHERE, "security_group": ("none",),
            "subnets": ("subnet-0000",), "instance_profile": "none", "zones": ("eu-west-9z",), "user_data": NOWHERE,
        },
        {
            "image": "no image of self has a name that begins with nothing",
            "key pair": "does not exist; check key_name: and region:, or make the key pair",
            "private key": "/nothing/here: No such file",
            "security group": "'subnet-0000' does not exist; check security_group:, subnets: and region:",
            "subnet": "'subnet-0000' does not exist; check subnets: and region:",
            "instance profile": "IAM has no instance profile none",
            "instance types": f"{TYPE} is not sold in eu-west-9z",
            "files": "/nothing/here: cannot be read",
            "permission": "/nothing/here: cannot be read",
        },
    ),
    (
        {"image": "ami-0000000000000000f", "security_group": ("none",)},
        {
            "image": "does not exist; check image: and region:", "security group": "no security group none",
            "permission": "none",
        },
    ),
    ({"security_group": ("default",), "subnets": ()}, {"security group": "lets nobody in at port 22"}),
    ({"port": 2222}, {"security group": "ssh-in lets nobody in at port 2222: add a rule"}),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "said"), WRONG)
def test_what_is_wrong_is_told_with_what_to_do(
    ec2: Ec2, good: dict[str, Any], settings: dict[str, Any], said: dict[str, str]
) -> None:
    problems = [each for each in found(pool(ec2, **good | settings)) if each.found is Found.PROBLEM]
    told = {each.what: each.text for each in problems}
    assert told.keys() == said.keys()
    assert {what: told[what] for what in said if said[what] not in told[what]} == {}


def test_a_private_key_that_others_can_read(ec2: Ec2, good: dict[str, Any]) -> None:
    good["key_path"].chmod(0o644)
    (check,) = of(found(pool(ec2, **good)), "private key")
    assert (check.found, check.text.rpartition(": ")[2]) == (Found.PROBLEM, f"chmod 600 {good['key_path']}")


def test_a_type_that_is_not_sold_and_a_quota_that_is_too_small(ec2: Ec2, good: dict[str, Any]) -> None:
    checks = found(pool(ec2, size={"x9z.large": Size(low=1, high=1)}, **good))
    assert of(checks, "instance types")[0].found is Found.PROBLEM
    (quota,) = of(checks, "quota")
    assert quota.text.endswith("; check the types in size:")
    ec2.set(vcpus=15.0)
    (quota,) = of(found(pool(ec2, **good)), "quota")
    assert quota.found is Found.PROBLEM
    assert "16 vCPUs at most, of 15" in quota.text


DENIED = {
    "DescribeRegions": "region",
    "DescribeImages": "image",
    "DescribeKeyPairs": "key pair",
    "DescribeSubnets": "subnet",
    "GetInstanceProfile": "instance profile",
    "DescribeInstanceTypeOfferings": "instance types",
    "GetServiceQuota": "quota",
    "GetConsoleOutput": "permission",
}


def test_what_we_may_not_see_fails_nothing(ec2: Ec2, good: dict[str, Any]) -> None:
    for action in DENIED:
        ec2.fault(action, "InternalError" if action == "GetConsoleOutput" else "UnauthorizedOperation", status=403)
    ec2.fault("DescribeSubnets", "UnauthorizedOperation", status=403)  # security groups ask for the subnet's VPC first
    checks = found(pool(ec2, **good))
    unknown = [check for check in checks if check.found is Found.UNKNOWN]
    assert {check.found for check in checks} == {Found.OK, Found.UNKNOWN}
    assert {check.what for check in unknown} == {*DENIED.values(), "security group"}
    assert not [check for check in unknown if "could not check" in check.text]  # the result says so


def test_a_permission_that_is_missing_is_named(ec2: Ec2, good: dict[str, Any]) -> None:
    actions = {"RunInstances", "TerminateInstances", "DescribeInstances"}
    for action in actions:
        ec2.fault(action, "UnauthorizedOperation", status=403)
    problems = [each for each in found(pool(ec2, **good)) if each.found is Found.PROBLEM]
    assert {each.what for each in problems} == {"permission"}
    assert {each.text.partition(" ")[0] for each in problems} == actions
    assert all(f"add ec2:{each.text.partition(' ')[0]} to the policy" in each.text for each in problems)


def test_without_credentials_there_is_nothing_else_to_say(ec2: Ec2, good: dict[str, Any]) -> None:
    (check,) = found(pool(ec2, **good), environ={"AWS_ACCESS_KEY_ID": "x"})
    assert (check.what, check.found) == ("credentials", Found.PROBLEM)
    assert "the environment has no AWS_SECRET_ACCESS_KEY" in check.text
    ec2.fault("GetCallerIdentity", "InvalidClientTokenId", status=403)
    (check,) = found(pool(ec2, **good))
    assert "check profile:" in check.text
    ec2.fault("GetCallerIdentity", drop=True, times=9)
    (check,) = found(pool(ec2, **good))
    assert check.found is Found.UNKNOWN


def test_without_a_region_there_is_nothing_else_to_say(ec2: Ec2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    (check,) = found(pool(ec2, region="mars-1", endpoint_url=None))
    assert (check.what, check.found) == ("region", Found.PROBLEM)
    assert check.text.startswith("EC2 has no region mars-1; ")


def test_a_clock_that_is_wrong(ec2: Ec2, good: dict[str, Any]) -> None:
    ec2.set(skew=600.0)
    (check,) = of(found(pool(ec2, **good)), "clock")
    assert check.found is Found.PROBLEM
    assert "ahead of AWS's" in check.text


@pytest.mark.parametrize(("off", "good"), [(0.0, True), (SKEW - 1, True), (SKEW + 1, False), (-SKEW - 1, False)])
def test_how_wrong_a_clock_may_be(off: float, good: bool) -> None:
    answer = {"ResponseMetadata": {"HTTPHeaders": {"date": "Sat, 21 Nov 2026 12:00:00 GMT"}}}
    check = clock_check(answer, 1795262400.0 + off)
    assert check.found is (Found.OK if good else Found.PROBLEM)
    assert clock_check({"ResponseMetadata": {"HTTPHeaders": {"date": "x"}}}, 0.0).found is Found.UNKNOWN


@pytest.mark.parametrize(
    ("rule", "sources"),
    [
        ({"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, {"0.0.0.0/0"}),
        ({"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-1"}]}, {"sg-1"}),
        ({"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}, {"::/0"}),
        ({"IpProtocol": "udp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, set()),
        ({"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, set()),
    ],
)
def test_from_where_a_rule_lets_us_in(rule: dict[str, Any], sources: set[str]) -> None:
    assert sources_of([rule], 22) == sources


def test_each_family_and_market_has_its_quota() -> None:
    sizes = {"c5.xlarge": 2, "m5.large": 1, "g5.xlarge": 3, "p4d.24xlarge": 1, "inf1.xlarge": 1}
    cores = {"c5.xlarge": 4, "m5.large": 2, "g5.xlarge": 4, "p4d.24xlarge": 96, "inf1.xlarge": 4}
    assert vcpus_by_quota(sizes, cores, [Market.SPOT, Market.ON_DEMAND]) == {
        ("L-1216C47A", "on-demand"): 10, ("L-34B43A08", "spot"): 10, ("L-DB2E81BA", "on-demand"): 12,
        ("L-3819A6DF", "spot"): 12, ("L-417A185B", "on-demand"): 96, ("L-7212CCBC", "spot"): 96,
        ("L-1945791B", "on-demand"): 4, ("L-B5D1601B", "spot"): 4,
    }  # fmt: skip


def test_the_registry_knows_them() -> None:
    assert CHECKS["ec2"]() is examine
