"""A training that is watched while it runs: a recorder and a server in one observer. `cnn train --live` is made of it.

    with cnncli.Live() as live:
        print(live.address)
        cnncli.train("photos/", observer=live)
"""

import time
from collections.abc import Callable

from ..runs import Run
from ..training.inside import Inside
from ..training.observer import TrainingSummary
from ..values import as_hinted
from .recorder import Recorder
from .server import Server
from .source import Source

THE_PAGE = "the page"  # who stops a training


class Live(Recorder):
    """An observer that shows the training on a web page of this machine, which can also stop it.

    Use it in a with statement. At its end the page goes away. The recording stays in the run's folder; ``cnncli.watch``
    shows it.

    Args:
        port: The port on 127.0.0.1. 0: any free one.
        say: Is called with a sentence if the recording had to stop because the disk refused. None: nobody is told.
        clock: Returns the time in seconds, for the images per second.

    Raises:
        UsageError: The port cannot be used.

    Example::

        with cnncli.Live() as live:
            print(live.address)
            cnncli.train("photos/", observer=live)
    """

    @as_hinted
    def __init__(self, port: int = 0, say: Callable[[str], None] | None = None,
                 clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(say, clock)
        self._server = Server(port=port)
        self._source: Source

    @property
    def address(self) -> str:
        """The address of the page."""
        return self._server.address

    def started(self, run: Run, summary: TrainingSummary) -> None:
        super().started(run, summary)
        self._server.training = self._server.show(run)
        self._source = self._server.sources[self._server.training]
        self._source.waits = True

    def looking_inside(self, inside: Inside) -> None:
        super().looking_inside(inside)
        self._server.stop = lambda: inside.stop(THE_PAGE)

    def _give_up(self, error: Exception) -> None:
        super()._give_up(error)
        self._source.waits = False

    def ended(self, cause: str) -> None:
        self._server.stop = None
        super().ended(cause)
        self._source.waits = False
        self._server.training = None

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, *why: object) -> None:
        self._server.close()
