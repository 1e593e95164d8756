"""What the tests of clouds share: a case for each kind of cloud, and a look at machines' files and processes."""

import asyncio
import json
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve, frozen

from reconciler.clouds.base import Cloud, Owner
from reconciler.clouds.local import LocalCloud, local_place
from reconciler.model.offer import LaunchRequest, Offer
from reconciler.model.tags import CONTROLLER, DATABASE
from reconciler.spec.canonical import to_json
from reconciler.spec.options import LocalCloud as LocalOptions

T = TypeVar("T")
OWNER = Owner(controller="iris", database_id="d1")
TAGS = {CONTROLLER: "iris", DATABASE: "d1"}


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def local_request(token: str = "t1", count: int = 1, **settings: Any) -> LaunchRequest:
    text = to_json(LocalOptions(**settings))
    return LaunchRequest(token=token, offer=Offer(type="local"), count=count, settings=text, tags=TAGS)


@frozen
class Case:
    """One kind of cloud, as the contract needs it."""

    cloud: Cloud
    request: LaunchRequest  # token t1, count 1, a cloud with room for more
    crowded: Callable[[int], LaunchRequest]  # a request of 3 where there is room for so many in all
    unknown: str  # an id that it never gave

    def asking(self, token: str, count: int = 1) -> LaunchRequest:
        return evolve(self.request, token=token, count=count)


def local_case(root: Path) -> Case:
    return Case(
        LocalCloud(local_place(root)),
        local_request(),
        lambda capacity: local_request("crowded", 3, capacity=capacity),
        "local-" + "0" * 20,
    )


def machine_file(root: Path, cloud_id: str) -> Path:
    return root / cloud_id / "machine.json"


def rewrite(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


Spawn = Callable[..., subprocess.Popen[bytes]]


def is_alive(pid: int) -> bool:
    """Whether a thread of a process runs; one that has ended and is not yet reaped does not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0] not in "ZX" or int(fields[17]) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
