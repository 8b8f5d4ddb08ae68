"""A path that stays true when the current folder changes: a run, a model and the images of a training are found again
after os.chdir. As long as nobody calls that, it is shown as it was given.
"""

import os
from pathlib import Path


class Placed:
    """A path: as it was given while the current folder is what it was then, absolute after that.

    Args:
        path: The path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._given, self._folder = os.fspath(path), current()

    @property
    def text(self) -> str:
        """The path, as it leads there now."""
        return self._given if current() == self._folder else os.path.join(self._folder, self._given)

    @property
    def path(self) -> Path:
        """The same as a Path."""
        return Path(self.text)


def current() -> str:
    """Return the current folder. "": it has gone."""
    try:
        return os.getcwd()
    except OSError:
        return ""
