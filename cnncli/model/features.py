"""Features: the numbers that a network's last layer with weights gets. Images can be searched and clustered by them.
`cnn features` writes them into a file; blocks.py says where the last block begins.
"""

import io
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.depth import Seen, doubts
from ..data.finding import Images, Missing, Picture, alone, image_files
from ..data.images import forgiven_in_words
from ..data.outputs import Kind, marked, write
from ..errors import NetworkError
from ..network import Network
from ..ranks.current import world
from ..ranks.turns import in_turns
from ..values import as_hinted
from .learnt import in_words, trained_on
from .model import Model
from .predict import AT_ONCE
from .preparing import skipped as left_out
from .strangeness import flat, parts

_MARK = b"features by cnn"  # the archive's comment, by which it is known
FEATURES = Kind("a file of features", ".npz", marked(re.escape(_MARK) + rb"\Z"))


@dataclass(frozen=True, eq=False)
class Features:
    """The features of images: the numbers before a network's last layer.

    Attributes:
        paths: The files of the n images that could be read, in order.
        values: Their features, float32 (n, features).
        skipped: (path, reason) of each image that could not be read.
    """

    paths: list[str]
    values: NDArray[np.float32]
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @as_hinted
    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write an .npz file with the arrays "features" and "paths".

        Args:
            path: The file. An older file of features is replaced.

        Returns:
            The file.

        Raises:
            UsageError: Another file has this name.
            SaveError: The file could not be written.
        """
        data = io.BytesIO()
        np.savez(data, features=self.values, paths=np.array(self.paths, dtype=np.str_))
        with zipfile.ZipFile(data, "a") as archive:
            archive.comment = _MARK
        write(path, data.getvalue(), FEATURES)
        return Path(path)


def body(network: Network) -> Network:
    """Return the layers before the last block, with shared weights. Raises NetworkError if there are none."""
    split = parts(network)
    if split is None:
        raise NetworkError("the network has no layer before its last one, and so it has no features; use another "
                           "model.")
    return split[0]


@dataclass
class _Part:
    """What was computed of some of the images."""

    paths: list[str] = field(default_factory=list)
    rows: list[NDArray[np.float32]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    forgiven: dict[str, str] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)
    learnt: int = 0


def _parts(model: Model, before: Network, images: Sequence[str | Picture]) -> Iterator[_Part]:
    """Yield what is computed of all images, some after the other. If several processes work together, they share the
    images, and the leading one gets everything.
    """
    together = world()
    if together.size == 1:
        yield from _computed(model, before, images)
        return

    def compute(some: Sequence[str | Picture]) -> list[_Part]:
        return list(_computed(model, before, some))

    for parts_of in in_turns(together, images, AT_ONCE, compute):
        yield from parts_of


def _computed(model: Model, before: Network, images: Sequence[str | Picture]) -> Iterator[_Part]:
    part = _Part()
    with closing(model.prepared(iter(images), part.forgiven, part.seen)) as batches:
        for batch in batches:
            good = [(path, pixels) for path, pixels in batch if not isinstance(pixels, str)]
            part.skipped += left_out(batch)
            if good:
                part.paths += [path for path, _ in good]
                pixels = np.stack([pixels for _, pixels in good])
                part.rows.append(flat(before.forward(model.preprocessing.normalise(pixels))))
                known = trained_on(model.seen, pixels)
                part.learnt += 0 if known is None else int(known.sum())
            yield part
            part = _Part(forgiven=part.forgiven, seen=part.seen)


def features(model: Model, images: Images, progress: Callable[[int, int], None] | None = None,
             note: Callable[[str], None] | None = None) -> Features:
    """Return the features of images as ``cnncli.features`` (runs/answering.py), with a model that is open."""
    found = image_files(images)
    before = body(model.network)
    paths, rows, seen = list[str](), list[NDArray[np.float32]](), Seen()
    forgiven: dict[str, str] = {}
    skipped = [(item.path, alone(item.error, item.exception)) for item in found if isinstance(item, Missing)]
    done, learnt = len(skipped), 0
    for part in _parts(model, before, [item for item in found if not isinstance(item, Missing)]):
        paths += part.paths
        rows += part.rows
        skipped += part.skipped
        forgiven.update(part.forgiven)
        seen.add(part.seen)
        learnt += part.learnt
        done += len(part.paths) + len(part.skipped)
        if progress:
            progress(done, len(found))
    width = before.output_shape[-1]
    if note:
        for sentence in [*forgiven_in_words([*forgiven.items()]), *doubts(seen, model.preprocessing.scales),
                         *in_words(learnt, len(paths), bool(skipped))]:
            note(sentence)
    return Features(paths, np.concatenate(rows) if rows else np.empty((0, width), np.float32), skipped)
