"""What is counted while images are explained, for the sentences that are told at the end. Several processes count their
images each, and the counts are added.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..data.depth import Seen, doubts
from ..data.images import forgiven_in_words
from ..data.preprocessing import Preprocessing
from ..model.learnt import in_words


@dataclass
class Tally:
    """What was seen of images: (path, what is damaged although no pixel is missing), values of more than 8 bits, how
    many the model was trained on, how many could be read, and how many there were.
    """

    forgiven: list[tuple[str, str]] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    learnt: int = 0
    shown: int = 0
    every: int = 0

    def add(self, other: "Tally") -> None:
        """Add what was seen of other images."""
        self.forgiven += other.forgiven
        self.seen.add(other.seen)
        self.learnt += other.learnt
        self.shown += other.shown
        self.every += other.every

    def sentences(self, preprocessing: Preprocessing) -> Iterator[str]:
        """Yield what the user should know of them."""
        yield from forgiven_in_words(self.forgiven)
        yield from doubts(self.seen, preprocessing.scales)
        yield from in_words(self.learnt, self.shown, self.every > self.shown)
