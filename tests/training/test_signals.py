"""training/signals.py: the first signal sets a flag, the second one is the system's (from Python the caller's own), and
afterwards everything is as it was."""

import os
import signal
import threading
from typing import Any

import pytest

from cnncli import errors
from cnncli.training.signals import StopFlag, catch_stops

ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def handlers() -> Any:
    """Let each signal have a handler of its own; afterwards what it had."""
    before = {number: signal.getsignal(number) for number in ASKED}
    mine = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: lambda *_: None, signal.SIGHUP: signal.SIG_DFL}
    for number, handler in mine.items():
        signal.signal(number, handler)
    yield mine
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "cause"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"),
                                               (signal.SIGHUP, "SIGHUP")])
def test_the_first_one_is_kept_and_the_second_one_is_the_systems(number: int, cause: str, handlers: Any,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "on_command_line", True)
    with catch_stops() as stop:
        assert (bool(stop), stop.signal, stop.cause) == (False, 0, "")
        os.kill(os.getpid(), number)
        assert (bool(stop), stop.signal, stop.cause) == (True, number, cause)
        assert {signal.getsignal(each) for each in ASKED} == {signal.SIG_DFL}
    assert {each: signal.getsignal(each) for each in ASKED} == handlers


def test_from_python_the_second_one_is_the_callers(handlers: Any) -> None:
    with catch_stops() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert {each: signal.getsignal(each) for each in ASKED} == handlers
        assert stop
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert {each: signal.getsignal(each) for each in ASKED} == handlers


def test_of_two_that_come_at_once_the_first_is_kept(handlers: Any) -> None:
    with catch_stops() as stop:
        both: Any = signal.getsignal(signal.SIGTERM)
        both(signal.SIGTERM, None)
        both(signal.SIGINT, None)
        assert stop.cause == "SIGTERM"


def test_a_hang_up_that_is_set_aside_stays_so(handlers: Any) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with catch_stops() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not stop
        os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_handlers_that_are_not_pythons_become_the_systems(handlers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python calls these None, and takes no such thing back."""
    with monkeypatch.context() as patched:
        patched.setattr(signal, "getsignal", lambda number: None)
        with catch_stops():
            pass
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_in_another_thread_the_flag_stays_down(handlers: Any) -> None:
    seen: list[StopFlag] = []

    def elsewhere() -> None:
        with catch_stops() as stop:
            seen.append(stop)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert not seen[0]
    assert {each: signal.getsignal(each) for each in ASKED} == handlers
