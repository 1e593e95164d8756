"""Buying on EC2: by token, whatever becomes of the answer, and with everything in the one request."""

import email
from base64 import b64decode
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from reconciler.clouds.base import CloudError
from reconciler.clouds.ec2 import Ec2Cloud
from reconciler.clouds.registry import CLOUDS
from reconciler.model.offer import Fault, LaunchRequest, Machine, MachineState
from reconciler.model.tags import CONTROLLER, REQUEST
from reconciler.spec.canonical import to_json
from tests.clouds.cloud_cases import OWNER, TAGS, run
from tests.clouds.ec2_cases import NOBODY, ON_DEMAND, SPOT, TYPE, cloud, here, options, place, request
from tests.ec2.control import KEYS, REGION, Ec2


@pytest.fixture
def image(ec2: Ec2) -> str:
    return ec2.image()


def bought(server: Ec2, asked: LaunchRequest, settings: Any) -> list[Machine]:
    with cloud(settings) as made:
        return list(run(made.launch(asked)))


def sent(server: Ec2) -> dict[str, str]:
    return server.requests("RunInstances")[-1]


def parts(server: Ec2) -> list[Message]:
    message = email.message_from_bytes(b64decode(sent(server)["UserData"]))
    return [part for part in message.walk() if not part.is_multipart()]


@pytest.mark.parametrize("fault", [{"code": "InternalError", "status": 500}, {"drop": True}])
def test_a_launch_whose_answer_is_lost_is_asked_for_again_and_buys_nothing_new(
    ec2: Ec2, image: str, fault: dict[str, Any]
) -> None:
    settings = options(ec2, image=image)
    asked = request(settings, count=3)
    with cloud(settings) as made:
        ec2.fault("RunInstances", after=True, **fault)
        with pytest.raises(CloudError) as lost:
            run(made.launch(asked))
        assert lost.value.fault is Fault.UNREACHABLE
        assert len(ec2.instances()) == 3
        again = run(made.launch(asked))
    assert {each.cloud_id for each in again} == {each["id"] for each in ec2.instances()}
    assert [each.index for each in again] == [0, 1, 2]
    assert ec2.calls()["RunInstances"] == 2


def test_what_comes_back_is_what_there_was(ec2: Ec2, image: str) -> None:
    ec2.fault("RunInstances", give=2)
    machines = bought(ec2, request(options(ec2, image=image), count=5), options(ec2, image=image))
    assert [each.index for each in machines] == [0, 1]
    assert (sent(ec2)["MinCount"], sent(ec2)["MaxCount"], sent(ec2)["ClientToken"]) == ("1", "5", "t1")
    assert len(ec2.instances()) == 2


def test_capacity_is_asked_for_once(ec2: Ec2, image: str) -> None:
    ec2.set(limits={TYPE: 0})
    settings = options(ec2, image=image)
    with pytest.raises(CloudError) as refusal:
        bought(ec2, request(settings), settings)
    assert refusal.value.fault is Fault.CAPACITY
    assert ec2.calls()["RunInstances"] == 1


def test_a_newer_image_of_the_name_does_not_lose_what_the_token_bought(ec2: Ec2) -> None:
    first = ec2.image("iris_1")
    settings = options(ec2, image="iris")
    asked = request(settings)
    with cloud(settings) as made:
        (machine,) = run(made.launch(asked))
        assert sent(ec2)["ImageId"] == first
        newer = ec2.image("iris_2")
        (again,) = run(made.launch(asked))
        assert sent(ec2)["ImageId"] == newer
        assert again.cloud_id == machine.cloud_id
        with pytest.raises(CloudError) as refusal:
            run(made.launch(evolve(asked, count=2)))
        assert refusal.value.fault is Fault.REFUSED
        ec2.set(lag=1000.0)
        with pytest.raises(CloudError) as unlisted:
            run(made.launch(asked))
        assert unlisted.value.fault is Fault.UNREACHABLE
    assert len(ec2.instances()) == 1


def test_tags_are_in_the_request_and_the_users_do_not_go_over_ours(ec2: Ec2, image: str) -> None:
    settings = options(ec2, image=image, tags={"team": "iris", "Name": "mine", CONTROLLER: "other"})
    asked = request(settings)
    asked = evolve(asked, tags=TAGS | {"Name": "iris/cpu"})
    (machine,) = bought(ec2, asked, settings)
    (seen,) = ec2.instances()
    assert seen["tags"].pop(REQUEST)
    assert seen["tags"] == {**TAGS, "team": "iris", "Name": "mine"} == machine.tags
    client = ec2.client()
    (volume,) = client.describe_volumes()["Volumes"]
    client.close()
    assert {tag["Key"]: tag["Value"] for tag in volume["Tags"]}[CONTROLLER] == "iris"
    assert "CreateTags" not in ec2.calls()


def test_every_setting_is_in_the_request(ec2: Ec2, image: str) -> None:
    client = ec2.client()
    client.create_key_pair(KeyName="ramp")
    iam = ec2.client("iam")
    iam.create_instance_profile(InstanceProfileName="worker")
    subnet = ec2.subnet(zone=f"{REGION}b")
    vpc = client.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    group = client.create_security_group(GroupName="ssh-in", Description="x", VpcId=vpc)["GroupId"]
    settings = options(
        ec2, image=image, key_name="ramp", instance_profile="worker", subnets=(subnet,), security_group=("ssh-in",),
        volume_size=80, volume_type="gp3", max_price=0.25,
    )  # fmt: skip
    (machine,) = bought(ec2, request(settings, market=SPOT), settings)
    client.close()
    iam.close()
    assert {key: sent(ec2).get(key) for key in WANTED} == WANTED
    assert sent(ec2)["SecurityGroupId.1"] == group
    assert sent(ec2)["SubnetId"] == subnet
    assert ec2.instances()[0]["spot"]
    assert machine.address.startswith("127.")


WANTED = {
    "InstanceType": TYPE,
    "KeyName": "ramp",
    "IamInstanceProfile.Name": "worker",
    "BlockDeviceMapping.1.DeviceName": "/dev/sda1",
    "BlockDeviceMapping.1.Ebs.VolumeSize": "80",
    "BlockDeviceMapping.1.Ebs.VolumeType": "gp3",
    "BlockDeviceMapping.1.Ebs.DeleteOnTermination": "true",
    "MetadataOptions.HttpTokens": "required",
    "InstanceInitiatedShutdownBehavior": "terminate",
    "InstanceMarketOptions.MarketType": "spot",
    "InstanceMarketOptions.SpotOptions.MaxPrice": "0.25",
    "InstanceMarketOptions.SpotOptions.SpotInstanceType": "one-time",
    "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior": "terminate",
}


def test_the_offers_zone_decides_where(ec2: Ec2, image: str) -> None:
    settings = options(ec2, image=image, zones=(f"{REGION}a", f"{REGION}c"))
    bought(ec2, request(settings, zone=f"{REGION}c"), settings)
    assert sent(ec2)["Placement.AvailabilityZone"] == f"{REGION}c"
    assert "InstanceMarketOptions.MarketType" not in sent(ec2)
    bought(ec2, request(settings, "t2", market=ON_DEMAND), settings)
    assert sent(ec2)["Placement.AvailabilityZone"] == f"{REGION}a"


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"image": "nothing"}, "no image of self has a name that begins with nothing"),
        ({"image": None}, "no image is named"),
        ({"image": "ami-00000000"}, "InvalidAMIID"),
        ({"security_group": ("none", "sg-1")}, "no security group none"),
        ({"user_data": Path("/nothing/here")}, "/nothing/here: cannot be read"),
        ({"launch_specification": Path("/nothing/here")}, "/nothing/here: cannot be read"),
        ({"instance_profile": "none"}, "none"),
    ],
)
def test_what_cannot_be_bought_is_refused_in_words(ec2: Ec2, image: str, settings: dict[str, Any], what: str) -> None:
    wrong = options(ec2, **{"image": image} | settings)
    with pytest.raises(CloudError, match=what) as refusal:
        bought(ec2, request(wrong), wrong)
    assert refusal.value.fault is Fault.REFUSED
    assert ec2.instances() == []


def test_unreadable_settings_are_refused(ec2: Ec2, image: str) -> None:
    settings = options(ec2, image=image)
    for text in ("", "{", '{"region": 1, "more": 1}'):
        with pytest.raises(CloudError) as refusal:
            bought(ec2, evolve(request(settings), settings=text), settings)
        assert refusal.value.fault is Fault.REFUSED


def test_secrets_are_nowhere_but_in_the_environment(ec2: Ec2, image: str) -> None:
    settings = options(ec2, image=image)
    asked = request(settings)
    with cloud(settings) as made:
        run(made.launch(asked))
        assert run(made.listing(OWNER)).complete
        texts = [to_json(settings), asked.to_json(), repr(made.place), str(ec2.requests()), str(ec2.instances())]
    for secret in KEYS.values():
        assert all(secret not in text for text in texts)
        assert all(secret.encode() not in (part.get_payload(decode=True) or b"") for part in parts(ec2))
    assert "${AWS_SECRET_ACCESS_KEY}" in texts[0]


def test_the_users_data_and_our_watch_come_together(ec2: Ec2, image: str, tmp_path: Path) -> None:
    (tmp_path / "boot.yml").write_text("#cloud-config\npackages: [jq]\n")
    settings = options(ec2, image=image, user_data=tmp_path / "boot.yml", lease=7200.0, user="it's me")
    bought(ec2, request(settings), settings)
    hook, own = parts(ec2)
    assert hook.get_content_type() == "text/cloud-boothook"
    assert "set -- 7200 'it'\"'\"'s me'\n" in hook.get_payload()
    assert (own.get_content_type(), own.get_payload()) == ("text/cloud-config", "#cloud-config\npackages: [jq]\n")


def test_a_variable_that_is_missing_is_named(ec2: Ec2, image: str) -> None:
    settings = options(ec2, image=image, access_key_id="${NOT_THERE}")
    with pytest.raises(CloudError, match="access_key_id: the environment has no NOT_THERE") as refusal:
        bought(ec2, request(settings), settings)
    assert refusal.value.fault is Fault.DENIED
    with cloud(settings) as made:
        listing = run(made.listing(OWNER))
    assert (listing.complete, listing.machines) == (False, ())
    assert "NOT_THERE" in listing.error


def test_machines_that_end_are_replayed_as_ended(ec2: Ec2, image: str) -> None:
    settings = options(ec2, image=image)
    with cloud(settings) as made:
        (machine,) = run(made.launch(request(settings)))
        run(made.terminate([machine.cloud_id, NOBODY]))
        (again,) = run(made.launch(request(settings)))
    assert (again.cloud_id, again.state) == (machine.cloud_id, MachineState.TERMINATED)


def test_the_registry_makes_one_of_a_place_alone(ec2: Ec2) -> None:
    settings = options(ec2)
    made = CLOUDS["ec2"](place(settings), "", here())
    assert run(made.listing(OWNER)).complete
    run(made.close())


def test_a_cloud_that_was_closed_can_be_closed_again(ec2: Ec2) -> None:
    with cloud(options(ec2)) as made:
        assert isinstance(made, Ec2Cloud)
        run(made.close())
