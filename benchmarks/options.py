"""What somebody asked of ``python -m benchmarks``, the same for every part."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.cases import Case


@dataclass(frozen=True)
class Options:
    """cases: the networks; threads: one measurement with each number; rounds of so many seconds for each contender;
    peers_python: the interpreter that has the peers, None to measure ours alone; compiled: torch.compile too."""

    cases: list[Case]
    threads: list[int]
    rounds: int = 5
    seconds: float = 2.0
    peers_python: str | None = None
    compiled: bool = True
    isa: str | None = None
    layers: str = ""
    quick: bool = False
    given_seconds: float | None = None  # None where seconds is a default, and a part may have its own
    images: Path | None = None  # a folder of class folders, instead of files that are written for pipeline.py
    quiet: bool = field(default=False, compare=False)

    def without_compiling(self) -> "Options":
        """The same, but for torch.compile."""
        return replace(self, compiled=False)

    def say(self, words: str) -> None:
        """Tell on standard error how far it has got."""
        if not self.quiet:
            print(words, file=sys.stderr, flush=True)
