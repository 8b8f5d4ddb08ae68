"""A page that shows runs while they are trained, or afterwards, on this machine alone: the standard library's server,
on 127.0.0.1, at an address that nobody can guess. It sends each run's lines (source.py) as server-sent events:

    {"id": …, "can_stop": …, "training": …, "there": …}   of each run, first and whenever it changes
    {"id": …, "line": {…}}                                a line of its recording (lines.py)
    {"unlike": …}                                         why the runs' accuracies cannot be compared, or ""

Its threads are daemons: none holds up the end of a training. live.py puts it beside one.
"""

import contextlib
import errno
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..errors import UsageError, printable
from ..evaluation.grounds import unlike
from ..runs import Run
from .rendering import render
from .source import Place, Source

HOST = "127.0.0.1"
_POLL = 0.25  # seconds between two looks at the files
_BEAT = 15.0  # seconds after which a connection hears something, so that one that is gone is noticed
_LAST = 2.0  # seconds that pages have for their last lines when the server closes
_TOKEN = 16  # random bytes in the address


class Server:
    """A server of the page that shows runs, in threads, on this machine only.

    Args:
        runs: The runs that it shows.
        port: The port on 127.0.0.1. 0: any free one.

    Raises:
        UsageError: The port cannot be used.
    """

    def __init__(self, runs: Sequence[Run] = (), port: int = 0) -> None:
        self.token = secrets.token_urlsafe(_TOKEN)
        self.sources: dict[str, Source] = {}
        self.training: str | None = None  # the id of the run that is trained here
        self.stop: Callable[[], None] | None = None  # stops it
        self.closing = threading.Event()
        self._pages = 0
        self._all_gone = threading.Condition()
        self.page = render()
        for run in runs:
            self.show(run)
        try:
            self._http = _Http((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            if not port:
                raise UsageError(f"no port can be opened for the page ({_why(error)}); leave --live out.") from None
            raise UsageError(f"the port {port} cannot be used ({_why(error)}); give another --port, or leave it out "
                             "for a free one.") from None
        self._http.watched = self
        self.port = int(self._http.server_address[1])
        self.hosts = {f"{name}:{self.port}" for name in (HOST, "localhost")}
        try:
            threading.Thread(target=self._http.serve_forever, args=(0.1,), name="cnn watch", daemon=True).start()
        except RuntimeError as error:
            self._http.server_close()
            raise UsageError(f"the page cannot be served ({printable(error)}); leave --live out.") from None

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def show(self, run: Run) -> str:
        """Show one more run, unless it is there already.

        Args:
            run: The run.

        Returns:
            What pages call it.
        """
        for name, source in list(self.sources.items()):
            if source.run.path.resolve() == run.path.resolve():
                return name
        name = run.name if run.name not in self.sources else str(run.path)
        self.sources[printable(name)] = Source(run)
        return printable(name)

    def wait(self) -> None:
        """Wait until somebody presses Ctrl-C, or closes the server."""
        with contextlib.suppress(KeyboardInterrupt):
            self.closing.wait()

    def close(self) -> None:
        """Send the pages what is left, and release the port."""
        self.closing.set()
        with self._all_gone:
            self._all_gone.wait_for(lambda: self._pages == 0, _LAST)
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *why: object) -> None:
        self.close()

    # ---- what a page's connection sends ----

    def state(self, name: str) -> dict[str, Any]:
        """Return what pages are told of a run beside its lines.

        Args:
            name: What pages call the run.
        """
        source, here = self.sources[name], self.training == name
        return {"id": name, "can_stop": here and self.stop is not None,
                "training": here or source.run.in_training, "there": source.is_there}

    def send_events(self, send: Callable[[bytes], object], last: str) -> None:
        """Send a page all lines after its last event, and new ones, until the page or the server closes.

        Args:
            send: Sends bytes to the page.
            last: The number of the page's last event; "" before the first one.
        """
        places = dict(zip(list(self.sources), map(Place.parsed, last.split(",") if last else ()), strict=False))
        told, heard = dict[str, Any](), time.monotonic()
        with self._all_gone:
            self._pages += 1
        try:
            closing, wait = False, 0.0
            while not closing:
                closing, wait = self.closing.wait(wait), _POLL
                events = b"".join(self._news(places, told))
                if events or time.monotonic() - heard > _BEAT:
                    send(events or b": still here\n\n")
                    heard = time.monotonic()
        finally:
            with self._all_gone:
                self._pages -= 1
                self._all_gone.notify_all()

    def _news(self, places: dict[str, Place], told: dict[str, Any]) -> list[bytes]:
        """Return the events that a page has not had yet."""
        events = list[bytes]()
        for name, source in list(self.sources.items()):
            place, state = places.setdefault(name, Place()), self.state(name)
            if told.get(name) != state:
                told[name] = state
                events.append(_event(state))
            for line in source.lines(place):
                events.append(_event({"id": name, "line": line}, ",".join(map(str, places.values()))))
        if (sentence := self._unlike()) != told.get("", ""):  # no run is called so
            told[""] = sentence
            events.append(_event({"unlike": sentence}))
        return events

    def _unlike(self) -> str:
        """Return why the accuracies of the runs cannot be compared; "" where they can, or there is one run."""
        sources = list(self.sources.items())
        known = [(name, source.grounds()) for name, source in sources if len(sources) > 1]
        return unlike((name, each) for name, each in known if each) or ""


def _event(value: dict[str, Any], number: str = "") -> bytes:
    data = json.dumps(value, separators=(",", ":"))
    return (f"id: {number}\n" if number else "").encode() + f"data: {data}\n\n".encode()


def _why(error: Exception) -> str:
    taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
    return "another program uses it" if taken else str(getattr(error, "strerror", None) or error).lower()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    watched: Server

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a page that was closed is no error."""


class _Handler(BaseHTTPRequestHandler):
    """Answers one request. What is not for this server's page is refused in a word."""

    server: _Http
    timeout = 30
    server_version, sys_version = "cnn", ""

    def do_GET(self) -> None:
        where = self._where()
        if where == "":
            self._answer(200, self.server.watched.page, "text/html; charset=utf-8")
        elif where == "events":
            self._head(200, "text/event-stream; charset=utf-8")
            self.server.watched.send_events(self._send, self.headers.get("Last-Event-ID", ""))
        elif where is not None:
            self._refuse(405 if where == "stop" else 404)

    def do_POST(self) -> None:
        where, watched = self._where(), self.server.watched
        if where != "stop":
            if where is not None:
                self._refuse(405 if where in ("", "events") else 404)
        elif not _same(self.headers.get("X-Token", ""), watched.token):
            self._refuse(403)
        elif (stop := watched.stop) is None:
            self._answer(409, b"No training can be stopped from here.\n")
        else:
            stop()
            self._answer(202, b"The training stops after this step, and is saved.\n")

    def do_HEAD(self) -> None:
        if self._where() is not None:
            self._refuse(405)

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = do_HEAD

    def _where(self) -> str | None:
        """Return the path behind the token; None where the request is refused, which is then done."""
        watched, path = self.server.watched, self.path.split("?")[0]
        origin = self.headers.get("Origin")
        if self.headers.get("Host") not in watched.hosts:  # another site's name that leads here (DNS rebinding)
            self._refuse(403)
            return None
        if origin is not None and origin.removeprefix("http://") not in watched.hosts:
            self._refuse(403)
            return None
        token, slash, where = path.removeprefix("/").partition("/")
        if path.startswith("/") and slash and _same(token, watched.token):
            return where
        self._refuse(404)
        return None

    def _refuse(self, status: int) -> None:
        words = {403: "This page answers its own address only, the one that was printed.",
                 404: "There is nothing here. Give the whole address, as it was printed.",
                 405: "That cannot be done here."}
        self._answer(status, f"{words.get(status, 'That was no request.')}\n".encode())

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no request, in a word."""
        self.request_version = getattr(self, "request_version", "HTTP/1.0")
        self._refuse(code)

    def _answer(self, status: int, content: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self._head(status, kind, len(content))
        if self.command != "HEAD":
            self._send(content)

    def _head(self, status: int, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"),
                            ("X-Content-Type-Options", "nosniff"), ("Cross-Origin-Resource-Policy", "same-origin"),
                            ("Content-Security-Policy", "frame-ancestors 'none'"), ("X-Frame-Options", "DENY")):
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: the terminal is the training's."""


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode())
