"""guardian.py and lifeline.py: who ends without a word is named, who fails is heard, and all others end with its exit
code; who leads says its own errors itself."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cnncli.ranks import guardian, lifeline
from cnncli.ranks.guardian import Guardian
from cnncli.ranks.lifeline import Lifeline, start_guardian


class Rank:
    """A process as the guardian hears it."""

    def __init__(self, port: int, word: str, rank: int) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.say("hello", word, rank, f"host{rank}")

    def say(self, *what: Any) -> None:
        self.connection.sendall(json.dumps(what).encode() + b"\n")

    def told(self) -> Any:
        self.connection.settimeout(5)
        data = self.connection.recv(100)
        return json.loads(data) if data else None


class Served:
    """A guardian of three, and what it writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[str] = []
        monkeypatch.setattr(guardian, "GRACE", 0.1)
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        watching = Guardian(3, "word", self.said.append)
        self.thread = threading.Thread(target=guardian.serve, args=(watching, self.listener))
        self.thread.start()
        self.ranks = [Rank(port, "word", rank) for rank in range(3)]
        time.sleep(0.02)

    def ended(self) -> list[str]:
        for rank in self.ranks:
            rank.connection.close()
        self.thread.join(5)
        assert not self.thread.is_alive()
        self.listener.close()
        return self.said


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    found = Served(monkeypatch)
    yield found
    found.ended()


def test_who_ends_without_a_word_is_named(served: Served) -> None:
    served.ranks[0].say("advice", "To continue: cnn train --resume a")
    time.sleep(0.02)
    served.ranks[2].connection.close()
    assert [served.ranks[0].told(), served.ranks[1].told()] == [["end", 1, True], ["end", 1, False]]
    assert served.ended() == ["cnn: rank 2 on host2 ended without a word: it was killed, or the machine had no memory "
                              "left. All processes end. To continue: cnn train --resume a"]


def test_the_leading_one_is_named_too(served: Served) -> None:
    served.ranks[0].connection.close()
    assert served.ranks[1].told() == ["end", 1, True]
    assert served.ended()[0].startswith("cnn: rank 0 on host0 ended without a word")


def test_who_fails_alone_is_heard(served: Served) -> None:
    served.ranks[1].say("failed", 4, "its file is damaged.")
    assert [served.ranks[0].told(), served.ranks[1].told()] == [["end", 4, True], ["end", 4, False]]
    assert served.ended() == ["cnn: rank 1 on host1: its file is damaged. All processes end."]


def test_what_all_have_is_said_by_the_leading_one(served: Served) -> None:
    for rank in reversed(served.ranks):
        rank.say("failed", 2, "there is no such option.")
    assert served.ranks[2].told() == ["end", 2, False]
    assert served.ended() == []


def test_the_leading_one_says_its_own(served: Served) -> None:
    served.ranks[0].say("failed", 1, "the disk is full.")
    assert served.ranks[2].told() == ["end", 1, False]
    assert served.ended() == []


def test_nothing_is_said_of_a_good_end(served: Served) -> None:
    for rank in served.ranks:
        rank.say("bye")
    assert served.ended() == []


def test_strangers_are_not_heard(served: Served) -> None:
    stranger = Rank(served.listener.getsockname()[1], "another word", 1)
    stranger.say("failed", 1, "nonsense")
    stranger.connection.sendall(b"no JSON\n")
    time.sleep(0.2)
    stranger.connection.close()
    for rank in served.ranks:
        rank.say("bye")
    assert served.ended() == []


def test_a_lifeline_ends_its_process(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    ended = threading.Event()

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    monkeypatch.setattr(lifeline.os, "_exit", lambda code: None)
    printed = lambda: codes.append(-1)  # noqa: E731
    monkeypatch.setattr(lifeline, "before_end", [printed])
    served.ranks[0].say("bye")
    served.ranks[0].connection.close()
    line = Lifeline(0, "127.0.0.1", served.listener.getsockname()[1], "word", end)
    line.say("advice", "Go on.")
    time.sleep(0.05)
    served.ranks[2].connection.close()
    assert ended.wait(5)
    assert codes == [-1, 1]
    assert served.said[0].endswith("All processes end. Go on.")
    line.close()


def test_a_guardian_is_a_process_of_its_own() -> None:
    started = start_guardian(1, everywhere=False)
    assert started is not None
    port, word = started
    rank = Rank(port, word, 0)
    rank.say("failed", 7, "nothing")
    assert rank.told() == ["end", 7, True]
    rank.connection.close()
    time.sleep(0.3)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize("broken", ["no program", "no port"])
def test_a_guardian_that_cannot_be_started(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifeline.sys, "executable", "/no/python" if broken == "no program" else "/bin/true")
    assert start_guardian(2, everywhere=False) is None
