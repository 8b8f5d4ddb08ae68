"""Several threads may use one network: they take turns, and a forked process waits for nobody."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from cnncli.kernels import Array
from cnncli.layers import LAYERS, PythonLayer
from cnncli.network import Network
from cnncli.network.turn import Turn


@pytest.fixture
def crossing() -> Any:
    """A layer that counts the threads in it, and gives each other one time to come in."""
    class Crossing(PythonLayer):
        inside, most = 0, 0

        def compute(self, x: Array) -> Array:
            Crossing.inside += 1
            threading.Event().wait(0.005)
            Crossing.most = max(Crossing.most, Crossing.inside)
            Crossing.inside -= 1
            return x

    yield Crossing
    del LAYERS["Crossing"]


def test_threads_wait_for_each_other(crossing: Any) -> None:
    network = Network([crossing(), {"type": "Flatten"}, {"type": "Linear", "out_features": 2}], (4, 4, 1))
    images = np.random.default_rng(0).standard_normal((8, 1, 4, 4, 1)).astype(np.float32)
    alone = [network.forward(each) for each in images]
    name = network.nodes[0].name
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(network.forward, images))
        looked = list(threads.map(lambda each: network.activations(each, [name])[name], images))
    assert crossing.most == 1
    assert all(map(np.array_equal, together, alone))
    assert all(map(np.array_equal, looked, images))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_waits_for_no_thread_of_its_parent() -> None:
    turn, held, over = Turn(), threading.Event(), threading.Event()

    def hold() -> None:
        with turn:
            held.set()
            over.wait(10)

    threading.Thread(target=hold).start()
    held.wait(10)
    child = os.fork()
    if not child:
        with turn:
            os._exit(7)
    over.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
