"""What a layer is. A layer knows its shapes, its parameters and which kernels compute it; it does not know the
network around it, and owns no activations. The network's plan (network/plan.py) gives it arrays and collects the
calls that it answers with; used alone, ``forward`` and ``backward`` do the same for one layer.

To add a layer: subclass ``Layer`` in the file of its family, give it a config that its constructor takes back, and
say in its class what others ask (the facts at the top of ``Layer``). docs/contributing.md has the other places;
for each that is forgotten tests/layers/test_register.py fails. Layers in NumPy are in python.py.
"""

import math
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import NetworkError, UsageError
from ..kernels import Array, Call, Windows, aligned_empty, aligned_zeros
from .arguments import floats
from .int8 import OfBytes

Shape = tuple[int, ...]  # of one image: (h, w, c), or (features,)
Spec = tuple[Shape, Any]  # a whole array's shape and dtype
LAYERS: dict[str, type["Layer"]] = {}  # by the names that model files use; a class enters when it is defined


@dataclass
class Buffers:
    """The arrays that a layer's calls read and write, for one batch size.

    Attributes:
        x: One array (n, h, w, c) or (n, features) per input.
        y: The output.
        training: Whether forward behaves as in training or as in evaluation.
        dx: The gradients by the inputs; None where nobody needs one.
        dy: The gradient by the output. None for evaluation.
        saved: What ``Layer.saved`` asked for: forward fills it, backward reads it.
        packed: What ``Layer.packed`` asked for: ``Layer.pack_calls`` fill it whenever the parameters have changed.
        workspace: Scratch memory of at least ``Layer.workspace`` bytes, which other layers use, too.
        clock: uint64 (2,): (seed, step), the only source of randomness.
        params: Parameters in place of the layer's own (a batch norm is folded into them). None: its own.
        add: An array that is added to the output, if the layer fuses that: activation(layer(x) + add). None: nothing.
        activation: The name of a fused activation, or "".
        pooled: Whether y is the maximum of every 2 x 2 positions of that.
        taps: What pooled then saves, as MaxPool2d does. None: nothing.
        dadd: The gradient by add, which may be dy. None: not wanted.
        dx_add: An array that is added to dx[0], which may be dx[0] itself. None: nothing.
        dx_activation: The activation by whose slope dx[0] is then multiplied, or "".
        dx_gate: The output of that activation. None: there is none.
    """

    x: list[Array]
    y: Array
    training: bool
    dx: list[Array | None] = field(default_factory=list)
    dy: Array | None = None
    saved: dict[str, Array] = field(default_factory=dict)
    packed: dict[int, Array] = field(default_factory=dict)
    workspace: Array = field(default_factory=lambda: aligned_empty((0,), np.uint8))
    clock: Array = field(default_factory=lambda: np.zeros(2, np.uint64))
    params: dict[str, Array] | None = None
    add: Array | None = None
    activation: str = ""
    pooled: bool = False
    taps: Array | None = None
    dadd: Array | None = None
    dx_add: Array | None = None
    dx_activation: str = ""
    dx_gate: Array | None = None


class Layer(OfBytes):
    """One operation of a network, with its parameters. The other layers are subclasses.

    A subclass is entered in ``LAYERS`` under its name, unless it is ``abstract``. Below, shapes are those of one image
    of each input, (h, w, c) or (features,), and calls are prepared calls of the C kernels.

    Attributes:
        params: The parameters by name ("weight", "bias"), in the model file's layout.
        grads: Their gradients, with the same names and shapes. Frozen parameters have none.
        state: What training updates without a gradient (batch norm's running_mean and running_var).
    """

    # ---- what the plan asks ----

    arity: int | None = 1  # inputs; None for two or more
    reads_input = False  # whether backward reads x …
    reads_output = False  # … or y: the plan keeps them until then
    passes_gradient = False  # whether every dx is dy itself, so that a plan needs no backward call (Add)
    sums = False  # whether its output is the sum of its inputs (Add)
    function = ""  # an activation's name in kernels.ACTIVATIONS
    fuses_add = False  # whether forward takes Buffers.add …
    fuses_activation = False  # … and activation …
    gates_itself = False  # … and backward then wants dy as it comes; otherwise dy already times the activation's slope
    finishes_gradient = False  # whether backward takes dx_add and dx_gate
    swaps_with_activation = False  # whether a ReLU before it may as well come behind it: the maximum is the same
    folds = False  # whether ``fold`` can put what it does in evaluation into the weights of the layer before it …
    takes_fold = False  # … and whether its own weights take that
    dx_may_be_dy = False  # whether backward can write dx over dy
    remakes_output = False  # whether remake_calls yields y again where nothing was added; backward then does without y
    takes_bfloat16 = False  # whether its calls take arrays of bfloat16 for maps (h, w, c), all of them alike …
    mixes_storage = False  # … or in any mixture with float32
    storage = (False, False)  # whether x, and whether y, are bfloat16; a plan's switch (network/storage.py)
    exact = False  # whether convolutions compute every product as written; the network's switch
    frozen: tuple[str, ...] = ()  # parameters that training does not change: they have no gradient
    fixed = False  # whether one that normalises uses its running statistics in training, too; the network's switch
    stream = 0  # the layer's place in its network: what tells two layers' random draws apart

    # ---- what others ask, who keep no lists of classes ----

    begins_block = False  # whether a block of the network begins with its weights (network/blocks.py)
    decides = False  # whether it may be a classifier's head: its weight is (classes, features) (network/blocks.py)
    normalises = False  # whether it is a batch norm: recipes and PyTorch's files treat networks with one differently
    fits_images = False  # whether ``fit`` computes its weights from training images before the first step
    looks_everywhere = False  # whether each output looks at every position of the input (network/analysis.py)
    shows_maps = False  # whether `cnn visualize-filters` draws what it yields where nobody names layers

    def __init_subclass__(cls, abstract: bool = False, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not abstract:
            _register(cls)

    def __init__(self) -> None:
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self.state: dict[str, Array] = {}
        self._alone: Buffers | None = None

    # ---- what a subclass says ----

    def config(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments, as JSON values."""
        return {}

    def bind(self, *shapes: Shape) -> None:
        """Fix what depends on the inputs' shapes (in_channels, say), and allocate the parameters, filled with 0, once.

        Args:
            *shapes: The shapes of the inputs.

        Raises:
            NetworkError: The inputs do not suit the layer.
        """

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return the shape of the output for one image.

        Args:
            *shapes: The shapes of the inputs.

        Raises:
            NetworkError: The inputs do not suit the layer.
        """
        return shapes[0]

    def initialise(self, rng: np.random.Generator) -> None:
        """Fill the parameters with their initial values.

        Args:
            rng: The generator that they are drawn from.
        """

    def saved(self, batch: int, *shapes: Shape) -> dict[str, Spec]:
        """Return what forward must keep for backward beside x and y, in training: {name: (shape, dtype)}.

        Args:
            batch: The number of images.
            *shapes: The shapes of the inputs.
        """
        return {}

    def workspace(self, batch: int, *shapes: Shape, training: bool) -> int:
        """Return how many bytes of scratch memory the calls need.

        Args:
            batch: The number of images.
            *shapes: The shapes of the inputs.
            training: Whether it is for training.
        """
        return 0

    def packed(self, *shapes: Shape, training: bool) -> dict[int, int]:
        """Return how many bytes the rearranged parameters take: {pass: bytes}, for any batch size.

        Args:
            *shapes: The shapes of the inputs.
            training: Whether it is for training.
        """
        return {}

    def pack_calls(self, params: dict[str, Array], packed: dict[int, Array], *shapes: Shape, training: bool
                   ) -> list[Call]:
        """Return the calls that rearrange the parameters. They are needed after every change of these.

        Args:
            params: The parameters.
            packed: The arrays to fill, by pass.
            *shapes: The shapes of the inputs.
            training: Whether it is for training.
        """
        return []

    def pools(self, *shapes: Shape, training: bool) -> bool:
        """Return whether forward takes ``Buffers.pooled``.

        Args:
            *shapes: The shapes of the inputs.
            training: Whether it is for training.
        """
        return False

    def halves(self, shape: Shape) -> bool:
        """Return whether the layer takes the maxima of 2 x 2 positions, which the layer before it may do (``pools``).

        Args:
            shape: The shape of the input.
        """
        return False

    def fold(self, params: dict[str, Array], folded: dict[str, Array]) -> None:
        """Compute the weight and bias with which the layer before this one does what both do in evaluation.

        Args:
            params: The parameters of the layer before.
            folded: Is filled with the weight and bias.
        """
        raise TypeError(f"{type(self).__name__} folds into nothing")

    def fit(self, images: Array) -> None:
        """Compute the weights from training images.

        Args:
            images: The images as the network gets them, float32 (n, h, w, c).
        """
        raise TypeError(f"{type(self).__name__} is not fitted to images")

    def reach(self, *shapes: Shape) -> Windows | None:
        """Return the windows of the input that outputs depend on, the widest if they differ. None: single positions.

        Args:
            *shapes: The shapes of the inputs.
        """
        return None

    def leads(self, *shapes: Shape) -> tuple[float, float]:
        """Return how far the first window of ``reach`` begins before the input's first row and column.

        Args:
            *shapes: The shapes of the inputs.
        """
        windows = self.reach(*shapes)
        return windows.padding if windows else (0, 0)

    def forward_calls(self, io: Buffers) -> list[Call]:
        """Return the calls that compute io.y from io.x.

        Args:
            io: The arrays.
        """
        raise TypeError(f"{type(self).__name__} has no forward")

    def remake_calls(self, io: Buffers) -> list[Call]:
        """Return the calls that fill io.y again with what forward in training computed, to the same bits.

        Args:
            io: The arrays.
        """
        raise TypeError(f"{type(self).__name__} remakes nothing")

    def backward_calls(self, io: Buffers) -> list[Call]:
        """Return the calls that compute io.dx (those that are not None) and ``grads`` from io.dy.

        Args:
            io: The arrays.
        """
        raise TypeError(f"{type(self).__name__} has no backward")

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_alone": None}  # copies and pickles: without what the last ``forward`` alone left

    def still(self) -> "Layer":
        """Return a layer with the same weights that behaves as in evaluation and has no gradients of its own."""
        same = copy(self)
        same.grads, same._alone = {}, None
        return same

    def multiply_adds(self, *shapes: Shape) -> int:
        """Return the multiply-adds of forward for one image. Activations, poolings and the like count as 0.

        Args:
            *shapes: The shapes of the inputs.
        """
        return 0

    # ---- what every layer has ----

    def add_parameter(self, name: str, shape: Shape) -> None:
        """Allocate a parameter, filled with 0, and its gradient unless it is frozen. One of the same shape is kept.

        Args:
            name: The name: "weight", say.
            shape: The shape of the array.
        """
        if name not in self.params or self.params[name].shape != shape:
            self.params[name] = aligned_zeros(shape)
            if name not in self.frozen:
                self.grads[name] = aligned_zeros(shape)

    def forward(self, *x: Array, training: bool = False) -> Array:
        """Apply the layer alone, without a network.

        Args:
            *x: The inputs, float32 (n, h, w, c) or (n, features).
            training: Whether it behaves as in training.

        Returns:
            The output, a new float32 array (n, …).

        Raises:
            NetworkError: The inputs do not suit the layer.
            UsageError: The inputs are no numbers.
        """
        io = self._buffers([floats(f"the input of {type(self).__name__}", a) for a in x], training)
        shapes = [a.shape[1:] for a in io.x]
        for call in self.pack_calls(self.params, io.packed, *shapes, training=training) + self.forward_calls(io):
            call()
        self._alone = io
        return io.y

    def backward(self, dy: Array) -> Any:
        """Return the gradient by the input of the last ``forward`` with training=True, and fill ``grads``.

        Args:
            dy: The gradient by the output.

        Returns:
            The gradient by the input; a tuple if there are several inputs.

        Raises:
            UsageError: There was no such forward.
            NetworkError: dy has another shape than the output.
        """
        io = self._alone
        if io is None or not io.training:
            raise UsageError(f"{type(self).__name__}.backward needs a forward(..., training=True) before it.")
        io.dy = floats(f"the gradient of {type(self).__name__}'s output", dy)
        if io.dy.shape != io.y.shape:
            raise NetworkError(f"{type(self).__name__}'s output was {io.y.shape}, so its gradient must have this "
                               "shape, "
                               f"too, not {io.dy.shape}.")
        io.dx = [aligned_empty(a.shape) for a in io.x]
        for call in self.backward_calls(io):
            call()
        return io.dx[0] if self.arity == 1 else tuple(io.dx)

    def _buffers(self, x: list[Array], training: bool) -> Buffers:
        self._check_inputs([a.shape for a in x])
        batch, shapes = len(x[0]), [tuple(a.shape[1:]) for a in x]
        self.bind(*shapes)
        y = aligned_empty((batch, *self.output_shape(*shapes)))
        saved = {k: aligned_empty(*spec) for k, spec in self.saved(batch, *shapes).items()} if training else {}
        clock = self._alone.clock if self._alone else np.zeros(2, np.uint64)
        clock[1] += np.uint64(training)
        scratch = aligned_empty((self.workspace(batch, *shapes, training=training),), np.uint8)
        packed = {k: aligned_empty((size,), np.uint8) for k, size in self.packed(*shapes, training=training).items()}
        return Buffers(x=x, y=y, training=training, saved=saved, packed=packed, workspace=scratch, clock=clock)

    def _check_inputs(self, shapes: list[Shape]) -> None:
        name, given = type(self).__name__, " and ".join(map(str, shapes))
        if len(shapes) != (self.arity or max(2, len(shapes))):
            wanted = "two inputs or more" if self.arity is None else f"{self.arity} input"
            raise NetworkError(f"{name} takes {wanted}, not {len(shapes)}; give as many.")
        if any(len(shape) not in (2, 4) or 0 in shape for shape in shapes):
            raise NetworkError(f"{name} takes arrays (n, h, w, c) or (n, features) that are not empty, not {given}.")
        if len({shape[0] for shape in shapes}) > 1:
            raise NetworkError(f"the inputs of {name} must hold the same number of images, not {given}.")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items())})"


def _register(cls: type[Layer]) -> None:
    """Enter a class under its name. Whoever defines one anew replaces it, but none of this package's."""
    known = LAYERS.get(cls.__name__)
    if known is not None and known.__module__.startswith(f"{__package__}.") and known.__module__ != cls.__module__:
        raise NetworkError(f"{cls.__name__} is the name of one of cnncli's own layers; give your class another name.")
    LAYERS[cls.__name__] = cls


def count(shape: Shape) -> int:
    """Return how many numbers an array of this shape holds."""
    return math.prod(shape)
