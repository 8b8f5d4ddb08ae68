"""cnncli/data/prefetch.py: order and bounds of what is worked on beside the caller, and when one thread is enough."""

import threading
import time
from collections.abc import Iterator

import pytest

from cnncli.data import prefetch as module
from cnncli.data.prefetch import ConcurrencyLimit, GivenUp, prefetch


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("cnn-")]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 9, 40])
@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order(count: int, threads: int) -> None:
    def work(number: int) -> int:
        time.sleep(0.003 * (number % 3 == 0))
        return number * 2

    assert list(prefetch(work, range(count), threads, 4)) == [2 * number for number in range(count)]
    assert not workers()


def test_no_more_than_asked_is_taken_before_it_is_needed() -> None:
    taken = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = prefetch(lambda number: number, numbers(), 2, 5)
    for number in range(20):
        assert next(results) == number
        assert len(taken) <= number + 1 + 5
    results.close()
    assert len(taken) < 30
    assert not workers()


def test_an_exception_comes_in_its_turn_and_ends_the_work() -> None:
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise KeyError(number)
        return number

    results = prefetch(work, range(100), 2, 4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError):
        next(results)
    assert len(begun) < 12
    assert not workers()


def test_the_beat_is_heard_while_a_result_takes_long() -> None:
    heard = list(prefetch(lambda seconds: time.sleep(seconds) or seconds, (0.1, 0.0), 1, 2, beat=0.01))
    assert [result for result in heard if result is not None] == [0.1, 0.0]
    assert heard.count(None) >= 3


def spend(limit: ConcurrencyLimit, images: int, busy: float, idle: float = 0.0) -> None:
    with limit.slot(images):
        end = time.thread_time() + busy
        while time.thread_time() < end:
            pass
        time.sleep(idle)


def allowed(limit: ConcurrencyLimit, most: int) -> int:
    """How many threads get in at the same time."""
    inside, together, leave = threading.Semaphore(0), [], threading.Event()

    def enter() -> None:
        with limit.slot(10**6):
            together.append(1)
            inside.release()
            leave.wait()

    threads = [threading.Thread(target=enter) for _ in range(most)]
    for thread in threads:
        thread.start()
    while inside.acquire(timeout=0.2):
        pass
    count = len(together)
    leave.set()
    for thread in threads:
        thread.join()
    return count


@pytest.mark.parametrize(("images", "wall", "processor", "limit"), [
    (10, 0.0031, 0.0031, 3), (10, 0.0029, 0.0029, 1), (10, 0.0086, 0.0029, 1), (10, 0.0088, 0.0029, 3)])
def test_what_shows_that_images_take_long(images: int, wall: float, processor: float, limit: int) -> None:
    """More than 0.3 ms of a core for each, or three times as long as they were worked on."""
    found = ConcurrencyLimit(3)
    found._adapt(images, wall, processor)
    assert found._limit == limit


def test_how_long_several_threads_are_kept() -> None:
    limit = ConcurrencyLimit(3)
    limit._adapt(1, 1.0, 1.0)
    for _ in range(63):
        limit._adapt(1, 1.0, 1e-4)  # beside others a wait means nothing
        assert limit._limit == 3
    limit._adapt(1, 1.0, 1.0)
    for _ in range(63):
        limit._adapt(1, 1e-4, 1e-4)
    assert limit._limit == 3
    limit._adapt(1, 1e-4, 1e-4)
    assert limit._limit == 1


def test_nobody_waits_for_a_closed_limit() -> None:
    limit = ConcurrencyLimit(2)
    assert [*limit.wanted([1, 2])] == [1, 2]
    limit.close()
    with pytest.raises(GivenUp):
        next(limit.wanted([1]))
    with pytest.raises(GivenUp), limit.slot(1):
        pass


@pytest.mark.slow
def test_one_thread_until_images_take_long_or_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    assert allowed(ConcurrencyLimit(3), 4) == 1
    heavy, waiting, quick = ConcurrencyLimit(3), ConcurrencyLimit(3), ConcurrencyLimit(3)
    spend(heavy, 10, 0.02)
    assert allowed(heavy, 4) == 3
    spend(waiting, 100, 0.001, 0.05)
    assert allowed(waiting, 4) == 3
    monkeypatch.setattr(module, "_WAITS", 10**6)  # a busy machine keeps anyone waiting
    spend(quick, 10**4, 0.005)
    assert allowed(quick, 4) == 1


def test_back_to_one_thread_when_images_have_become_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAITS", 10**6)
    monkeypatch.setattr(module, "_PATIENCE", 5)
    limit = ConcurrencyLimit(3)
    spend(limit, 10, 0.02)
    for _ in range(5):
        spend(limit, 10**6, 0.0)
    assert allowed(limit, 4) == 1
