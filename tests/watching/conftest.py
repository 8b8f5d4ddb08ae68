"""What asks a watching server as a browser does: over its socket, with headers of one's own."""

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit


class Asking:
    """Asks the server at an address."""

    def __init__(self, address: str) -> None:
        self.host, self.path = urlsplit(address).netloc, urlsplit(address).path
        self.token = self.path.strip("/")

    def __call__(self, path: str | None = None, method: str = "GET", **headers: str) -> tuple[int, bytes, Any]:
        """Return (status, body, headers); names of headers with _ for -."""
        connection = http.client.HTTPConnection(self.host, timeout=20)
        try:
            connection.request(method, self.path if path is None else path,
                               headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def events(self, last: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (number, value) of each event until the server closes."""
        connection = http.client.HTTPConnection(self.host, timeout=20)
        try:
            connection.request("GET", f"{self.path}events", headers={"Last-Event-ID": last} if last else {})
            answer, number = connection.getresponse(), ""
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            for raw in answer:
                if raw.startswith(b"id: "):
                    number = raw[4:].decode().strip()
                elif raw.startswith(b"data: "):
                    yield number, json.loads(raw[6:])
        finally:
            connection.close()
