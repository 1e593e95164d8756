"""What the tests of clouds share: a case for each kind of cloud, and a look at machines' files and processes."""

import asyncio
import atexit
import json
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve, frozen

from reconciler.clouds.base import Cloud, Here, Owner
from reconciler.clouds.local import LocalCloud, local_place
from reconciler.clouds.ssh import SshCloud
from reconciler.model.offer import LaunchRequest, Offer, Place
from reconciler.model.tags import CONTROLLER, DATABASE
from reconciler.spec.canonical import to_json
from reconciler.spec.options import LocalCloud as LocalOptions
from reconciler.spec.options import SshCloud as SshOptions
from tests.machines.sshd import SshMachine, machine

T = TypeVar("T")
OWNER = Owner(controller="iris", database_id="d1")
TAGS = {CONTROLLER: "iris", DATABASE: "d1"}


def run(work: Coroutine[Any, Any, T]) -> T:
    """In the one loop of these tests: an open connection belongs to its loop."""
    return _runner().run(work)


@cache
def _runner() -> asyncio.Runner:
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner


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
    all_or_none: bool = True  # a batch that names an unknown machine does nothing; else the others are seen to
    stops: bool = True  # else its machines run until they are let go of

    def asking(self, token: str, count: int = 1) -> LaunchRequest:
        return evolve(self.request, token=token, count=count)


def local_case(root: Path) -> Case:
    return Case(
        LocalCloud(local_place(root)),
        local_request(),
        lambda capacity: local_request("crowded", 3, capacity=capacity),
        "local-" + "0" * 20,
    )


@contextmanager
def ssh_case(folder: Path) -> Iterator[Case]:
    """Four machines that are simply there."""
    with ExitStack() as stack:
        made = [stack.enter_context(machine(folder=folder / f"m{number}")) for number in range(4)]
        cloud = SshCloud(ssh_place(*made), ssh_here(folder))
        try:
            yield Case(
                cloud,
                ssh_request(*made),
                lambda capacity: _crowded(made, capacity),
                f"{made[0].address}:22/nothing.0",
                stops=False,
            )
        finally:
            run(cloud.close())


def ssh_options(*made: SshMachine, **more: Any) -> SshOptions:
    return SshOptions(machines=tuple(each.where for each in made), user=made[0].user, key_path=made[0].key_path, **more)


def ssh_place(*made: SshMachine, **more: Any) -> Place:
    return Place(cloud="ssh", settings=to_json(ssh_options(*made, **more)))


def ssh_request(*made: SshMachine, token: str = "t1", count: int = 1, **more: Any) -> LaunchRequest:
    settings = to_json(ssh_options(*made, **more))
    return LaunchRequest(token=token, offer=Offer(type="big"), count=count, settings=settings, tags=TAGS)


def ssh_here(folder: Path) -> Here:
    return Here(owner=OWNER, environ={}, folder=folder, handshakes=asyncio.Semaphore(10))


def _crowded(made: list[SshMachine], capacity: int) -> LaunchRequest:
    for each in made[capacity:]:
        own(each, "other d9 cpu t9 0 big - 1.000")
    return ssh_request(*made, token="crowded", count=3)


def own(made: SshMachine, line: str) -> None:
    """Somebody claims the machine."""
    folder = made.home / ".reconciler"
    folder.mkdir(exist_ok=True)
    (folder / "owner").write_text(f"{line}\n")


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
