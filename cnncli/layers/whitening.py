"""A first layer that is computed from the training images instead of learnt: training/whitening.py gives it the images,
its kernels are those of every convolution."""

from typing import Any

import numpy as np

from ..kernels import Array
from .arguments import image_shape
from .base import Shape
from .conv import Conv2d

# Added to the variances: directions that images hardly vary in are mostly noise and must not be blown up.
EPSILON = 5e-4


class Whitening(Conv2d):
    """A convolution that whitens patches: its outputs have variance 1 and do not correlate (Page 2018; Jordan 2024).

    The filters are the eigenvectors of the patches' covariance, each divided by the root of its variance, and all once
    more with the other sign: 2 * kernel_size^2 * in_channels output channels. Its weights do not learn, its bias does.
    Before ``fit``, the filters are random ones at right angles.

    Args:
        in_channels: The input's channels. None: taken from the input.
        kernel_size: The size of a patch in pixels: one number or (rows, columns).
        padding: The zeros around the image, as in ``Conv2d``.
        bias: Whether a number is added to each output channel.
    """

    frozen = ("weight",)
    fits_images = True
    shows_maps = False  # every network's are much alike

    def __init__(self, in_channels: int | None = None, kernel_size: Any = 2, padding: Any = 0,
                 bias: bool = True) -> None:
        super().__init__(in_channels, 1, kernel_size, padding=padding, bias=bias)

    def config(self) -> dict[str, Any]:
        kept = super().config()
        return {name: kept[name] for name in ("in_channels", "kernel_size", "padding", "bias")}

    def bind(self, *shapes: Shape) -> None:
        self._count(shapes[0])
        super().bind(*shapes)

    def output_shape(self, *shapes: Shape) -> Shape:
        self._count(shapes[0])
        return super().output_shape(*shapes)

    def initialise(self, rng: np.random.Generator) -> None:
        size = self.out_channels // 2
        directions, _ = np.linalg.qr(rng.standard_normal((size, size)))
        self._set(directions.T)
        if self.bias:
            self.params["bias"].fill(0)

    def fit(self, images: Array) -> None:
        """Compute the filters from training images. Some thousands are plenty.

        Args:
            images: The images as the network gets them, float32 (n, h, w, c).
        """
        size = self.out_channels // 2
        patches = np.lib.stride_tricks.sliding_window_view(images, self.kernel_size, axis=(1, 2))
        products, count = np.zeros((size, size)), 0
        for some in patches:  # (h', w', c, kh, kw); one image at a time: all patches would be size times the images
            rows = some.reshape(-1, size).astype(np.float64)
            products += rows.T @ rows
            count += len(rows)
        variances, directions = np.linalg.eigh(products / count)
        # From the largest variance to the smallest, with signs that do not depend on who computed the eigenvectors.
        directions = directions.T[::-1]
        places = np.arange(size), np.abs(directions).argmax(axis=1)
        directions = directions * np.sign(directions[places])[:, None]
        self._set(directions / np.sqrt(np.maximum(variances[::-1], 0) + EPSILON)[:, None])

    def _set(self, filters: Array) -> None:
        both = np.concatenate([filters, -filters])
        self.params["weight"][...] = both.reshape(self.params["weight"].shape)

    def _count(self, shape: Shape) -> None:
        channels = image_shape(self, shape)[2] if self.in_channels is None else self.in_channels
        self.out_channels = 2 * self.kernel_size[0] * self.kernel_size[1] * channels
