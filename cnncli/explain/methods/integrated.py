"""Integrated gradients: the logit's difference from that of a grey image, shared out among the pixels."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ...kernels import Array
from .method import Asked, Found, method, summed

POINTS = 50  # on the way
ENOUGH = 0.01  # of the difference may be missed; where the points miss more, the way is gone in pieces:
PIECES, HALVED = 32, 16  # at first, and how many of them at a time
MOST = 1000  # gradients for that


@method("integrated", "Integrated gradients", on="image", paper="Sundararajan et al. 2017",
        passes="52 forward, 50 backward; up to 1,000 more of each if the map misses more than 1 %",
        says="By how much each pixel raises the class's logit above that of a plain image in the mean colour, which "
             "the preprocessing subtracts. The map adds up to the difference of the two logits, except for the "
             "residual that is given. Pixels of that colour get 0, whatever they show.")
def integrated(asked: Asked) -> Found:
    """Return the image times its mean gradient on the straight way to it from 0, the mean that the preprocessing
    subtracts, by Gauss and Legendre's points. Where the way crosses many corners of ReLUs they miss some of it."""
    ways = [_Way(asked, i) for i in range(len(asked.images))]
    differences = np.array([way.difference for way in ways])
    shared = asked.images * _mean_gradients(asked)
    maps, missed = summed(shared), _missed(shared.sum(axis=(1, 2, 3)), differences)
    for i in np.flatnonzero(missed > ENOUGH):
        maps[i] = ways[i].in_pieces()
        missed[i] = _missed(maps[i].sum(dtype=np.float64), differences[i])
    return Found(maps, missed)


def _mean_gradients(asked: Asked) -> Array:
    """Return the mean gradients of the images on their ways, float64 (n, h, w, c)."""
    total: Array = np.zeros(asked.images.shape)
    for place, share in zip(*np.polynomial.legendre.leggauss(POINTS), strict=True):
        total += share / 2 * asked.look.by_image(asked.images * np.float32((place + 1) / 2), asked.weights)
    return total


class _Piece(NamedTuple):
    """A piece of a way, from one place on it to another: the map by the gradient in its middle, float32 (h, w), and by
    how much the logit's rise, which is known, is more than that map's sum."""

    start: float
    stop: float
    map: Array
    missed: float


class _Way:
    """The straight way of an image from 0, at place 0, to itself, at place 1."""

    def __init__(self, asked: Asked, which: int) -> None:
        self._look, self._image, self._weights = asked.look, asked.images[which], asked.weights[which]
        self._logits: dict[float, float] = {}
        self.difference = self._rise(0.0, 1.0)

    def in_pieces(self) -> Array:
        """Return the map, float32 (h, w). The pieces that miss most are halved until the whole misses no more than
        ENOUGH, or MOST gradients were asked for."""
        ends = np.linspace(0, 1, PIECES + 1).tolist()
        pieces, asked = list(self._pieces(ends[:-1], ends[1:])), PIECES
        while abs(sum(piece.missed for piece in pieces)) > ENOUGH * abs(self.difference) and asked < MOST:
            pieces.sort(key=lambda piece: abs(piece.missed))
            halved, pieces = pieces[-HALVED:], pieces[:-HALVED]
            starts, stops = [piece.start for piece in halved], [piece.stop for piece in halved]
            middles = [(start + stop) / 2 for start, stop in zip(starts, stops, strict=True)]
            pieces += self._pieces([*starts, *middles], [*middles, *stops])
            asked += 2 * HALVED
        whole: Array = sum((piece.map for piece in pieces), np.zeros(self._image.shape[:2]))
        return whole.astype(np.float32)

    def _pieces(self, starts: Sequence[float], stops: Sequence[float]) -> Iterable[_Piece]:
        self._learn([*starts, *stops])
        images = self._at([(start + stop) / 2 for start, stop in zip(starts, stops, strict=True)])
        gradients = self._look.by_image(images, np.tile(self._weights, (len(images), 1)))
        for start, stop, gradient in zip(starts, stops, gradients, strict=True):
            map_ = summed(self._image * gradient) * np.float32(stop - start)
            yield _Piece(start, stop, map_, self._rise(start, stop) - float(map_.sum(dtype=np.float64)))

    def _rise(self, start: float, stop: float) -> float:
        self._learn([start, stop])
        return self._logits[stop] - self._logits[start]

    def _learn(self, places: Sequence[float]) -> None:
        """Ask for the logits at places where they are not known yet."""
        new = sorted(set(places) - self._logits.keys())
        if new:
            logits = self._look.logits(self._at(new)).astype(np.float64) @ self._weights
            self._logits.update(zip(new, logits.tolist(), strict=True))

    def _at(self, places: Sequence[float]) -> Array:
        images: Array = self._image * np.array(places, np.float32).reshape(-1, 1, 1, 1)
        return images


def _missed(sums: Array, differences: Array) -> Array:
    """Return by what part of the differences the sums miss them; of itself, a sum that should be 0."""
    parts = np.abs(np.where(differences != 0, differences, sums))
    missed: Array = np.abs(sums - differences) / np.maximum(parts, np.finfo(np.float64).tiny)
    return missed
