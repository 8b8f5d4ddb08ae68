"""Images that somebody names, decoded and scaled in threads while the network judges the earlier ones. Whoever asks a
model about images (model.py) has them prepared here.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from threading import Lock
from typing import TypeAlias

from ..data.depth import Seen
from ..data.finding import Images, Missing, Picture, alone, as_they_come, each_image, is_endless
from ..data.preprocessing import Preprocessing
from ..errors import CnnError, DataError, ImageError
from ..kernels import Array, threads

_IMAGES_AT_ONCE = 64  # decoded and judged together: enough to keep every core busy, little to wait for
_PIECE = 8  # of them that a thread decodes at a time, at most
_PIXELS_AT_ONCE = 2**24  # bytes of decoded images, for networks with large ones


class Reason(str):
    """The sentence that says why an image cannot be used, with the error that it is of."""

    error: CnnError

    @classmethod
    def of(cls, error: CnnError) -> "Reason":
        """Return an error's sentence."""
        reason = cls(error)
        reason.error = error
        return reason


class Waiting(dict[str, str]):
    """What prepared images are forgiven, until each is judged. A name may stand for several images that are prepared
    ahead of each other: then each has its own. Nothing is left of those that were judged.
    """

    def __init__(self) -> None:
        super().__init__()
        self._notes, self._lock = dict[str, list[str]](), Lock()

    def __setitem__(self, path: str, note: str) -> None:
        with self._lock:
            self._notes.setdefault(path, []).append(note)

    def taken(self, path: str) -> str | None:
        """Take out what the next image of that name is forgiven, None if that is nothing."""
        with self._lock:
            notes = self._notes.pop(path, [])
            if notes[1:]:
                self._notes[path] = notes[1:]
        return notes[0] if notes else None


def skipped(batch: Iterable[tuple[str, Array | str]]) -> list[tuple[str, str]]:
    """Return (path, reason) of the images in a batch that cannot be used, the reason without the name."""
    return [(path, alone(pixels, getattr(pixels, "error", None))) for path, pixels in batch if isinstance(pixels, str)]


Batch: TypeAlias = "list[tuple[str, Array | Reason]]"


def prepared(preprocessing: Preprocessing, images: Images, forgiven: dict[str, str] | None, seen: Seen | None
             ) -> Generator[Batch, None, None]:
    """Yield images in batches, as ``Model.prepared`` says."""
    h, w, c = preprocessing.shape
    at_once = max(1, min(_IMAGES_AT_ONCE, _PIXELS_AT_ONCE // (h * w * c)))
    given = each_image(images)
    for group in as_they_come(given, at_once) if is_endless(images) else [given]:
        yield from _batches(preprocessing, iter(group), at_once, forgiven, seen)


def _batches(preprocessing: Preprocessing, given: Iterator[str | Missing | Picture], at_once: int,
             forgiven: dict[str, str] | None, seen: Seen | None) -> Generator[Batch, None, None]:
    from ..data.decode import quiet
    from ..data.prefetch import ConcurrencyLimit, prefetch

    first, count = list(islice(given, at_once)), threads()
    size = max(1, min(_PIECE, at_once // 2, len(first) // (2 * count)))
    every, limit, lock = chain(first, given), ConcurrencyLimit(count), Lock()

    def prepare(piece: list[str | Missing | Picture]) -> Batch:
        with limit.slot(len(piece)), quiet():
            own = Seen()
            ready = [_one(preprocessing, image, forgiven, own) for image in limit.wanted(piece)]
        if seen is not None and own.images:
            with lock:
                seen.add(own)
        return ready

    pieces = iter(lambda: list(islice(every, size)), [])
    with closing(prefetch(prepare, pieces, count, max(2 * count, at_once // size), None, limit)) as done:
        batch: Batch = []
        for piece in done:
            batch += piece or []
            if len(batch) >= at_once:
                yield batch
                batch = []
        if batch:
            yield batch


def _one(preprocessing: Preprocessing, image: str | Missing | Picture, forgiven: dict[str, str] | None, seen: Seen
         ) -> tuple[str, Array | Reason]:
    if isinstance(image, Missing):
        return image.path, Reason.of(image.exception or DataError(image.error))
    notes: list[str] = []
    path = image.path if isinstance(image, Picture) else image
    try:
        pixels = (image.prepared(preprocessing, notes, seen) if isinstance(image, Picture)
                  else preprocessing.prepare(image, notes, seen))
    except ImageError as error:
        return path, Reason.of(error)
    if notes and forgiven is not None:
        forgiven[path] = "; ".join(notes)
    return path, pixels
