"""Calls to AWS for one account and region: one client of each kind, made when first needed, and threads of its own.

botocore blocks; its calls run in a few threads that belong to the place, so a hundred slow ones starve nobody else.
"""

import re
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, cast

from reconciler.clouds.base import CloudError
from reconciler.clouds.ec2_errors import cloud_error
from reconciler.clouds.ec2_threads import Threads
from reconciler.model.offer import Fault
from reconciler.spec.errors import did_you_mean

THREADS = 8  # calls that one place has under way at a time
CONNECT = 10.0  # seconds
READ = 70.0  # seconds; RunInstances of many machines takes some ten
ATTEMPTS = 3  # of calls that are safe to repeat; more is the loop's to decide
PAGE = 1000  # machines an answer, the most that EC2 gives
BUYING = "buying"  # a client that never repeats by itself: botocore would repeat InsufficientInstanceCapacity

_T = TypeVar("_T")
_REFERENCE = re.compile(r"\$\{(\w+)\}")


class UnknownRegionError(CloudError):
    """There is no such region: nothing was sent, and nothing can be there."""


class Account:
    """AWS, as the settings that tell a place say. Every call raises CloudError."""

    def __init__(
        self, settings: Mapping[str, Any], environ: Mapping[str, str], *, threads: Threads | None = None
    ) -> None:
        """`settings` are a place's; keys in them are names of variables of `environ`; `threads` make the calls."""
        self.region = str(settings["region"])
        self._settings = settings
        self._environ = environ
        self._threads = threads or Threads(THREADS, f"ec2-{self.region}")
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[tuple[str, str, str], Any] = {}

    async def call(self, operation: str, *, service: str = "ec2", region: str = "", **parameters: Any) -> Any:
        """The answer to one operation, by boto3's name of it."""
        return await self._threaded(partial(self.now, operation, service=service, region=region, **parameters))

    async def buy(self, **parameters: Any) -> Any:
        """RunInstances, asked once."""
        return await self._threaded(partial(self._ask, "run_instances", "ec2", "", BUYING, parameters))

    async def pages(self, operation: str, *, service: str = "ec2", **parameters: Any) -> AsyncIterator[Any]:
        """Every page of an answer, one call each."""
        token = None
        while True:
            following: dict[str, str] = {"NextToken": token} if token else {}
            page = await self.call(operation, service=service, **parameters, **following)
            yield page
            token = page.get("NextToken")
            if not token:
                return

    def now(self, operation: str, *, service: str = "ec2", region: str = "", **parameters: Any) -> Any:
        """The same, in this thread. Raises what boto3 raises."""
        return self._ask(operation, service, region, "", parameters)

    async def _threaded(self, work: Callable[[], _T]) -> _T:
        try:
            return await self._threads.run(work)
        except CloudError:
            raise
        except Exception as error:  # boto3's errors share no ancestor; whatever it is, it is sorted
            raise cloud_error(error) from error

    def _ask(self, operation: str, service: str, region: str, kind: str, parameters: Mapping[str, Any]) -> Any:
        return getattr(self._client(service, region or self.region, kind), operation)(**parameters)

    def _client(self, service: str, region: str, kind: str) -> Any:
        from botocore.config import Config

        with self._lock:  # making a session or a client is not safe in two threads at once
            key = (service, region, kind)
            if key not in self._clients:
                config = Config(
                    connect_timeout=CONNECT, read_timeout=READ, max_pool_connections=THREADS, retries=
                    {"mode": "standard", "total_max_attempts": 1 if kind == BUYING else ATTEMPTS},
                )  # fmt: skip
                self._session = self._session or self._made()
                self._clients[key] = self._of_region(service, region, config)
            return self._clients[key]

    def _of_region(self, service: str, region: str, config: Any) -> Any:
        """A client. Raises UnknownRegionError where its address is made from the name of a region that is none."""
        from botocore.exceptions import InvalidRegionError

        session, endpoint = self._session, self._settings.get("endpoint_url")
        try:
            client = session.client(service, region_name=region, endpoint_url=endpoint, config=config)
        except InvalidRegionError as error:
            raise self._unknown(region) from error
        if f".{region}." in client.meta.endpoint_url and region not in self._regions():
            client.close()
            raise self._unknown(region)
        return client

    def _regions(self) -> frozenset[str]:
        """Those of EC2, from botocore's own list: nothing is asked."""
        session = self._session
        partitions = session.get_available_partitions()
        return frozenset(name for each in partitions for name in session.get_available_regions("ec2", each))

    def _unknown(self, region: str) -> UnknownRegionError:
        hint = did_you_mean(region, sorted(self._regions()))
        hint = hint if hint.endswith("?") else "write one such as eu-west-1."
        text = f"EC2 has no region {region}; {hint} If AWS has added it lately, update botocore"
        return UnknownRegionError(Fault.REFUSED, text)

    def _made(self) -> Any:
        """A session: with the keys that are named, else the profile, else by boto3's own chain."""
        import boto3
        import botocore.session

        core = botocore.session.get_session()
        core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
        return boto3.Session(
            botocore_session=core,
            profile_name=self._settings.get("profile"),
            region_name=self.region,
            aws_access_key_id=self._secret("access_key_id"),
            aws_secret_access_key=self._secret("secret_access_key"),
            aws_session_token=self._secret("session_token"),
        )

    def _secret(self, key: str) -> str | None:
        """What the variable holds that a setting names."""
        written = self._settings.get(key)
        if not written:
            return None
        match = _REFERENCE.fullmatch(str(written))
        value = self._environ.get(match[1]) if match else None
        if not value:
            raise CloudError(Fault.DENIED, f"{key}: the environment has no {match[1] if match else 'such key'}")
        return value

    async def close(self) -> None:
        """Let go of connections. Calls that are under way end by themselves."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()


def _moment(text: str | float) -> datetime:
    """A time in an answer. botocore tries every form there is, which is a third of the work of reading a listing."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        from botocore.utils import parse_timestamp

        return cast("datetime", parse_timestamp(text))
