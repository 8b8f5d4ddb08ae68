"""cnncli/values.py: what public functions may be given is what their type hints say, for every one of them."""

import inspect
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnncli
from cnncli import errors, kernels, loss, optim, values
from cnncli.data import Preprocessing
from cnncli.errors import UsageError
from cnncli.training.options import Options
from cnncli.values import as_hinted

from .small_model import small_model

WRONG: dict[type, tuple[Any, ...]] = {bool: ("no", "", 1, 0.0, [], b"x"), int: ("2", 1.5, True, [1]),
                                      float: ("0.1", True, [1.0]), str: ("", 5), os.PathLike: ("", 5, b"x")}
# Their arguments are checked where they are used, in their own words.
ELSEWHERE = {"load", "Model.__init__", "Network", "Observer", "Prediction", "Server", "Trainer.step", "Schedule.filled"}


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield every public function, and every public method, with the class's name."""
    for module, names in ((cnncli, cnncli.__all__), (optim, ("SGD", "Adam", "AdamW", "Schedule")),
                          (loss, ("CrossEntropy", "SquaredError"))):
        for name in names:
            thing = getattr(module, name)
            if inspect.isfunction(thing) and thing.__module__.startswith("cnncli"):
                yield name, thing
            elif inspect.isclass(thing):
                for inner, method in vars(thing).items():
                    told = inner in vars(cnncli.Observer)  # by the training
                    made = inner == "__init__" and not is_dataclass(thing)  # results are made by calls
                    if inspect.isfunction(method) and (made or not (told or inner.startswith("_"))):
                        yield f"{name}.{inner}", method


def arguments() -> Iterator[tuple[str, str, Any]]:
    """Yield what takes an argument of a simple type, the argument, and a value that it does not take."""
    for name, function in public():
        if name in ELSEWHERE or name.split(".")[0] in ELSEWHERE:
            continue
        for parameter in inspect.signature(function).parameters.values():
            classes = set(values._kind(parameter.annotation).classes) - {type(None)}
            for kind, wrong in WRONG.items():
                if classes == {kind} or (kind is os.PathLike and classes == {str, kind}):
                    yield from ((name, parameter.name, value) for value in wrong
                                if parameter.name not in values._ELSEWHERE
                                or (value == "" and parameter.name in values._NAMED))


FUNCTIONS = dict(public())


@pytest.mark.parametrize("name", sorted({name for name, _, _ in arguments()}))
def test_every_public_function_refuses_what_its_hints_do_not_name(name: str) -> None:
    """With the argument alone: nothing else is looked at before."""
    own = () if "." not in name else (None,)
    for each, argument, value in arguments():
        if each == name:
            with pytest.raises(UsageError, match=r" must be | is empty; "):
                FUNCTIONS[name](*own, **{argument: value})


def test_the_flags_are_all_there() -> None:
    flags = {f"{name} {argument}" for name, argument, value in arguments() if value == "no"}
    assert {"train strict", "train exact", "train grey", "train probe", "train preview", "evaluate tta",
            "evaluate compare", "write_report why", "Model.save force", "export_model raw", "write_page with_units",
            "SGD.__init__ nesterov", "sweep strict", "find_lr strict", "import_images force"} <= flags
    assert len(flags) >= 25


@as_hinted
def example(where: str | os.PathLike[str] = "x", *several: int, flag: bool = False, size: int | tuple[int, int] = 1,
            numbers: Sequence[float] = (), rate: float | None = None, **others: Any) -> Any:
    """Return what it was given."""
    return where, several, flag, size, numbers, rate, others


def test_numpys_values_become_pythons() -> None:
    given = example(Path("a"), np.int64(3), np.array(4), flag=np.True_, size=np.array([2, 3]), rate=np.float32(0.5),
                    numbers=np.array([1.5, 2]), other=np.float64(1))
    assert given == (Path("a"), (3, 4), True, (2, 3), [1.5, 2.0], 0.5, {"other": 1.0})
    assert [type(each) for each in (*given[1], given[2], given[3][0], given[5])] == [int, int, bool, int, float]
    assert example(size=[np.int32(2), 3])[3] == (2, 3)
    options = Options(epochs=np.int64(1), lr=np.float32(0.5), size=np.array([8, 9]), time=None, grey=np.False_,
                      class_weights=np.array([1.0, 2.0]), ema=np.float64(0), fold=(np.int64(1), np.int64(2)))
    assert options.config() == {"epochs": 1, "lr": 0.5, "size": (8, 9), "grey": False, "class_weights": [1.0, 2.0],
                                "ema": 0.0, "fold": (1, 2)}


@pytest.mark.parametrize(("given", "sentence"), [
    ({"flag": "no"}, "flag must be True or False, not 'no'."),
    ({"where": ""}, "where is empty; give a value, or leave it out."),
    ({"where": None}, "where must be a text or a path, not None."),
    ({"rate": "1"}, "rate must be a number, not '1'."),
    ({"size": "1"}, "size must be a whole number or a tuple, not '1'.")])
def test_the_sentences(given: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError) as refused:
        example(**given)
    assert str(refused.value) == sentence
    monkeypatch.setattr(errors, "on_command_line", True)
    with pytest.raises(UsageError) as refused:
        example(**given)
    assert str(refused.value) == (f"--{sentence}")


def test_several_and_too_many() -> None:
    with pytest.raises(UsageError, match="several must be a whole number, not 'b'"):
        example("x", 1, "b")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="positional argument"):
        cnncli.summarise("a", "b")  # type: ignore[call-arg]
    assert inspect.signature(cnncli.summarise).parameters.keys() == {"model"}


def test_the_model_comes_first() -> None:
    """In every public function that takes one; and what is given in another order is told so."""
    for name, function in public():
        names = list(inspect.signature(function).parameters)
        assert "model" not in names[1:] or "." in name, name
    model, picture, run = small_model(), np.zeros((6, 5, 3), np.uint8), cnncli.Run("runs/none")
    why = cnncli.explain(model, picture)
    assert cnncli.trust(model, why).path == "images[0]"
    calls: dict[str, Callable[[], Any]] = {
        "draw_activations(model, images)": lambda: cnncli.draw_activations("a.png", model),  # type: ignore[arg-type]
        "predict(model, images)": lambda: cnncli.predict("a.png", run),  # type: ignore[arg-type]
        "explain(model, image)": lambda: cnncli.explain("a.png", model=model),  # type: ignore[misc]
        "export_model(model, path)": lambda: cnncli.export_model("a.onnx", model),  # type: ignore[arg-type]
        "trust(model, explanation)": lambda: cnncli.trust(why, "runs/none")}  # type: ignore[arg-type]
    for words, call in calls.items():
        with pytest.raises(UsageError) as refused:
            call()
        function, argument = words.rstrip(")").split("(model, ")
        assert str(refused.value) == f"{function} takes the model first, and then the {argument}; write {words}."
    assert cnncli.summarise(model=model).classes


def test_numpys_numbers_in_layers_shapes_and_preprocessing() -> None:
    three, two = np.int64(3), np.int64(2)
    layers = [{"type": "Conv2d", "out_channels": three, "kernel_size": (three, 3), "bias": np.True_},
              {"type": "Flatten"}, {"type": "Linear", "out_features": two}]
    network = cnncli.Network(layers, np.array([16, 16, 3]), seed=0)
    assert network.config() == cnncli.Network(network.config()["layers"], (16, 16, 3)).config()
    json.dumps(network.config())
    how = Preprocessing((three, two), np.True_, mean=(np.float64(0.5),), range=np.array([0, 9]))  # type: ignore[arg-type]
    assert json.loads(json.dumps(how.config())) == {"size": [3, 2], "grey": True, "resize": "squash", "mean": [0.5],
                                                    "std": [1.0], "range": [0, 9]}


def test_an_empty_path_names_no_images() -> None:
    for call in (cnncli.data.scan, lambda data: cnncli.shortcuts(None, data), cnncli.check, cnncli.find_images):
        with pytest.raises(UsageError, match=r"the path of the [a-z]+ is empty; name a file or a folder"):
            call("")
    with pytest.raises(UsageError, match=r"sources\[1\] is empty; name a file or a folder"):
        cnncli.import_images(["a", ""], "x")


def test_the_number_of_threads() -> None:
    for wrong in ("2", 1.5, True):
        with pytest.raises(UsageError, match="count must be a whole number, not "):
            kernels.set_threads(wrong)  # type: ignore[arg-type]
    kernels.set_threads(np.int64(kernels.threads()))  # type: ignore[arg-type]
