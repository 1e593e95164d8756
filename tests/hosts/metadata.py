"""EC2's instance metadata, version 2, as far as the agent asks it: on loopback, in a thread, token and all."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "AQAEAOz7Yg_-x1+/fake=="
ACTION = "/latest/meta-data/spot/instance-action"
REBALANCE = "/latest/meta-data/events/recommendations/rebalance"


class Metadata:
    """What it answers is set by the test; what it was asked is counted."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.token = TOKEN
        self.answers: dict[str, tuple[int, str]] = {}  # by path; else 404
        self.asked: list[tuple[str, str, int]] = []  # method, path, status

    def answer(self, method: str, path: str, token: str | None, seconds: str | None) -> tuple[int, str]:
        """As EC2 does: 400 for a token without its time, 401 without a token, 404 where there is no news."""
        if (method, path) == ("PUT", "/latest/api/token"):
            status, text = (200, self.token) if seconds and 1 <= int(seconds) <= 21600 else (400, "")
        elif token != self.token:
            status, text = 401, "<html>Unauthorized</html>"
        else:
            status, text = self.answers.get(path, (404, "<html>Not Found</html>")) if method == "GET" else (405, "")
        self.asked.append((method, path, status))
        return status, text


@contextlib.contextmanager
def metadata_service() -> Iterator[Metadata]:
    """A service that lives as long as the block."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            token = self.headers.get("X-aws-ec2-metadata-token")
            seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
            status, text = service.answer(self.command, self.path, token, seconds)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", text)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_PUT = _answer  # noqa: N815

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = Metadata(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
