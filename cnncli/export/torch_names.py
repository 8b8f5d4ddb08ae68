"""A model's numbers as a state dict for PyTorch, in a safetensors file: torchvision's network of that name, or timm's
where torchvision has none, takes it with strict=True. Our layers bear those names already; what is missing is PyTorch's
count of each batch norm's steps.
"""

from typing import Any

import numpy as np

from ..errors import UsageError
from ..kernels import Array
from ..model import Model
from ..model.modelfile import in_order

# Whose network it is, and by which name: what loads the file.
NETWORKS = {
    **{name: f"torchvision.models.{name}" for name in
       ("resnet18", "resnet34", "resnet50", "vgg11", "vgg16", "squeezenet1_1", "mobilenet_v2")},
    **{name: f"timm.create_model('tf_{name}')" for name in  # tf_: with TensorFlow's padding and epsilon
       ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")},
}


def to_torch_names(model: Model) -> tuple[bytes, str]:
    """Return a safetensors file's bytes, and a sentence that says what loads it.

    Raises UsageError for a network that nobody but us knows by these names, and for a quantised one.
    """
    from safetensors.numpy import save

    name = str(model.training.get("architecture"))
    if name not in NETWORKS:
        raise UsageError(f"--torch-names is for networks that torchvision or timm have ({', '.join(NETWORKS)}), and "
                         f"this one is {name}; export it as .onnx.")
    if model.network.quantisation:
        raise UsageError("--torch-names is not for quantised models, whose batch norms are in other layers' weights; "
                         "export the model that this one was made of.")
    data = b"".join(in_order(save(state_dict(model), metadata={"format": "pt", "writer": "cnn"})))
    return data, f"{NETWORKS[name]} with {len(model.classes)} classes loads it with strict=True."


def state_dict(model: Model) -> dict[str, Array]:
    """Return the arrays under PyTorch's names, with a count of steps, 0, for each batch norm."""
    arrays: dict[str, Any] = {**model.network.parameters(), **model.network.buffers()}
    counts = {f"{node.name}.num_batches_tracked": np.zeros((), np.int64) for node in model.network.nodes
              if node.layer.normalises}
    return arrays | counts
