"""A launch_specification file: what RunInstances takes is taken, the rest is refused in words."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from reconciler.clouds.base import CloudError
from reconciler.clouds.ec2_request import Found, parameters
from reconciler.clouds.ec2_specification import read_specification
from reconciler.model.offer import Fault, LaunchRequest, Offer
from reconciler.spec.canonical import to_json
from reconciler.spec.options import Ec2Cloud as Options

SAMPLE: dict[str, Any] = {
    "Placement": {"AvailabilityZone": "eu-west-1a"},
    "ImageId": "ami-12345",
    "KeyName": "mykey@example",
    "BlockDeviceMappings": [
        {
            "DeviceName": "/dev/xvda",
            "Ebs": {"DeleteOnTermination": True, "VolumeType": "gp2", "VolumeSize": 80},
        }
    ],
    "EbsOptimized": False,
    "SecurityGroupIds": ["sg-12345"],
    "SubnetId": "subnet-12345",
    "Monitoring": {"Enabled": False},
    "IamInstanceProfile": {"Arn": "arn:aws:iam::12345:instance-profile/some-iam"},
    "InstanceType": "p2.xlarge",
}


def asked(tmp_path: Path, given: dict[str, Any], found: Found, zone: str = "", **settings: Any) -> dict[str, Any]:
    path = tmp_path / "launchSpecification.json"
    path.write_text(json.dumps(given))
    options = Options(region="eu-west-1", launch_specification=path, **settings)
    offer = Offer(type="g5.xlarge", zone=zone)
    request = LaunchRequest(token="t", offer=offer, count=2, settings=to_json(options))
    return parameters(request, options, read_specification(path), found, "data")


def test_what_aws_tells_of_a_spot_request_is_taken_as_it_is(tmp_path: Path) -> None:
    given = asked(tmp_path, SAMPLE, Found(image="ami-12345", root_device="/dev/xvda"))
    kept = ("Placement", "ImageId", "KeyName", "BlockDeviceMappings", "SecurityGroupIds", "SubnetId", "Monitoring")
    assert {key: given[key] for key in kept} == {key: SAMPLE[key] for key in kept}
    assert (given["InstanceType"], given["MinCount"], given["MaxCount"]) == ("g5.xlarge", 1, 2)
    assert given["MetadataOptions"]["HttpTokens"] == "required"


def test_the_options_go_over_it(tmp_path: Path) -> None:
    found = Found(image="ami-9", root_device="/dev/xvda", groups=("sg-9",))
    given = asked(tmp_path, SAMPLE, found, zone="eu-west-1c", key_name="mine", volume_size=9, instance_profile="worker")
    assert (given["ImageId"], given["KeyName"], given["SecurityGroupIds"]) == ("ami-9", "mine", ["sg-9"])
    assert given["Placement"] == {"AvailabilityZone": "eu-west-1c"}
    assert "SubnetId" not in given
    assert given["IamInstanceProfile"] == {"Name": "worker"}
    (disk,) = given["BlockDeviceMappings"]
    assert disk["Ebs"] == {"DeleteOnTermination": True, "VolumeType": "gp2", "VolumeSize": 9}


def test_with_network_interfaces_subnet_and_groups_are_the_first_ones(tmp_path: Path) -> None:
    interfaces = [{"DeviceIndex": 0, "AssociatePublicIpAddress": True, "SubnetId": "subnet-1", "Groups": ["sg-1"]}]
    found = Found(image="ami-9", groups=("sg-9",))
    given = asked(tmp_path, {"NetworkInterfaces": interfaces}, found, zone="subnet-9")
    assert given["NetworkInterfaces"] == [interfaces[0] | {"SubnetId": "subnet-9", "Groups": ["sg-9"]}]
    assert not {"SubnetId", "SecurityGroupIds", "Placement"} & given.keys()


def test_its_tags_and_user_data_are_kept(tmp_path: Path) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]
    given = {"TagSpecifications": tags, "UserData": b64encode(b"#!/bin/sh\nls\n").decode()}
    path = tmp_path / "x.json"
    path.write_text(json.dumps(given))
    assert read_specification(path).user_data == b"#!/bin/sh\nls\n"
    made = asked(tmp_path, given, Found(image="ami-9"), tags={"c": "d"})["TagSpecifications"]
    instance = {tag["Key"]: tag["Value"] for tag in made[0]["Tags"]}
    assert (instance["a"], instance["c"]) == ("b", "d")
    assert made[1]["ResourceType"] == "volume"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"ImageIdd": "x"}', 'Unknown parameter in input: "ImageIdd"'),
        ('{"ImageId": 1}', "Invalid type for parameter ImageId"),
        ('{"MinCount": 3}', "MinCount does not belong here: the pool's size decides it"),
        ('{"ClientToken": "x"}', "ClientToken does not belong here"),
        ('{"AddressingType": "public"}', "AddressingType does not belong here: remove it"),
        ('{"SecurityGroups": [{"GroupName": "a", "GroupId": "sg-1"}]}', "write SecurityGroupIds"),
        ('{"UserData": "#!"}', "not base64"),
        ('{"Placement": {"Zone": "x"}}', 'Unknown parameter in Placement: "Zone"'),
    ],
)
def test_what_runinstances_would_not_take_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "launch.json"
    path.write_text(text)
    with pytest.raises(CloudError) as refusal:
        read_specification(path)
    assert refusal.value.fault is Fault.REFUSED
    assert what in refusal.value.message
    assert str(path) in refusal.value.message
