"""Gives each instance of the EC2 of tests a machine with a real sshd, for as long as it runs.

    with ec2.running() as server, Fleet(server, folder) as fleet:
        ...  # what server launches can be logged in to at its private address

Every machine accepts `fleet.key_path`. A stopped machine keeps its disk; one that ended loses it.
"""

import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.ec2.control import Ec2
from tests.machines.sshd import SshMachine, everybodys_key

LOOK = 0.05  # seconds between looks at what runs


class Fleet:
    """The machines of one server, by instance id."""

    def __init__(self, ec2: Ec2, folder: Path) -> None:
        self.ec2 = ec2
        self.folder = folder
        self.key_path = folder / "user_key"
        self.machines: dict[str, SshMachine] = {}
        self.problems: list[str] = []
        self._disks: dict[str, SshMachine] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="fleet")

    def __enter__(self) -> "Fleet":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key_path.write_bytes(everybodys_key().export_private_key())
        self.key_path.chmod(0o600)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for machine in self.machines.values():
            machine.stop()

    def live(self) -> list[dict[str, Any]]:
        """Instances that cost money, as EC2 tells of them."""
        return [each for each in self.ec2.instances() if each["state"] not in ("terminated", "shutting-down")]

    def _follow(self) -> None:
        while not self._over.wait(LOOK):
            try:
                self._look()
            except Exception as problem:  # the test says so at its end
                self.problems.append(repr(problem))

    def _look(self) -> None:
        states = {each["id"]: each for each in self.ec2.instances()}
        for cloud_id, each in states.items():
            if each["state"] == "running" and cloud_id not in self.machines:
                self._boot(cloud_id, each["address"])
        for cloud_id in list(self.machines):
            if cloud_id not in states or states[cloud_id]["state"] != "running":
                self.machines.pop(cloud_id).stop()

    def _boot(self, cloud_id: str, address: str) -> None:
        machine = self._disks.get(cloud_id)
        if machine is None:
            machine = self._disks[cloud_id] = SshMachine(self.folder / cloud_id, address)
            machine.start()
        else:
            machine.reboot()
        self.machines[cloud_id] = machine
