"""How far a training has come: what fit.py counts, saves and decides by. Plain data; nothing here trains."""

from dataclasses import dataclass, field
from typing import Any

from ..errors import ModelError
from ..runs import Row

FORMAT = 1  # of what Progress holds


@dataclass
class Progress:
    """How far a training has come; JSON values only. epoch is the current epoch, counted from 1; ``step`` steps of it
    are done, with the sums over their images and the seconds they took. best is the row of the epoch whose model is
    kept, history has all rows.
    """

    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0
    finished: bool = False
    best: Row | None = None
    history: list[Row] = field(default_factory=list)
    format: int = FORMAT

    @property
    def loss(self) -> float:
        """The mean loss of the epoch's images so far."""
        return self.loss_sum / self.seen

    @property
    def accuracy(self) -> float:
        """The share of the epoch's images so far that were right."""
        return self.correct / self.seen

    def count(self, loss: float, correct: int, images: int) -> None:
        """Add one step's batch."""
        self.step += 1
        self.loss_sum += loss * images
        self.correct += correct
        self.seen += images

    def next_epoch(self) -> None:
        """End the current epoch."""
        self.epoch, self.step = self.epoch + 1, 0
        self.loss_sum, self.correct, self.seen, self.seconds = 0.0, 0, 0, 0.0

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Progress":
        """Read what ``asdict`` wrote. Raises ModelError where another version of cnn wrote it."""
        if value.get("format") != FORMAT or value.keys() != cls.__dataclass_fields__.keys():
            raise ModelError("the saved state is of another version of cnn; train again, or continue with that "
                             "version.")
        return cls(**value)
