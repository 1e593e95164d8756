"""How EC2's refusals are sorted: each code with its fault, unknown ones by their status, and silence."""

import socket
from typing import Any

import botocore.exceptions
import botocore.parsers
import pytest

from reconciler.clouds.base import CloudError
from reconciler.clouds.ec2_errors import CODES, FAILURES, cloud_error, fault_of, unknown_ids
from reconciler.model.offer import Fault
from reconciler.spec.options import Ec2Cloud as Options
from tests.clouds.cloud_cases import OWNER, run
from tests.clouds.ec2_cases import cloud, options, request
from tests.ec2.control import Ec2

SORTED = [
    ("InsufficientInstanceCapacity", 500, Fault.CAPACITY),
    ("SpotMaxPriceTooLow", 400, Fault.CAPACITY),
    ("InsufficientFreeAddressesInSubnet", 400, Fault.CAPACITY),
    ("MaxSpotInstanceCountExceeded", 400, Fault.QUOTA),
    ("VcpuLimitExceeded", 400, Fault.QUOTA),
    ("InstanceLimitExceeded", 400, Fault.QUOTA),
    ("SomeNewLimitExceeded", 400, Fault.QUOTA),
    ("RequestLimitExceeded", 503, Fault.THROTTLED),
    ("Throttling", 400, Fault.THROTTLED),
    ("InvalidAMIID.NotFound", 400, Fault.REFUSED),
    ("InvalidAMIID.Malformed", 400, Fault.REFUSED),
    ("InvalidParameterValue", 400, Fault.REFUSED),
    ("InvalidParameterCombination", 400, Fault.REFUSED),
    ("InvalidKeyPair.NotFound", 400, Fault.REFUSED),
    ("InvalidSomethingNew.NotFound", 400, Fault.REFUSED),
    ("Unsupported", 400, Fault.REFUSED),
    ("IncorrectInstanceState", 400, Fault.REFUSED),
    ("UnauthorizedOperation", 403, Fault.DENIED),
    ("AuthFailure", 401, Fault.DENIED),
    ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", 403, Fault.DENIED),
    ("ExpiredToken", 400, Fault.DENIED),
    ("InvalidClientTokenId", 403, Fault.DENIED),
    ("InternalError", 500, Fault.UNREACHABLE),
    ("NeverHeardOf", 500, Fault.UNREACHABLE),
    ("NeverHeardOf", 503, Fault.UNREACHABLE),
    ("NeverHeardOf", 429, Fault.THROTTLED),
    ("NeverHeardOf", 403, Fault.DENIED),
    ("NeverHeardOf", 400, Fault.REFUSED),
]


@pytest.mark.parametrize(("code", "status", "fault"), SORTED)
def test_each_code_has_its_fault(code: str, status: int, fault: Fault) -> None:
    assert fault_of(code, status) is fault


def test_a_launch_that_is_refused_says_so(ec2: Ec2) -> None:
    settings = options(ec2, image=ec2.image())
    with cloud(settings) as made:
        for code, status, fault in SORTED:
            ec2.fault("RunInstances", code, status=status, message="why <&>\nso")
            with pytest.raises(CloudError) as refusal:
                run(made.launch(request(settings)))
            assert (refusal.value.fault, refusal.value.message) == (fault, f"{code}: why <&>\nso")
    assert ec2.instances() == []
    assert ec2.calls()["RunInstances"] == len(SORTED)


def test_every_row_is_a_fault_and_no_code_is_shadowed() -> None:
    assert all(fault_of(code.rstrip("*"), 400) is fault for code, fault in CODES.items() if code[0] != "*")
    assert {*CODES.values(), *FAILURES.values()} == set(Fault)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (botocore.exceptions.NoCredentialsError(), Fault.DENIED),
        (botocore.exceptions.ProfileNotFound(profile="x"), Fault.DENIED),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="x"), Fault.UNREACHABLE),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url="x"), Fault.UNREACHABLE),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="x"), Fault.UNREACHABLE),
        (botocore.exceptions.ConnectionClosedError(endpoint_url="x"), Fault.UNREACHABLE),
        (botocore.exceptions.ParamValidationError(report="x"), Fault.REFUSED),
        (botocore.exceptions.InvalidRegionError(region_name="x y"), Fault.REFUSED),
        (PermissionError("~/.aws/config"), Fault.OURS),
        (RuntimeError("anything"), Fault.UNREACHABLE),
    ],
)
def test_what_is_no_answer_is_sorted_too(error: Exception, fault: Fault) -> None:
    assert cloud_error(error).fault is fault


@pytest.mark.parametrize("region", ["no such/region", "eu west 1"])
def test_a_region_that_is_none_is_refused(ec2: Ec2, region: str) -> None:
    settings = options(ec2, region=region, image="ami-1")
    with cloud(settings) as made, pytest.raises(CloudError) as refusal:
        run(made.launch(request(settings)))
    assert refusal.value.fault is Fault.REFUSED


@pytest.fixture
def on_mars(ec2: Ec2, monkeypatch: pytest.MonkeyPatch) -> Options:
    """Settings of a region that there is not, and no address but what its name makes."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    return options(ec2, region="eu-wset-1", endpoint_url=None, image="ami-1")


def test_where_there_is_no_region_nothing_is_sent_and_nothing_can_be(on_mars: Options) -> None:
    with cloud(on_mars) as made:
        with pytest.raises(CloudError, match="EC2 has no region eu-wset-1; did you mean eu-west-1") as refusal:
            run(made.launch(request(on_mars)))
        listing = run(made.listing(OWNER))
    assert refusal.value.fault is Fault.REFUSED
    assert (listing.complete, listing.machines) == (True, ())


def test_another_service_may_have_regions_of_its_own(
    ec2: Ec2, on_mars: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)
    with cloud(on_mars) as made:
        run(made.listing(OWNER))
    assert ec2.calls()["DescribeInstances"] == 1


def test_a_page_where_an_answer_should_be_is_not_quoted() -> None:
    error = botocore.parsers.ResponseParserError("Unable to parse response (no element), invalid XML received:\nb'<!d'")
    assert cloud_error(error).message == (
        "ResponseParserError: Unable to parse response (no element), invalid XML received"
    )


def test_a_profile_that_is_none_is_denied(ec2: Ec2) -> None:
    settings = options(ec2, image="ami-1", profile="nobody's", access_key_id=None, secret_access_key=None)
    with cloud(settings) as made, pytest.raises(CloudError, match="nobody's") as refusal:
        run(made.launch(request(settings)))
    assert refusal.value.fault is Fault.DENIED


def test_nobody_there_is_unreachable(ec2: Ec2) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        settings = options(ec2, image="ami-1", endpoint_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with cloud(settings) as made, pytest.raises(CloudError) as refusal:
            run(made.launch(request(settings)))
    assert refusal.value.fault is Fault.UNREACHABLE


def test_a_failure_message_that_only_aws_can_read_is_left_out() -> None:
    answer = {
        "Error": {"Code": "UnauthorizedOperation", "Message": "No. Encoded authorization failure message: abc-_1"}
    }
    error = botocore.exceptions.ClientError(answer, "RunInstances")
    assert cloud_error(error).message == "UnauthorizedOperation: No."


@pytest.mark.parametrize(
    ("code", "message", "named"),
    [
        ("InvalidInstanceID.NotFound", "The instance ID 'i-1' does not exist", ("i-1",)),
        ("InvalidInstanceID.NotFound", "The instance IDs 'i-1, i-2' do not exist", ("i-1", "i-2")),
        ("InvalidInstanceID.Malformed", 'Invalid id: "i-3"', ("i-3",)),
        ("InvalidInstanceID.NotFound", "The instance ID 'i-11' does not exist", ()),
        ("UnauthorizedOperation", "i-1", ()),
    ],
)
def test_the_ids_that_a_refusal_names(code: str, message: str, named: tuple[str, ...]) -> None:
    answer: Any = {"Error": {"Code": code, "Message": message}}
    error = botocore.exceptions.ClientError(answer, "DescribeInstances")
    assert unknown_ids(error, ["i-1", "i-2", "i-3"]) == named
