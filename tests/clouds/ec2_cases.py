"""What the tests of the EC2 cloud share: a place, settings and requests on the EC2 of tests."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import evolve

from reconciler.clouds.base import Here
from reconciler.clouds.ec2 import Ec2Cloud
from reconciler.model.offer import LaunchRequest, Market, Offer, Place
from reconciler.spec.canonical import to_json
from reconciler.spec.options import Ec2Cloud as Options
from reconciler.spec.places import TELLING
from tests.clouds.cloud_cases import OWNER, TAGS, Case, run
from tests.ec2.control import KEYS, REGION, Ec2

TYPE = "c5.xlarge"
NOBODY = "i-0123456789abcdef0"
ON_DEMAND, SPOT = Market.ON_DEMAND, Market.SPOT


def here(environ: dict[str, str] | None = None) -> Here:
    environ = KEYS if environ is None else environ
    return Here(owner=OWNER, environ=environ, folder=Path(), handshakes=asyncio.Semaphore(9))


def options(server: Ec2, **settings: Any) -> Options:
    """Settings for the server, with keys that only the environment holds."""
    keys = {"access_key_id": "${AWS_ACCESS_KEY_ID}", "secret_access_key": "${AWS_SECRET_ACCESS_KEY}"}
    return Options(**{"region": REGION, "endpoint_url": server.url, "image": "iris", **keys} | settings)


def place(settings: Options) -> Place:
    whole = json.loads(to_json(settings))
    return Place(cloud="ec2", settings=json.dumps({key: whole[key] for key in TELLING["ec2"]}, sort_keys=True))


@contextmanager
def cloud(settings: Options, clock: Callable[[], float] = lambda: 0.0) -> Iterator[Ec2Cloud]:
    made = Ec2Cloud(place(settings), here(), clock=clock)
    try:
        yield made
    finally:
        run(made.close())


def request(settings: Options, token: str = "t1", count: int = 1, **more: Any) -> LaunchRequest:
    offer = Offer(**{"type": TYPE, "market": ON_DEMAND} | more)
    return LaunchRequest(token=token, offer=offer, count=count, settings=to_json(settings), tags=TAGS)


@contextmanager
def ec2_case(server: Ec2) -> Iterator[Case]:
    settings = options(server, image=server.image())
    asked = request(settings)

    def crowded(capacity: int) -> LaunchRequest:
        server.set(limits={"*": capacity})
        return evolve(asked, token="crowded", count=3)

    with cloud(settings) as made:
        yield Case(made, asked, crowded, NOBODY, all_or_none=False)
