"""What a local machine's `machine.json` says, read strictly: a file that makes no sense is a fault, never a machine."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

from attrs import asdict, evolve, field, fields, frozen

from reconciler.model.offer import LaunchRequest, Machine, MachineState

_KINDS: Mapping[str, type | tuple[type, ...]] = MappingProxyType({
    "cloud_id": str, "token": str, "index": int, "type": str, "tags": dict, "request": str,
    "born": (int, float), "boot": (int, float), "up": (int, float), "state": str, "reason": str,
})  # fmt: skip


@frozen(kw_only=True)
class Record:
    """One machine as its folder, or its tombstone, tells of it. Times are seconds since the epoch."""

    cloud_id: str
    token: str = ""
    index: int = 0
    type: str = ""
    tags: Mapping[str, str] = field(factory=dict)
    request: str = ""  # a fingerprint of the request that bought it
    born: float = 0.0
    boot: float = 0.0  # seconds from a birth or a start until it runs
    up: float = 0.0  # when it runs, if it is to run
    state: str = MachineState.RUNNING  # as it is meant to be; pending is running before `up`
    reason: str = ""

    def seen(self, now: float) -> MachineState:
        """Its state as the cloud tells it."""
        state = MachineState(self.state)
        return MachineState.PENDING if state is MachineState.RUNNING and now < self.up else state

    def machine(self, now: float, home: Path) -> Machine:
        """The machine that it describes."""
        return Machine(
            cloud_id=self.cloud_id, token=self.token, index=self.index, state=self.seen(now), type=self.type,
            address=str(home), reason=self.reason, born=datetime.fromtimestamp(self.born, UTC), tags=dict(self.tags),
        )  # fmt: skip

    def turned(self, state: MachineState, reason: str) -> "Record":
        """The same machine, meant to be in another state."""
        return evolve(self, state=str(state), reason=reason)

    def to_json(self) -> bytes:
        """Canonical text, for its file."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode() + b"\n"


def parse(text: bytes, cloud_id: str) -> Record:
    """The record that `to_json` wrote for this id. Raises ValueError saying what is wrong with it."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("is not JSON") from error
    if not isinstance(data, dict) or set(data) != {each.name for each in fields(Record)}:
        raise ValueError("does not have the keys of a machine")
    wrong = [name for name, kind in _KINDS.items() if not isinstance(data[name], kind) or data[name] is True]
    if wrong or not all(isinstance(value, str) for value in data["tags"].values()):
        raise ValueError(f"has a value of a wrong type: {', '.join(wrong) or 'tags'}")
    if data["cloud_id"] != cloud_id:
        raise ValueError("is of another machine: was its folder copied or renamed?")
    record = Record(**data)
    try:
        record.machine(0.0, Path())
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"has a state or a time that there is not: {error}") from error
    return record


def cloud_id_of(token: str, index: int) -> str:
    """The id of a launch's machine: the same launch always names the same machines."""
    return "local-" + hashlib.sha256(f"{token}/{index}".encode()).hexdigest()[:20]


def born_of(request: LaunchRequest, index: int, *, now: float, boot: float) -> Record:
    """A new machine of a launch, which runs `boot` seconds from now."""
    return Record(
        cloud_id=cloud_id_of(request.token, index), token=request.token, index=index, type=request.offer.type,
        tags=dict(request.tags), request=fingerprint(request), born=now, boot=boot, up=now + boot,
    )  # fmt: skip


def boot_id_of(record: Record, computer: str) -> str:
    """The machine's own boot id, in the kernel's form, by the computer's and by when the machine came up."""
    digest = hashlib.sha256(f"{computer.strip()}/{record.cloud_id}/{record.up!r}".encode()).digest()
    return str(UUID(bytes=digest[:16]))


def fingerprint(request: LaunchRequest) -> str:
    """What tells one request from another under the same token."""
    text = json.dumps(asdict(request), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]
