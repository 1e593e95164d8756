"""Answers of the EC2 of tests: each is a function that gives it to a WSGI server's `start_response`."""

import json
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

Start = Callable[..., Any]
Answer = Callable[[Start], Iterable[bytes]]
NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


def product(kind: str, price: float) -> dict[str, Any]:
    """A price, as the Pricing API words it."""
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": str(price)}}
    terms = {"OnDemand": {"a": {"priceDimensions": {"b": dimension}}}}
    return {"product": {"attributes": {"instanceType": kind}}, "terms": terms}


def rewritten(environ: dict[str, Any], parameters: dict[str, str]) -> dict[str, Any]:
    body = urlencode(parameters).encode()
    return environ | {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}


def recorded(app: Any, environ: dict[str, Any]) -> Answer:
    """Call an application now; what comes back gives its answer."""
    head: list[Any] = []
    body = b"".join(app(environ, lambda *args: head.append(args)))

    def give(start: Start) -> Iterable[bytes]:
        start(*head[0])
        return [body]

    return give


def sent(status: int, kind: str, body: str) -> Answer:
    data = body.encode()

    def give(start: Start) -> Iterable[bytes]:
        start(f"{status} X", [("Content-Type", kind), ("Content-Length", str(len(data)))])
        return [data]

    return give


def xml(name: str, body: str) -> Answer:
    return sent(200, "text/xml", f'<{name} xmlns="{NAMESPACE}"><requestId>r</requestId>{body}</{name}>')


def as_json(value: Any, status: int = 200) -> Answer:
    return sent(status, "application/json", json.dumps(value))


def error(code: str, message: str, status: int = 400) -> Answer:
    inner = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    return sent(status, "text/xml", f"<Response><Errors>{inner}</Errors><RequestID>r</RequestID></Response>")
