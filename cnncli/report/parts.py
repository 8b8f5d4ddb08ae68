"""What `cnn predict --shard 3/8` writes: the answers about a part of a list of images, with enough to see which parts
belong together, and whether one is whole. merging.py joins them.

JSON is an object with "part", which says all that; "predictions", the list, an item a line as in the whole list; and
"sha256", a digest of all before it, which only a part that was finished has.

A CSV table has one column more, the last one. Its name says all that, also where the part has no images, so that there
is no row; the digest in it is that of the file with "" in its place. Below it stands the number of each image in the
whole list. So a reader of tables has nothing to know of it.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from .._version import __version__
from ..data.dealing import Shard, count, digest_of
from ..data.finding import Missing, Picture
from ..errors import quoted, told
from ..kernels import active_isa, words
from ..model import Model
from ..model.modelfile import pack
from ..runs.opened import Opened
from ..values import check_fields

LISTED_IN_JSON = 5  # labels that each item's top holds unless --top says otherwise
_LONGEST = 2000  # characters of the names that were given; of more, a shell has made a list of a pattern
SAME = ("of", "images_sha256", "model", "model_sha256", "top", "reject", "tta", "precision", "exact", "cnn")


@dataclass(frozen=True)
class Part:
    """A part of the answers about a list of images.

    Attributes:
        part: Its number, from 1.
        of: How many parts there are.
        images: How many images there are in all parts.
        images_sha256: A digest of their names, in order.
        given: The names that the images were found by, None for very many.
        model: The model's file, as the answers name it.
        model_sha256: A digest of the model.
        top: How many labels each answer lists.
        reject: The share of answers that should be right, None where each is given.
        tta: Whether each image was judged together with its mirror image.
        precision: What the network computed in.
        exact: Whether it computed without Winograd's algorithm.
        cnn: The version of this program.
        instructions: The instruction set, "" where all give the same bits.
    """

    part: int
    of: int
    images: int
    images_sha256: str
    given: list[Any] | None
    model: str
    model_sha256: str
    top: int
    reject: float | None
    tta: bool
    precision: str
    exact: bool
    cnn: str
    instructions: str

    @property
    def shard(self) -> Shard:
        """Its number, and how many there are."""
        return self.part, self.of

    @property
    def size(self) -> int:
        """How many images it has."""
        return count(self.images, self.shard)

    def opening(self) -> str:
        """Return how its JSON begins, without the end of the line."""
        return f'{{"part": {json.dumps(asdict(self))}, "predictions": ['

    def column(self, digest: str) -> str:
        """Return the name of the last column of its table."""
        return f"part {self.part} of {self.of}: {json.dumps({**asdict(self), 'sha256': digest})}"

    def number(self, row: int) -> int:
        """Return the number, from 1, that its image has in the whole list."""
        return self.part + row * self.of

    def command(self, part: int, file: str, as_json: bool) -> str:
        """Return "with: " and the command that writes a part of the same answers into a file, "" where the names of the
        images are too many.
        """
        if self.given is None:
            return ""
        names = " ".join(name if name == "-" else quoted(name) for name in self.given)
        shard, options = f"{part}/{self.of}", f"-m {quoted(self.model)}"
        options += f" --top {self.top}" * (self.top != (LISTED_IN_JSON if as_json else 1))
        options += f" --reject {self.reject}" * (self.reject is not None) + " --tta" * self.tta
        options += f" --precision {self.precision}" * (self.precision != "float32") + " --exact" * self.exact
        return (f"with: cnn predict {names} --shard {shard} {options} --json > {quoted(file)}" if as_json else
                f"with: cnn predict {names} --shard {shard} {options} --csv {quoted(file)}")

    def option(self, name: str) -> str:
        """Return in words how an option was set."""
        value = getattr(self, name)
        return told(f"no --{name}" if value in (None, False) else f"--{name}" if value is True else f"--{name} {value}")


def part_of(shard: Shard, found: Sequence[str | Missing | Picture], given: Sequence[str], opened: Opened, *, top: int,
            reject: float | None, tta: bool) -> Part:
    """Return the part of a list of images that a model is going to judge. given are the names that they were found by.
    """
    network = opened.model.network
    instructions = [active_isa(), *(sorted(words()) if network.precision != "float32" else [])]
    return Part(*shard, images=len(found), images_sha256=digest_of(found),
                given=[*given] if sum(map(len, given)) <= _LONGEST else None, model=os.fspath(opened.path),
                model_sha256=_digest(opened.model), top=top, reject=reject, tta=tta, precision=network.precision,
                exact=network.exact, cnn=__version__,
                instructions="" if network.quantisation else "+".join(instructions))


def _digest(model: Model) -> str:
    """Return a digest of a model as it is in memory: its file may be another by now."""
    return sha256(pack(model.arrays(), model.metadata())).hexdigest()


def part_in(said: Any) -> Part:
    """Return the part that JSON speaks of. Raises ValueError where it speaks of none."""
    try:
        part = Part(**said)
        check_fields(part)
    except Exception as error:
        raise ValueError from error
    texts = [part.model, *(part.given or [])]
    if not (1 <= part.part <= part.of and part.images >= 0 and all(isinstance(each, str) for each in texts)):
        raise ValueError
    return part


class JsonList:
    """The text that `cnn predict --json` prints, in pieces: a list with an item a line; or a part of it."""

    def __init__(self, part: Part | None = None) -> None:
        self._part, self._items, self._digest = part, 0, sha256()

    def opening(self) -> str:
        """Return the first piece, which a line ends behind or an item follows."""
        return self._told(self._part.opening() if self._part else "[")

    def item(self, item: dict[str, Any]) -> str:
        """Return the piece of an item."""
        self._items += 1
        return self._told(f"{',' * (self._items > 1)}\n  {json.dumps(item, allow_nan=False)}")

    def closing(self) -> str:
        """Return the last piece. Without the digest, where items are missing: an error has ended the work."""
        if not self._part:
            return "\n]"
        whole = self._items == self._part.size
        return f'\n], "sha256": "{self._digest.hexdigest()}"}}' if whole else "\n]}"

    def _told(self, text: str) -> str:
        self._digest.update(text.encode())
        return text
