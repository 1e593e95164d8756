"""EC2, IAM, STS and S3 by moto over HTTP in a process of its own, with what moto lacks, and faults on demand.

`python -m tests.ec2.server --network 127.10` prints its URL, then serves until it is ended. `tests.ec2.control` starts
it and asks it for things by JSON under /control/.
"""

import argparse
import hashlib
import json
import os
import re
import threading
import time
from base64 import b64encode
from collections.abc import Iterable
from io import BytesIO
from socket import SHUT_RDWR
from typing import Any
from urllib.parse import parse_qsl

from attrs import asdict, define

os.environ |= {
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "MOTO_ENABLE_AMI_VALIDATION": "true",
    "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
}
from moto.backends import get_backend
from moto.ec2.models import ec2_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from tests.ec2.answers import Answer, Start, as_json, error, product, recorded, rewritten, xml
from tests.ec2.world import ACCOUNT, EVICTED, Bought, Knobs, World, described, everyone, find, install

REGION = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/")
SERVICES = ("ec2", "iam", "sts", "s3")
TICK = 0.02  # seconds between looks at what is due


@define
class Fault:
    """What an action meets, so many times."""

    action: str
    code: str = ""  # an error's code; empty: the action is done as it should be
    message: str = "a fault of the test"
    status: int = 400
    times: int = 1
    after: bool = False  # it is done, and then answered like that
    drop: bool = False  # the connection ends without an answer
    delay: float = 0.0  # seconds before the answer
    give: int | None = None  # RunInstances gives so many at most


class Quiet(MotoRequestHandler):
    """A request log would hold what tests look for."""

    protocol_version = "HTTP/1.1"

    def log(self, *args: Any) -> None:
        """Say nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """By a clock that may be behind ours."""
        return super().date_time_string(time.time() - self.server.app.world.knobs.skew)  # type: ignore[attr-defined]


class Ec2Server:
    """The WSGI application."""

    def __init__(self, network: str) -> None:
        self.lock = threading.RLock()
        self.world = World(network)
        self.faults: list[Fault] = []
        self.moto = DomainDispatcherApplication(create_backend_app)
        install(self.world)

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        path = environ["PATH_INFO"]
        if path.startswith("/control/"):
            return self.control(path.removeprefix("/control/"), environ["wsgi.input"].read(length), start)
        match = REGION.search(environ.get("HTTP_AUTHORIZATION", ""))
        region, service = match.groups() if match else ("us-east-1", "s3")
        if service == "s3":
            return self.moto(environ, start)  # type: ignore[no-any-return]
        body = environ["wsgi.input"].read(length)
        parameters = dict(parse_qsl(body.decode(), keep_blank_values=True))
        action = parameters.get("Action") or environ.get("HTTP_X_AMZ_TARGET", "").partition(".")[2]
        environ["wsgi.input"] = BytesIO(body)
        return self.answer(environ, start, action, service, region, parameters)

    def answer(
        self, environ: dict[str, Any], start: Start, action: str, service: str, region: str, parameters: dict[str, str]
    ) -> Iterable[bytes]:
        with self.lock:
            self.world.calls[action] += 1
            self.world.requests.append({"service": service, **parameters})
            fault = self.fault(action)
        if fault and fault.delay and not fault.after:
            time.sleep(fault.delay)
        if fault and not fault.after and (fault.code or fault.drop):
            return self.fail(environ, start, fault)
        with self.lock:
            self.world.advance()
            acted = self.act(environ, start, action, service, region, parameters, fault)
        if fault and fault.after:
            time.sleep(fault.delay)
            return self.fail(environ, start, fault)
        return acted(start)

    def fault(self, action: str) -> Fault | None:
        found = next((each for each in self.faults if each.action in (action, "*")), None)
        if found:
            found.times -= 1
            if found.times <= 0:
                self.faults.remove(found)
        return found

    def fail(self, environ: dict[str, Any], start: Start, fault: Fault) -> Iterable[bytes]:
        if fault.drop:
            environ["werkzeug.socket"].shutdown(SHUT_RDWR)
            return []
        return error(fault.code, fault.message, fault.status)(start)

    def act(
        self, environ: dict[str, Any], start: Start, action: str, service: str, region: str,
        parameters: dict[str, str], fault: Fault | None,
    ) -> Answer:  # fmt: skip
        """Do it; the answer is given later, by the function that comes back."""
        own = {
            "DescribeInstanceStatus": self.statuses, "GetConsoleOutput": self.console,
            "GetServiceQuota": self.quota, "GetProducts": self.products,
        }.get(action)  # fmt: skip
        if own and parameters.get("DryRun") == "true":
            return error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        if action == "DescribeInstanceStatus" and "impaired" not in parameters.values():
            own = None  # who asks for all of them is answered by moto
        if own:
            return own(parameters)
        if action == "RunInstances" and parameters.get("DryRun") != "true":
            refused = self.admit(region, parameters, fault)
            if refused:
                return refused
        if action == "DescribeInstances" and "MaxResults" in parameters:
            pages = {"MaxResults": str(min(int(parameters["MaxResults"]), self.world.knobs.page))}
            environ = rewritten(environ, parameters | pages)
        return recorded(self.moto, environ)

    def admit(self, region: str, parameters: dict[str, str], fault: Fault | None) -> Answer | None:
        """Tokens and capacity: why a RunInstances is refused, if it is; and else how many it gets."""
        world, token = self.world, parameters.get("ClientToken", "")
        asked = json.dumps(sorted(parameters.items()))
        fingerprint = hashlib.sha256(asked.encode()).hexdigest()
        known = world.tokens.get((region, token))
        if known and known.reservation:
            if known.fingerprint != fingerprint:
                return error("IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent")
            return None
        room = world.room(ec2_backends[ACCOUNT][region], parameters.get("InstanceType", ""))
        if fault and fault.give is not None:
            room = min(room, fault.give)
        world.granted = min(room, int(parameters["MaxCount"]))
        if world.granted < int(parameters["MinCount"]) or ("InstanceMarketOptions.MarketType" in parameters and
                                                          world.knobs.spot_unavailable):  # fmt: skip
            return error("InsufficientInstanceCapacity", "There is no such capacity just now.", 500)
        world.tokens[region, token] = Bought(fingerprint, "")
        return None

    def statuses(self, parameters: dict[str, str]) -> Any:
        kind = "system" if "system-status.status" in parameters.values() else "instance"
        item = (
            "<item><instanceId>{}</instanceId><systemStatus><status>{}</status></systemStatus>"
            "<instanceStatus><status>{}</status></instanceStatus></item>"
        )
        found = [each for each, which in self.world.impaired.items() if which == kind]
        words = ("impaired", "ok") if kind == "system" else ("ok", "impaired")
        items = "".join(item.format(each, *words) for each in found)
        return xml("DescribeInstanceStatusResponse", f"<instanceStatusSet>{items}</instanceStatusSet>")

    def console(self, parameters: dict[str, str]) -> Any:
        cloud_id = parameters["InstanceId"]
        text = b64encode(self.world.consoles.get(cloud_id, "").encode()).decode()
        return xml("GetConsoleOutputResponse", f"<instanceId>{cloud_id}</instanceId><output>{text}</output>")

    def quota(self, parameters: dict[str, str]) -> Any:
        return as_json({"Quota": {"Value": self.world.knobs.vcpus}})

    def products(self, parameters: dict[str, str]) -> Any:
        asked = next(iter(parameters), "")  # a JSON body has no parameters: it is one key
        known = {kind: price for kind, price in self.world.knobs.prices.items() if f'"{kind}"' in asked}
        return as_json({"PriceList": [json.dumps(product(*each)) for each in known.items()]})

    def control(self, what: str, body: bytes, start: Start) -> Iterable[bytes]:
        given = json.loads(body or b"{}")
        with self.lock:
            self.world.advance()
            try:
                answer = getattr(self, f"control_{what}")(**given)
            except Exception as problem:
                return as_json({"error": repr(problem)}, 500)(start)
        return as_json(answer)(start)

    def control_reset(self) -> None:
        for service in SERVICES:
            get_backend(service).reset()  # type: ignore[arg-type]
        self.world.__init__(self.world.network)  # type: ignore[misc]
        self.faults.clear()

    def control_set(self, **knobs: Any) -> dict[str, Any]:
        self.world.knobs = Knobs(**{**asdict(self.world.knobs), **knobs})
        return asdict(self.world.knobs)

    def control_fault(self, **fault: Any) -> None:
        self.faults.append(Fault(**fault))

    def control_instances(self) -> list[dict[str, Any]]:
        return [described(each) for each in everyone()]

    def control_calls(self) -> dict[str, int]:
        return dict(self.world.calls)

    def control_requests(self) -> list[dict[str, str]]:
        return self.world.requests

    def control_clear(self) -> None:
        self.world.calls.clear()
        self.world.requests.clear()

    def control_end(self, id: str, code: str = EVICTED[0], message: str = EVICTED[1], stop: bool = False) -> None:  # noqa: A002
        self.world.end(find(id), code, message, stop=stop)

    def control_forget(self, id: str) -> None:  # noqa: A002
        for backend in ec2_backends[ACCOUNT].values():
            for reservation in backend.reservations.values():
                reservation.instances = [each for each in reservation.instances if each.id != id]

    def control_impair(self, id: str, which: str = "instance") -> None:  # noqa: A002
        self.world.impaired[id] = which

    def control_console(self, id: str, text: str) -> None:  # noqa: A002
        self.world.consoles[id] = text

    def control_subnet(self, region: str, zone: str = "") -> str:
        return self.world.subnet(ec2_backends[ACCOUNT][region], zone or None)

    def tick(self) -> None:
        """Let things happen without anybody asking."""
        while True:
            time.sleep(TICK)
            with self.lock:
                self.world.advance()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", default="127.10")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    app = Ec2Server(options.network)
    served = make_server("127.0.0.1", options.port, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=app.tick, daemon=True).start()
    print(f"http://127.0.0.1:{served.server_port}", flush=True)
    served.serve_forever()


if __name__ == "__main__":
    main()
