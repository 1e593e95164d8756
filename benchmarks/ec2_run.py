"""Our side of fifty submissions on EC2: `python -m benchmarks.ec2_run URL IMAGE SUBNET [COUNT]` prints JSON.

The program is the real one, from its files to boto3's client, whose calls go over HTTP to the EC2 of tests; only its
clock is virtual and its machines are played. It is a process of its own, so that its CPU is its own.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from attrs import asdict, frozen

from benchmarks.deployment import Deployment
from benchmarks.ec2_hosts import BOOT, Host, Machine, Transport
from benchmarks.work import queue_at_once
from reconciler import wiring
from reconciler.clouds.base import Here
from reconciler.clouds.ec2 import Ec2Cloud
from reconciler.clouds.ec2_ssh import console_keys
from reconciler.clouds.ec2_threads import Threads
from reconciler.hosts import base
from reconciler.hosts.ssh_way import Way
from reconciler.model import offer
from reconciler.model.job import Guard
from reconciler.model.offer import LaunchRequest, Place
from reconciler.spec.places import place
from reconciler.store.store import Store
from tests.simulation.clock import run

SUBMISSIONS = 50
SECONDS = 300.0  # that each takes
CALL = 0.15  # seconds for a call to AWS

CONFIG = """\
controller: benchmark
pools: pools/
results: results/
interval: 10s
"""
POOL = """\
pool: cpu
cloud:
  ec2:
    region: eu-west-1
    endpoint_url: {url}
    access_key_id: ${{AWS_ACCESS_KEY_ID}}
    secret_access_key: ${{AWS_SECRET_ACCESS_KEY}}
    image: {image}
    subnets: [{subnet}]
    address: private
size: {{t3.micro: 0..{count}}}
market: on-demand
workload: {{script: {{command: sh run.sh}}}}
"""

T = TypeVar("T")


class InPlace(Threads):
    """AWS's calls, made in place and counted: each takes its time on the virtual clock."""

    def __init__(self) -> None:
        super().__init__(at_once=8, name="")
        self.calls: Counter[str] = Counter()

    async def run(self, work: Callable[[], T]) -> T:
        assert isinstance(work, partial)
        name = next(word for word in work.args if isinstance(word, str))
        self.calls[name] += 1
        async with self._slots:
            await asyncio.sleep(CALL)
            return work()


class TimedCloud(Ec2Cloud):
    """EC2, whose machines boot in virtual time."""

    def __init__(self, where: Place, here: Here, threads: InPlace) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(where, here, clock=loop.time, threads=threads)
        self._booting: dict[str, Machine] = {}

    async def launch(self, request: LaunchRequest) -> Sequence[offer.Machine]:
        """Buy, and note when."""
        machines = await super().launch(request)
        up = asyncio.get_running_loop().time() + BOOT
        for each in machines:
            self._booting.setdefault(each.cloud_id, Machine(each.cloud_id, up, SECONDS))
        return machines

    def host(self, machine: offer.Machine, settings: str) -> base.Host:  # noqa: ARG002 (all are alike)
        """A way into a machine that is played; its host key is asked of its console, as everywhere."""
        way = Way(address=machine.address, user="ubuntu", host_key=machine.host_key)
        transport = Transport(
            self._booting[machine.cloud_id], way, handshakes=self._here.handshakes,
            trusted=lambda: console_keys(self._account, machine.cloud_id),
        )  # fmt: skip
        return Host(transport, guard=Guard(lease=3600.0, keep_results=86400.0))


@frozen
class Outcome:
    """What a run came to. Seconds; `settled` is when nothing was left to do."""

    calls: Mapping[str, int]
    makespan: float
    settled: float


async def fifty(folder: Path, url: str, image: str, subnet: str, count: int) -> Outcome:
    """Run them all; the clock is the event loop's."""
    clock = asyncio.get_running_loop()
    began = clock.time()
    made = Deployment(folder)
    (folder / "pools").mkdir()
    made.config.write_text(CONFIG, encoding="utf-8")
    pool = POOL.format(url=url, image=image, subnet=subnet, count=count)
    (folder / "pools" / "cpu.yml").write_text(pool, encoding="utf-8")
    config, specs = wiring.read_config(made.config)
    with closing(Store.open(config.database, controller=config.controller, clock=clock.time)) as store:
        queue_at_once(made, config, specs, store, count, f"sleep {SECONDS:.0f}\n")
        threads = InPlace()
        machines = wiring.Machines(wiring.here(config, store.identity))
        where = place(specs.desired().pools["cpu"].pool, config)
        machines.clouds[where] = TimedCloud(where, machines.here, threads)
        async with wiring.assembled(config, specs, store, lambda _: None, machines=machines) as loop:
            await loop.until_settled()
        ended = store.submissions(pool="cpu", states=["succeeded"])
        assert len(ended) == count, store.counts("submissions")
        makespan = max(row.since for row in ended) - began
        return Outcome(dict(threads.calls), makespan, clock.time() - began)


def main(arguments: Sequence[str]) -> None:
    """Run, and print."""
    url, image, subnet, *more = arguments
    with tempfile.TemporaryDirectory(prefix="reconciler-benchmark-") as folder:
        outcome = run(fifty(Path(folder), url, image, subnet, int(more[0]) if more else SUBMISSIONS))
    print(json.dumps(asdict(outcome) | {"cpu": time.process_time()}))


if __name__ == "__main__":
    main(sys.argv[1:])
