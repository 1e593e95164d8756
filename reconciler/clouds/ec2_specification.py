"""The user's launch_specification file: RunInstances' own keys, checked against boto3's model before they are used."""

import binascii
import json
from base64 import b64decode
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import frozen

from reconciler.clouds.base import CloudError
from reconciler.model.offer import Fault

# Keys that decide how many are bought, and how: they are the pool's.
OURS: Mapping[str, str] = MappingProxyType(
    {
        "MinCount": "the pool's size decides it",
        "MaxCount": "the pool's size decides it",
        "ClientToken": "it is chosen for each launch",
        "InstanceMarketOptions": "write market: and max_price: in the pool",
        "DryRun": "`reconcile doctor` does that",
    }
)
# Keys that spot requests have and RunInstances has not ("RequestSpotLaunchSpecification", API reference).
SPOT_ONLY: Mapping[str, str] = MappingProxyType({"AddressingType": "remove it; it has had no effect for years"})


@frozen(kw_only=True)
class Specification:
    """What the file says. `user_data` is decoded, and no longer among the keys."""

    keys: Mapping[str, Any]
    user_data: bytes = b""


EMPTY = Specification(keys=MappingProxyType({}))


def read_specification(path: Path) -> Specification:
    """The file's content. Raises CloudError(REFUSED) with what is wrong in it."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CloudError(Fault.REFUSED, f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CloudError(Fault.REFUSED, f"{path}: not JSON: {error}") from error
    if not isinstance(given, dict):
        raise CloudError(Fault.REFUSED, f"{path}: not a JSON object: write {{...}} with RunInstances' keys")
    problems = problems_of(given)
    if problems:
        raise CloudError(Fault.REFUSED, f"{path}: {'; '.join(problems)}")
    user_data = given.pop("UserData", "")
    return Specification(keys=given, user_data=_decoded(path, user_data))


def problems_of(given: Mapping[str, Any]) -> tuple[str, ...]:
    """What RunInstances would not take."""
    known = {**OURS, **SPOT_ONLY}
    problems = [f"{key} does not belong here: {hint}" for key, hint in known.items() if key in given]
    groups = given.get("SecurityGroups")
    if isinstance(groups, list) and any(isinstance(each, dict) for each in groups):
        problems.append("SecurityGroups: write SecurityGroupIds with a list of their GroupId instead")
        given = {key: value for key, value in given.items() if key != "SecurityGroups"}
    rest = {key: value for key, value in given.items() if key not in known}
    report = _validator().validate({"MinCount": 1, "MaxCount": 1, **rest}, _shape())
    if report.has_errors():
        problems += [" ".join(line.split()) for line in report.generate_report().splitlines()]
    return tuple(problems)


def _decoded(path: Path, text: str) -> bytes:
    """Spot requests write UserData in base64, and so does this file."""
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CloudError(Fault.REFUSED, f"{path}: UserData is not base64: encode it, or write user_data:") from error


def _validator() -> Any:
    from botocore.validate import ParamValidator

    return ParamValidator()


@cache
def _shape() -> Any:
    """RunInstances' parameters, as boto3 knows them."""
    import botocore.session

    model = botocore.session.get_session().get_service_model("ec2")
    return model.operation_model("RunInstances").input_shape
