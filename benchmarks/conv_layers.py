"""The convolutions that conv.py measures, with what is asked of each: the share of the multiply-add peak, of direct
convolutions and, counted in the same direct multiply-adds, of Winograd's."""

from dataclasses import dataclass

from cnncli.kernels import Convolution

PASSES = ("forward", "backward-data", "backward-weights")


@dataclass(frozen=True)
class ConvLayer:
    """One convolution: square images and kernels, equal padding; batches are small, some milliseconds a pass."""

    name: str
    n: int
    c: int
    k: int
    kernel: int
    size: int
    stride: int = 1
    groups: int = 1

    @property
    def label(self) -> str:
        return f"{self.name} ({self.n})"

    @property
    def padding(self) -> int:
        """Half the kernel, but LeNet's, which has none."""
        return 0 if self.kernel == 5 and self.groups == 1 else self.kernel // 2

    def convolution(self, exact: bool = False) -> Convolution:
        return Convolution((self.n, self.size, self.size, self.c), self.k, (self.kernel, self.kernel),
                           (self.stride, self.stride), (self.padding,) * 4, groups=self.groups, exact=exact)

    @property
    def winograd(self) -> bool:
        """Whether Winograd could compute it."""
        return self.kernel == 3 and self.stride == 1 and self.groups == 1

    def goals(self, exact: bool) -> tuple[float | None, float | None, float | None]:
        """The shares of the peak that are asked of the three passes; None where nothing is."""
        if self.groups > 1:
            return None, None, None  # depthwise is measured by PyTorch's time and by the bytes
        if self.c <= 3:
            return 0.55, None, 0.55  # nobody asks for the gradient of the images
        if not exact and (self.c, self.size) in WINOGRAD_GOALS and self.c == self.k:
            share = WINOGRAD_GOALS[self.c, self.size]
            return share, share, 0.75 * share
        return (0.85, 0.85, 0.75) if min(self.c, self.k) >= 32 and self.size > 1 else (None, None, None)


def _depthwise(kernel: int, stride: int, channels: int, size: int) -> ConvLayer:
    name = f"depthwise {kernel}x{kernel}{'/2' if stride == 2 else ''} {channels}@{size}"
    return ConvLayer(name, 8, channels, channels, kernel, size, stride, channels)


def _pointwise(n: int, c: int, k: int, size: int) -> ConvLayer:
    return ConvLayer(f"{c}->{k} 1x1 {size}", n, c, k, 1, size)


# (channels, image) -> share of the peak.
WINOGRAD_GOALS = {(64, 56): 2.0, (128, 28): 2.4, (256, 14): 2.4, (32, 32): 1.75, (16, 32): 1.2}
LAYERS = (
    ConvLayer("1->6 5x5 28", 32, 1, 6, 5, 28),
    ConvLayer("6->16 5x5 14", 32, 6, 16, 5, 14),
    ConvLayer("3->32 3x3 32", 32, 3, 32, 3, 32),
    ConvLayer("3->64 7x7/2 224", 1, 3, 64, 7, 224, 2),
    ConvLayer("16->16 3x3 32", 16, 16, 16, 3, 32),
    ConvLayer("32->32 3x3 32", 16, 32, 32, 3, 32),
    ConvLayer("32->32 3x3 16", 32, 32, 32, 3, 16),
    ConvLayer("64->64 3x3 16", 16, 64, 64, 3, 16),
    ConvLayer("64->64 3x3 8", 32, 64, 64, 3, 8),
    ConvLayer("128->128 3x3 8", 16, 128, 128, 3, 8),
    ConvLayer("64->64 3x3 56", 2, 64, 64, 3, 56),
    ConvLayer("128->128 3x3 28", 2, 128, 128, 3, 28),
    ConvLayer("256->256 3x3 14", 2, 256, 256, 3, 14),
    ConvLayer("256->256 3x3 14", 8, 256, 256, 3, 14),
    ConvLayer("512->512 3x3 7", 8, 512, 512, 3, 7),
    ConvLayer("16->32 3x3/2 32", 32, 16, 32, 3, 32, 2),
    ConvLayer("64->128 3x3/2 56", 2, 64, 128, 3, 56, 2),
    ConvLayer("64->128 1x1/2 56", 4, 64, 128, 1, 56, 2),
    ConvLayer("dense 16384->64", 64, 16384, 64, 1, 1),
    # efficientnet_lite0
    ConvLayer("3->32 3x3/2 224", 1, 3, 32, 3, 224, 2),
    _pointwise(2, 32, 16, 112), _pointwise(1, 16, 96, 112), _pointwise(4, 96, 24, 56), _pointwise(4, 24, 144, 56),
    _pointwise(8, 40, 240, 28), _pointwise(8, 192, 64, 28), _pointwise(8, 80, 480, 14), _pointwise(8, 480, 112, 14),
    _pointwise(8, 112, 672, 14), _pointwise(8, 192, 1152, 7), _pointwise(8, 1152, 320, 7), _pointwise(8, 320, 1280, 7),
    _depthwise(3, 1, 32, 112), _depthwise(3, 2, 96, 112), _depthwise(3, 1, 144, 56), _depthwise(5, 2, 144, 56),
    _depthwise(5, 1, 240, 28), _depthwise(3, 2, 240, 28), _depthwise(3, 1, 480, 14), _depthwise(5, 1, 480, 14),
    _depthwise(5, 1, 672, 14), _depthwise(5, 2, 672, 14), _depthwise(5, 1, 1152, 7), _depthwise(3, 1, 1152, 7),
)  # fmt: skip
