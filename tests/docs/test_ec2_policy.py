"""docs/iam-policy.json is the least that the code needs: every call is allowed, and every allowed action is called."""

import ast
import json
import re
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from attrs import evolve
from botocore import xform_name

from reconciler.clouds.ec2_checks import examine
from reconciler.clouds.ec2_prices import price
from reconciler.clouds.ec2_ssh import console_keys
from reconciler.model.offer import Offer
from reconciler.spec.canonical import to_json
from reconciler.spec.values import Choice, Idle, Pool, Size
from tests.clouds.cloud_cases import OWNER, run
from tests.clouds.ec2_cases import SPOT, TYPE, cloud, here, options, request
from tests.ec2.control import Ec2

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "docs" / "iam-policy.json"
LONGEST_POLICY = 6144  # characters without white space ("IAM and AWS STS quotas")
# boto3's name of a service → the policy's.
PREFIXES = {"ec2": "ec2", "sts": "sts", "iam": "iam", "pricing": "pricing", "service-quotas": "servicequotas"}
# What RunInstances needs besides its own name → the parameter that makes it so.
IMPLIED = {
    "ec2:CreateTags": "TagSpecification.1.ResourceType",
    "iam:PassRole": "IamInstanceProfile.Name",
    "iam:CreateServiceLinkedRole": "InstanceMarketOptions.MarketType",
}


def statements() -> list[dict[str, Any]]:
    return json.loads(POLICY.read_text())["Statement"]  # type: ignore[no-any-return]


def actions(statement: Mapping[str, Any]) -> list[str]:
    named = statement["Action"]
    return [named] if isinstance(named, str) else list(named)


def allowed() -> set[str]:
    return {action for statement in statements() for action in actions(statement)}


def named_calls() -> set[str]:
    """Every operation of AWS whose boto3 name is written anywhere in the cloud's code."""
    words = {
        node.value
        for path in (ROOT / "reconciler" / "clouds").glob("ec2*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    session = botocore.session.get_session()
    return {
        f"{prefix}:{name}"
        for service, prefix in PREFIXES.items()
        if service in words or service == "ec2"
        for name in session.get_service_model(service).operation_names
        if xform_name(name) in words
    }


def test_every_call_of_the_code_is_allowed_and_every_allowed_action_is_called() -> None:
    assert named_calls() == allowed() - IMPLIED.keys()


@pytest.fixture
def bought_and_ended(ec2: Ec2, tmp_path: Path) -> Ec2:
    """An account in which all was done that the code can do."""
    client, iam = ec2.client(), ec2.client("iam")
    with closing(client), closing(iam):
        client.create_key_pair(KeyName="ramp")
        iam.create_instance_profile(InstanceProfileName="reconciler-worker")
    settings = options(
        ec2, image=ec2.image("iris_backend"), key_name="ramp", security_group=("default",), subnets=(ec2.subnet(),),
        instance_profile="reconciler-worker",
    )  # fmt: skip
    pool = Pool(
        pool="cpu", cloud=Choice(kind="ec2", settings=settings), size={TYPE: Size(low=0, high=1)},
        workload=Choice(kind="script", settings=None), idle=Idle(terminate=9.0, stop=1.0),
    )  # fmt: skip

    async def all_of_it(made: Any) -> None:
        (one,) = await made.launch(request(settings, token="a"))
        (two,) = await made.launch(request(evolve(settings, volume_size=9), token="b", market=SPOT))
        await made.listing(OWNER)
        assert (await made.lookup([one.cloud_id]))[one.cloud_id] is not None
        await console_keys(made._account, one.cloud_id)
        async for _ in examine(pool, here()):
            pass
        await made.stop([one.cloud_id])
        await made.start([one.cloud_id])
        await made.terminate([one.cloud_id, two.cloud_id])
        await price(to_json(settings), [Offer(type=TYPE), Offer(type=TYPE, market=SPOT)], here())

    ec2.clear()
    with cloud(settings) as made:
        run(all_of_it(made))
    return ec2


def test_all_that_is_allowed_is_what_was_asked_of_aws(bought_and_ended: Ec2) -> None:
    wanted = {action.partition(":")[2] for action in allowed() - IMPLIED.keys()}
    assert set(bought_and_ended.calls()) == wanted


def test_what_is_bought_meets_the_conditions_of_the_policy(bought_and_ended: Ec2) -> None:
    launches = bought_and_ended.requests("RunInstances")
    for parameter in IMPLIED.values():
        assert any(parameter in launch for launch in launches), parameter
    bought = next(each for each in statements() if each["Sid"] == "BuyWhatCarriesOurTag")
    (tag,) = (key.partition("/")[2] for key in bought["Condition"]["StringLike"])
    kinds = {arn.rpartition(":")[2].partition("/")[0] for arn in bought["Resource"]}
    for launch in launches:
        assert {kind for kind, names in tags_of(launch).items() if tag in names} == kinds
    ended = next(each for each in statements() if each["Sid"] == "EndWhatCarriesOurTag")
    assert ended["Condition"] == {"StringLike": {f"aws:ResourceTag/{tag}": "*"}}


def tags_of(launch: Mapping[str, str]) -> dict[str, set[str]]:
    """Kind of resource → names of the tags that it is born with."""
    found: dict[str, set[str]] = {}
    for key, value in launch.items():
        match = re.fullmatch(r"(TagSpecification\.\d+)\.Tag\.\d+\.Key", key)
        if match:
            found.setdefault(launch[f"{match[1]}.ResourceType"], set()).add(value)
    return found


def test_a_refusal_proves_nothing_while_no_machine_is_ours(ec2: Ec2) -> None:
    settings = options(ec2, image=ec2.image())
    pool = Pool(
        pool="cpu", cloud=Choice(kind="ec2", settings=settings), size={TYPE: Size(low=0, high=1)},
        workload=Choice(kind="script", settings=None),
    )  # fmt: skip

    async def said() -> str:
        return "\n".join([f"{check.found}: {check.text}" async for check in examine(pool, here())])

    ec2.fault("TerminateInstances", "UnauthorizedOperation", status=403)
    assert "could not check: TerminateInstances is refused without a machine of ours" in run(said())


def test_the_policy_is_attached_whole() -> None:
    assert len(re.sub(r"\s", "", POLICY.read_text())) <= LONGEST_POLICY
