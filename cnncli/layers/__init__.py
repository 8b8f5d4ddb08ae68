"""The layers. Semantics and defaults are PyTorch's. ``LAYERS`` maps the type names, which model files and TOML
architectures use, to the classes. docs/layers.md shows how to write one of your own.

What may not be here: anything that knows of a second layer (network/), or of files. There is a file per family; a class
enters ``LAYERS`` by itself (base.py).
"""

from .activation import Activation as Activation
from .activation import LeakyReLU as LeakyReLU
from .activation import ReLU as ReLU
from .activation import ReLU6 as ReLU6
from .activation import Sigmoid as Sigmoid
from .activation import SiLU as SiLU
from .activation import Tanh as Tanh
from .base import LAYERS as LAYERS
from .base import Buffers as Buffers
from .base import Layer as Layer
from .base import Shape as Shape
from .combine import Add as Add
from .combine import Concat as Concat
from .conv import Conv2d as Conv2d
from .dropout import Dropout as Dropout
from .flatten import Flatten as Flatten
from .gradients import check_gradients as check_gradients
from .linear import Linear as Linear
from .norm import BatchNorm2d as BatchNorm2d
from .pool import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from .pool import AvgPool2d as AvgPool2d
from .pool import GlobalAvgPool2d as GlobalAvgPool2d
from .pool import LPPool2d as LPPool2d
from .pool import MaxPool2d as MaxPool2d
from .python import PythonLayer as PythonLayer
from .scale import Scale as Scale
from .softmax import Softmax as Softmax
from .whitening import Whitening as Whitening
