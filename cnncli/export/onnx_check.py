"""An ONNX file, run by ONNX Runtime before anybody gets it, on the picture of golden.py: it must say what the model
says.

A quantised model's answers can differ by more. Where a sum of floats lies half-way between two bytes, its last bit
decides, and one byte that differs changes others behind it. Most pictures meet no such sum and have the same answer,
so that the file is run on several, and half of them must agree.
"""

from typing import Any

import numpy as np

from ..errors import SaveError
from ..extras import install
from ..kernels import Array
from ..model import Model
from .golden import TOLERANCE, Golden, shifted

INT8_TOLERANCE = 1e-2  # of a probability, for half of the pictures
# ONNX Runtime's products of bytes overflow on x86 CPUs without VNNI, unless it is told to be exact.
_EXACT = "session.x64quantprecision"


def checked(data: bytes, model: Model, known: Golden, raw: bool) -> str:
    """Run a file, where that can be done, and return a sentence about that. Raises SaveError where something else comes
    out."""
    try:
        import onnxruntime
    except ImportError:
        return f"It was not run, because onnxruntime is not installed ({install('onnx')} brings it)."
    runtime, quantised = f"ONNX Runtime {onnxruntime.__version__}", model.network.quantisation is not None
    images = shifted(known.image) if quantised else known.image[None]
    expected = model.probabilities(images) if quantised else known.probabilities[None]
    tolerance, so = INT8_TOLERANCE if quantised else TOLERANCE, ""
    errors = np.abs(_answers(data, model, images, raw, {}) - expected).max(axis=1)
    if quantised and not np.median(errors) <= tolerance:
        so = f", on this CPU only with the session option {_EXACT} = \"1\""
        errors = np.abs(_answers(data, model, images, raw, {_EXACT: "1"}) - expected).max(axis=1)
    error = float(np.median(errors))
    if not error <= tolerance:
        raise SaveError(f"{runtime} answers differently than cnn, by {error:.2g} of a probability, more than "
                        f"{tolerance:g}; please report it. Nothing was written.")
    if not quantised:
        return f"{runtime} answers as cnn does, to {error:.0e} of a probability."
    return (f"{runtime} answers as cnn does{so}: to {error:.0e} of a probability for half of {len(images)} pictures, "
            f"to {errors.max():.0e} for all.")


def _answers(data: bytes, model: Model, images: Array, raw: bool, entries: dict[str, str]) -> Array:
    """Return the probabilities (n, classes) that ONNX Runtime finds."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    given: Any = images
    if raw:
        given = np.ascontiguousarray(model.preprocessing.normalise(given).transpose(0, 3, 1, 2))
    answers: Array = session.run(None, {session.get_inputs()[0].name: given})[0]
    return model.probabilities_of(answers) if raw else answers
