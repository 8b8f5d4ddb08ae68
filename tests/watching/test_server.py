"""watching/server.py: who is answered and who is not, what a page hears, and that nothing holds up the end."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnncli.errors import UsageError
from cnncli.runs import Run
from cnncli.watching import server as module
from cnncli.watching.server import Server

from .conftest import Asking


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at files more often."""
    monkeypatch.setattr(module, "_POLL", 0.01)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with a recording of two lines."""
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "watched.jsonl").write_bytes(b'{"what":"begin","n":1}\n{"what":"step","n":2}\n')
    return Run(folder)


@pytest.fixture
def server(run: Run) -> Iterator[Server]:
    """A server that shows it."""
    with Server([run]) as server:
        yield server


def append(run: Run, line: str) -> None:
    with (run.path / "watched.jsonl").open("a") as file:
        file.write(line + "\n")


def test_the_page_comes_at_its_address_alone(server: Server) -> None:
    ask = Asking(server.address)
    assert server.address.startswith("http://127.0.0.1:")
    assert len(ask.token) >= 20
    status, body, headers = ask()
    assert (status, body) == (200, server.page)
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert ask(f"{ask.path}?x=1")[0] == 200
    assert ask(ask.path, Host=f"localhost:{server.port}")[0] == 200
    for path in ("/", "", "//", f"/{ask.token}", f"/x{ask.token}/", "/../etc/passwd", f"{ask.path}watch.js",
                 f"{ask.path}../", f"/{ask.token[:-1]}/", f"{ask.path}events/", "*"):
        status, body, _ = ask(path)
        assert (status, body) == (404, b"There is nothing here. Give the whole address, as it was printed.\n"), path


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", "",
                                  "LOCALHOST.evil:{port}"])
def test_another_host_is_refused(host: str, server: Server) -> None:
    ask = Asking(server.address)
    for path, method in ((None, "GET"), (f"{ask.path}events", "GET"), (f"{ask.path}stop", "POST")):
        assert ask(path, method, Host=host.format(port=server.port), X_Token=ask.token)[0] == 403


def test_other_methods_are_refused(server: Server) -> None:
    ask = Asking(server.address)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT"):
        assert ask(None, method)[0] == 405
        assert ask("/", method)[0] == 404
        assert ask(None, method, Host="evil")[0] == 403
    assert ask(None, "POST")[0] == ask(f"{ask.path}events", "POST")[0] == ask(f"{ask.path}stop")[0] == 405
    assert ask(f"{ask.path}x", "POST")[0] == 404
    assert ask(None, "BREW")[0] in (405, 501)


def test_what_is_no_request_is_answered_in_a_word(server: Server) -> None:
    get, end = b"GET / HTTP/1.0\r\n", b"\r\n\r\n"
    for sent in (b"\x00\xff\n\n", b"GET" + end, b"GET / HTTP/9.9" + end, b"GET /" + b"a" * 70_000 + b" HTTP/1.0" + end,
                 get + b"A: b\r\n" * 300 + end, get + b"\r\n", b"PRI * HTTP/2.0" + end):
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            connection.sendall(sent)
            answer = connection.recv(4096)
        assert answer, sent[:30]
        assert b"<html" not in answer.lower()
    assert Asking(server.address)()[0] == 200, "it goes on"


def test_only_who_has_the_token_in_a_header_can_stop(server: Server) -> None:
    ask, asked = Asking(server.address), list[int]()
    stop = f"{ask.path}stop"
    assert ask(stop, "POST", X_Token=ask.token)[0] == 409, "nothing is trained here"
    server.stop = lambda: asked.append(1)
    for headers in ({}, {"X_Token": ""}, {"X_Token": ask.token + "x"}, {"X_Token": "\xe9"},
                    {"X_Token": ask.token, "Origin": "http://evil.example"},
                    {"X_Token": ask.token, "Origin": "null"}):
        assert ask(stop, "POST", **headers)[0] == 403
    assert asked == []
    assert ask(stop, "POST", X_Token=ask.token, Origin=f"http://127.0.0.1:{server.port}")[0] == 202
    assert asked == [1]


def test_two_pages_hear_all_and_what_comes_and_go_on_where_they_were(server: Server, run: Run) -> None:
    ask = Asking(server.address)
    first = ask.events()
    assert next(first) == ("", {"id": "one", "can_stop": False, "training": False, "there": True})
    assert [next(first)[1]["line"]["n"] for _ in range(2)] == [1, 2]
    append(run, '{"what":"step","n":3}')
    number, event = next(first)
    assert event == {"id": "one", "line": {"what": "step", "n": 3}}
    append(run, '{"what":"step","n":4}')
    second, again, odd = ask.events(), ask.events(number), ask.events("nonsense,1.2.3,")
    assert next(second)[1]["id"] == next(again)[1]["id"] == next(odd)[1]["id"] == "one"
    for each in (second, odd):
        assert [next(each)[1]["line"]["n"] for _ in range(4)] == [1, 2, 3, 4]
    assert next(again)[1]["line"]["n"] == next(first)[1]["line"]["n"] == 4
    server.training, server.stop = "one", lambda: None
    assert next(first)[1] == next(second)[1] == {"id": "one", "can_stop": True, "training": True, "there": True}
    for each in (first, second, again, odd):
        each.close()


def test_runs_that_begin_meanwhile_are_shown_and_names_tell_them_apart(server: Server, run: Run,
                                                                        tmp_path: Path) -> None:
    other = tmp_path / "others" / "one"
    other.mkdir(parents=True)
    (other / "watched.jsonl").write_bytes(b'{"what":"begin","n":9}\n')
    events = Asking(server.address).events()
    for _ in range(3):
        next(events)
    assert server.show(run) == server.show(Run(tmp_path / "x" / ".." / "runs" / "one")) == "one", "it is there already"
    assert server.show(Run(other)) == str(other)
    assert next(events)[1] == {"id": str(other), "can_stop": False, "training": False, "there": False}
    number, event = next(events)
    assert event == {"id": str(other), "line": {"what": "begin", "n": 9}}
    assert number.count(",") == 1
    events.close()


def test_runs_that_cannot_be_compared_are_told_and_what_is_damaged_says_nothing(server: Server, run: Run,
                                                                                tmp_path: Path) -> None:
    events = Asking(server.address).events()
    for _ in range(3):
        next(events)
    other = tmp_path / "runs" / "two"
    other.mkdir()
    (other / "watched.jsonl").write_bytes(b'{"what":"begin","n":9}\n')
    for folder, image in ((run.path, "a"), (other, "b")):
        (folder / "config.json").write_text('{"format": 1, "classes": ["x", "y"]}')
        (folder / "images.csv").write_text(f"split,class,path,bytes,file,pixels\nval,x,{image}.png,3,{image},1\n")
    server.show(Run(other))
    assert [next(events)[1]["id"] for _ in range(2)] == ["two", "two"]
    assert next(events)[1] == {
        "unlike": "one and two have different validation images, so their accuracies cannot be compared directly."}
    (other / "config.json").write_text("{")
    assert next(events)[1] == {"unlike": ""}
    events.close()


def test_a_run_that_is_deleted_is_said_to_be_gone(server: Server, run: Run) -> None:
    events = Asking(server.address).events()
    for _ in range(3):
        next(events)
    for file in run.path.iterdir():
        file.unlink()
    assert next(events)[1] == {"id": "one", "can_stop": False, "training": False, "there": False}
    events.close()


def test_closing_sends_what_is_left_and_waits_for_nobody(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL", 30.0)
    server, heard = Server([run]), list[Any]()
    reader = threading.Thread(target=lambda: heard.extend(event for _, event in Asking(server.address).events()))
    reader.start()
    deaf = socket.create_connection(("127.0.0.1", server.port))  # asks for nothing
    while len(heard) < 3:
        time.sleep(0.01)
    append(run, '{"what":"end","n":3}')
    began = time.monotonic()
    server.close()
    assert time.monotonic() - began < 3
    reader.join(5)
    assert heard[-1]["line"]["n"] == 3
    with pytest.raises(OSError):  # noqa: PT011  # refused, or reset
        socket.create_connection(("127.0.0.1", server.port), 1).close()
    deaf.close()


def test_a_quiet_connection_hears_that_it_stands(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BEAT", 0.05)
    ask = Asking(server.address)
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(f"GET {ask.path}events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        heard = b""
        while b"\n: still here\n\n" not in heard:
            heard += connection.recv(4096)


def test_a_port_that_is_taken_or_cannot_be_is_refused_in_a_sentence(server: Server) -> None:
    with pytest.raises(UsageError, match=f"^the port {server.port} cannot be used \\(another program uses it\\); give "
                                         "another port, or leave it out for a free one\\.$"):
        Server(port=server.port)
    with pytest.raises(UsageError, match="the port 70000 cannot be used"):
        Server(port=70000)


def test_where_there_are_no_ports_at_all_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*what: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(module._Http, "server_bind", refuse)
    with pytest.raises(UsageError, match="no port can be opened for the page \\(operation not permitted\\); leave "
                                         "Live out"):
        Server()


def test_where_no_thread_can_begin_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(UsageError, match="the page cannot be served \\(can't start new thread\\)"):
        Server()
