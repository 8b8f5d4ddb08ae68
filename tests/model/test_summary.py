"""model/summary.py: a model in figures, the same for Python and for `cnn inspect --json`."""

import cnncli
from cnncli.model.summary import summarise

from ..small_model import CLASSES, small_model


def test_what_a_model_consists_of() -> None:
    model = small_model()
    found = cnncli.summarise(model)
    assert found.classes == CLASSES
    assert found.input_shape == (6, 5, 3)
    assert found.parameters == sum(array.size for array in model.network.parameters().values())
    assert [layer.type for layer in found.layers] == ["Conv2d", "BatchNorm2d", "ReLU", "Flatten", "Linear"]
    assert found.multiply_adds == 6 * 5 * 4 * 27 + 6 * 5 * 4 * 3
    assert found.architecture is None
    assert found.training == model.training


def test_json() -> None:
    found = summarise(small_model())
    report = found.as_json()
    assert list(report) == ["architecture", "input_shape", "classes", "parameters", "weight_bytes", "flops", "layers",
                            "preprocessing", "training"]
    assert report["flops"] == 2 * found.multiply_adds == sum(layer["flops"] for layer in report["layers"])
    assert all(list(layer) == ["name", "type", "output_shape", "parameters", "flops"] for layer in report["layers"])


def test_what_is_handed_out_is_not_the_models_own() -> None:
    """Whatever is done to it, the model stays as it is."""
    model = small_model()
    assert model.classes == tuple(CLASSES)
    before, training = model.metadata(), dict(model.training)
    given = [*CLASSES]
    other = type(model)(model.network, given, model.preprocessing, model.training)
    found = cnncli.summarise(model)
    for each in (given, found.classes, found.layers, model.network.nodes):
        each.clear()
    found.training.clear()
    for of_layer in model.network.config()["layers"]:
        of_layer.clear()
    assert (model.metadata(), model.training) == (before, training)
    assert other.classes == model.classes
    assert len(model.network.nodes) == 5
    weighted, steps = cnncli.loss.CrossEntropy(class_weights=[1, 2]), cnncli.optim.Schedule("step", 1, milestones=[3])
    weighted.config()["class_weights"].clear()
    steps.config()["milestones"].clear()
    assert (weighted.config()["class_weights"], steps.config()["milestones"]) == ([1, 2], [3])
