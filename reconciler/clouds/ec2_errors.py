"""What EC2's refusals mean, as data. The policy of each fault is decide/faults.py's.

Codes: "Error codes for the Amazon EC2 API" (AWS documentation); newer ones as botocore and boto3's users report them.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from reconciler.clouds.base import CloudError
from reconciler.model.offer import Fault

# A code, or its beginning where it ends in `*`; the longest that fits decides.
CODES: Mapping[str, Fault] = MappingProxyType(
    {
        # None of this type in this zone just now. It comes and goes by the minute.
        "InsufficientInstanceCapacity": Fault.CAPACITY,
        "InsufficientHostCapacity": Fault.CAPACITY,
        "InsufficientCapacity": Fault.CAPACITY,
        "InsufficientReservedInstanceCapacity": Fault.CAPACITY,
        "InsufficientCapacityOnHost": Fault.CAPACITY,
        # Not enough of one part of a machine: disks, addresses. As short-lived as the machines themselves.
        "InsufficientVolumeCapacity": Fault.CAPACITY,
        "InsufficientAddressCapacity": Fault.CAPACITY,
        # The subnet is full; another may not be, and machines that end free addresses.
        "InsufficientFreeAddressesInSubnet": Fault.CAPACITY,
        # The type is not sold in this zone; another zone may have it. Held like lack of capacity, so others are tried.
        "UnfulfillableCapacity": Fault.CAPACITY,
        # Spot costs more than the cap just now: prices move.
        "SpotMaxPriceTooLow": Fault.CAPACITY,
        # The account may have no more of it: somebody must end something, or ask AWS for more.
        "VcpuLimitExceeded": Fault.QUOTA,
        "InstanceLimitExceeded": Fault.QUOTA,
        "MaxSpotInstanceCountExceeded": Fault.QUOTA,
        "VolumeLimitExceeded": Fault.QUOTA,
        "MaxIOPSLimitExceeded": Fault.QUOTA,
        "NetworkInterfaceLimitExceeded": Fault.QUOTA,
        "PrivateIpAddressLimitExceeded": Fault.QUOTA,
        "SecurityGroupsPerInstanceLimitExceeded": Fault.QUOTA,
        "ResourceCountExceeded": Fault.QUOTA,
        "ResourceLimitExceeded": Fault.QUOTA,
        "AddressLimitExceeded": Fault.QUOTA,
        "AttachmentLimitExceeded": Fault.QUOTA,
        "*LimitExceeded": Fault.QUOTA,
        # AWS has to verify a new account first; takes minutes to hours.
        "PendingVerification": Fault.QUOTA,
        # We ask too often. It says nothing about what was asked for.
        "RequestLimitExceeded": Fault.THROTTLED,
        "Throttling": Fault.THROTTLED,
        "ThrottlingException": Fault.THROTTLED,
        "ThrottledException": Fault.THROTTLED,
        "RequestThrottled": Fault.THROTTLED,
        "RequestThrottledException": Fault.THROTTLED,
        "TooManyRequestsException": Fault.THROTTLED,
        "EC2ThrottledException": Fault.THROTTLED,
        "PriorRequestNotComplete": Fault.THROTTLED,
        "BandwidthLimitExceeded": Fault.THROTTLED,
        "SlowDown": Fault.THROTTLED,
        # The request is wrong, and will be until somebody edits the pool.
        "IdempotentParameterMismatch": Fault.REFUSED,
        "InvalidAMIID.*": Fault.REFUSED,
        "InvalidAMIName.*": Fault.REFUSED,
        "InvalidParameter*": Fault.REFUSED,
        "InvalidKeyPair.*": Fault.REFUSED,
        "InvalidGroup.*": Fault.REFUSED,
        "InvalidSecurityGroup*": Fault.REFUSED,
        "InvalidSubnetID.*": Fault.REFUSED,
        "InvalidSubnet*": Fault.REFUSED,
        "InvalidSnapshot.*": Fault.REFUSED,
        "InvalidBlockDeviceMapping": Fault.REFUSED,
        "InvalidUserData.*": Fault.REFUSED,
        "InvalidIamInstanceProfile*": Fault.REFUSED,
        "InvalidInstanceType": Fault.REFUSED,
        "InvalidSpotInstanceRequestID.*": Fault.REFUSED,
        "InvalidZone.*": Fault.REFUSED,
        "InvalidAvailabilityZone": Fault.REFUSED,
        "Invalid*": Fault.REFUSED,
        "MalformedQueryString": Fault.REFUSED,
        "MissingParameter": Fault.REFUSED,
        "MissingInput": Fault.REFUSED,
        "UnknownParameter": Fault.REFUSED,
        "ValidationError": Fault.REFUSED,
        "VPCIdNotSpecified": Fault.REFUSED,
        "VPCResourceNotSpecified": Fault.REFUSED,
        "Unsupported": Fault.REFUSED,
        "UnsupportedOperation": Fault.REFUSED,
        "UnsupportedHibernationConfiguration": Fault.REFUSED,
        "NonEBSInstance": Fault.REFUSED,
        "OperationNotPermitted": Fault.REFUSED,
        # Stopped, started or ended from a state that does not allow it: what the listing says decides what is next.
        "IncorrectInstanceState": Fault.REFUSED,
        "IncorrectState": Fault.REFUSED,
        "IncorrectSpotRequestState": Fault.REFUSED,
        # We may not: a policy, a key, an account.
        "UnauthorizedOperation": Fault.DENIED,
        "AuthFailure": Fault.DENIED,
        "AuthFailure.*": Fault.DENIED,
        "AccessDenied": Fault.DENIED,
        "AccessDeniedException": Fault.DENIED,
        "Blocked": Fault.DENIED,
        "OptInRequired": Fault.DENIED,
        "ExpiredToken": Fault.DENIED,
        "ExpiredTokenException": Fault.DENIED,
        "TokenRefreshRequired": Fault.DENIED,
        "RequestExpired": Fault.DENIED,  # our clock is wrong: `doctor` says by how much
        "InvalidClientTokenId": Fault.DENIED,
        "InvalidAccessKeyId": Fault.DENIED,
        "MissingAuthenticationToken": Fault.DENIED,
        "UnrecognizedClientException": Fault.DENIED,
        "SignatureDoesNotMatch": Fault.DENIED,
        "IncompleteSignature": Fault.DENIED,
        # The account has never used spot, and we may not make the role that it needs.
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted": Fault.DENIED,
        # A machine that it does not know: just born, or long gone.
        "InvalidInstanceID.NotFound": Fault.NOT_FOUND,
        "InvalidInstanceID.Malformed": Fault.NOT_FOUND,
        # Their own trouble. It may have been done all the same.
        "InternalError": Fault.UNREACHABLE,
        "InternalFailure": Fault.UNREACHABLE,
        "ServiceUnavailable": Fault.UNREACHABLE,
        "Unavailable": Fault.UNREACHABLE,
        "Server.InternalError": Fault.UNREACHABLE,
        "RequestTimeout": Fault.UNREACHABLE,
    }
)

# botocore's own errors, by class name, along a class's line of ancestors: nothing was said, or nothing was asked.
FAILURES: Mapping[str, Fault] = MappingProxyType(
    {
        # No keys, or half of them: as if they were not allowed.
        "NoCredentialsError": Fault.DENIED,
        "PartialCredentialsError": Fault.DENIED,
        "CredentialRetrievalError": Fault.DENIED,
        "ProfileNotFound": Fault.DENIED,
        "TokenRetrievalError": Fault.DENIED,
        "SSOError": Fault.DENIED,
        "RefreshWithMFAUnsupportedError": Fault.DENIED,
        "MetadataRetrievalError": Fault.DENIED,
        # The request could not even be built.
        "ParamValidationError": Fault.REFUSED,
        "InvalidRegionError": Fault.REFUSED,
        "NoRegionError": Fault.REFUSED,
        "InvalidEndpointDiscoveryConfigurationError": Fault.REFUSED,
        # Timeouts, refused connections, broken answers.
        "HTTPClientError": Fault.UNREACHABLE,
        "ConnectionError": Fault.UNREACHABLE,
        "ResponseParserError": Fault.UNREACHABLE,
        "IncompleteReadError": Fault.UNREACHABLE,
        # Any other: a configuration that botocore cannot use.
        "BotoCoreError": Fault.REFUSED,
        # A file of ~/.aws that cannot be read.
        "OSError": Fault.OURS,
        # An endpoint or a region that is no name at all.
        "ValueError": Fault.REFUSED,
    }
)

_QUOTING = frozenset({"ResponseParserError"})  # their first line says it; the page that was answered follows
_SERVER_ERROR = 500
_TOO_MANY = 429
_FORBIDDEN = (401, 403)
_ENCODED = re.compile(r"\s*Encoded authorization failure message: \S+")  # a kilobyte that only AWS can read
_ID = re.compile(r"[\w.-]+")


def fault_of(code: str, status: int) -> Fault:
    """The fault of a code; of one that nobody has heard of, by its HTTP status."""
    if code in CODES:
        return CODES[code]
    if code.endswith("LimitExceeded"):
        return CODES["*LimitExceeded"]
    beginnings = [each for each in CODES if each.endswith("*") and code.startswith(each[:-1]) and each[:-1]]
    if beginnings:
        return CODES[max(beginnings, key=len)]
    if status >= _SERVER_ERROR:
        return Fault.UNREACHABLE
    if status == _TOO_MANY:
        return Fault.THROTTLED
    return Fault.DENIED if status in _FORBIDDEN else Fault.REFUSED


def code_of(error: BaseException) -> str:
    """EC2's code of a ClientError; empty for anything else."""
    answer: Any = getattr(error, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""


def cloud_error(error: Exception) -> CloudError:
    """Whatever boto3 raised, sorted."""
    code, answer = code_of(error), getattr(error, "response", None)
    if code and isinstance(answer, dict):
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        message = _ENCODED.sub("", str(answer["Error"].get("Message", "")))
        return CloudError(fault_of(code, status), f"{code}: {message}" if message else code)
    names = [cls.__name__ for cls in type(error).__mro__]
    fault = next((FAILURES[name] for name in names if name in FAILURES), Fault.UNREACHABLE)
    text = str(error).partition("\n")[0].rstrip(" :") if names[0] in _QUOTING else str(error)
    return CloudError(fault, f"{names[0]}: {' '.join(text.split())}")


def unknown_ids(error: Exception, asked: Sequence[str]) -> tuple[str, ...]:
    """Which of the ids that were asked for a NotFound names; empty for any other error."""
    if fault_of(code_of(error), 0) is not Fault.NOT_FOUND:
        return ()
    answer: Any = getattr(error, "response", {})
    named = frozenset(_ID.findall(str(answer["Error"].get("Message", ""))))
    return tuple(each for each in asked if each in named)
