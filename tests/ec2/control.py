"""Starts the EC2 of tests in a process of its own, and asks it for things."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

ROOT = Path(__file__).parents[2]
KEYS = {"AWS_ACCESS_KEY_ID": "AKIATESTS", "AWS_SECRET_ACCESS_KEY": "a-secret-of-tests"}
REGION = "eu-west-1"
NETWORKS = (*range(2, 20), *range(220, 254))  # the others are for machines that no EC2 knows (tests.machines)


@frozen
class Ec2:
    """A running server, at a URL."""

    url: str

    def ask(self, what: str, **given: Any) -> Any:
        """Call /control/<what>. Raises RuntimeError with what went wrong in the server."""
        request = urllib.request.Request(f"{self.url}/control/{what}", json.dumps(given).encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as problem:
            with problem:
                raise RuntimeError(problem.read().decode()) from problem

    def reset(self) -> None:
        """Empty, without faults, knobs as they were."""
        self.ask("reset")

    def set(self, **knobs: Any) -> None:
        """Turn knobs; see world.Knobs."""
        self.ask("set", **knobs)

    def fault(self, action: str, code: str = "", **fault: Any) -> None:
        """Let an action (`*`: any) fail; see server.Fault."""
        self.ask("fault", action=action, code=code, **fault)

    def instances(self) -> list[dict[str, Any]]:
        """Every machine of every region: id, state, address, type, spot, token, index, tags."""
        return self.ask("instances")  # type: ignore[no-any-return]

    def calls(self) -> dict[str, int]:
        """How often each action was called since the last `clear`, faults included."""
        return self.ask("calls")  # type: ignore[no-any-return]

    def requests(self, action: str = "") -> list[dict[str, str]]:
        """The parameters of requests since the last `clear`, as they came."""
        return [each for each in self.ask("requests") if not action or each.get("Action") == action]

    def clear(self) -> None:
        """Forget calls and requests."""
        self.ask("clear")

    def evict(self, cloud_id: str) -> None:
        """Let EC2 take a spot machine back."""
        self.ask("end", id=cloud_id)

    def end(self, cloud_id: str, code: str, message: str, *, stop: bool = False) -> None:
        """Let a machine end, or stop, for a reason: its own shutdown, for instance."""
        self.ask("end", id=cloud_id, code=code, message=message, stop=stop)

    def forget(self, cloud_id: str) -> None:
        """As EC2 does an hour after a machine ended."""
        self.ask("forget", id=cloud_id)

    def impair(self, cloud_id: str, which: str = "instance") -> None:
        """Let a status check fail: `instance` or `system`."""
        self.ask("impair", id=cloud_id, which=which)

    def console(self, cloud_id: str, text: str) -> None:
        """What GetConsoleOutput gives."""
        self.ask("console", id=cloud_id, text=text)

    def subnet(self, region: str = REGION, zone: str = "") -> str:
        """The subnet that machines of a zone are put into, on loopback addresses."""
        return self.ask("subnet", region=region, zone=zone)  # type: ignore[no-any-return]

    def client(self, service: str = "ec2", region: str = REGION) -> Any:
        """A boto3 client of its own, for preparing things. The caller closes it."""
        import boto3

        return boto3.client(
            service, region_name=region, endpoint_url=self.url, aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip

    def image(self, name: str = "iris_backend", region: str = REGION) -> str:
        """Register an image, and answer with its id."""
        client = self.client(region=region)
        try:
            made = client.register_image(Name=name, RootDeviceName="/dev/sda1", Architecture="x86_64")
            return str(made["ImageId"])
        finally:
            client.close()


def a_network() -> str:
    """The first two numbers of loopback addresses that hardly any other process of tests uses."""
    return f"127.{NETWORKS[os.getpid() % len(NETWORKS)]}"


@contextmanager
def running(network: str = "", port: int = 0) -> Iterator[Ec2]:
    """A server that ends with the block."""
    command = [sys.executable, "-m", "tests.ec2.server", "--network", network or a_network(), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=os.environ | KEYS) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().decode().strip()
            assert url.startswith("http://"), f"the EC2 of tests does not start: {process.poll()}"
            yield Ec2(url)
        finally:
            process.kill()
