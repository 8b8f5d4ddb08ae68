"""What the calls of ``import cnncli`` return: every kind of result is pickled, copied and written as JSON by Python's
own means, so that a pool of processes, a database or a web server can take it."""

import ast
import copy
import dataclasses
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnncli
from cnncli.runs.run import Run

from .trained import CLASSES, trained, write_images

__all__ = ["trained"]
OTHERS = {"Figures", "Located", "Moved"}  # have an as_json, and are no part of the results below


@pytest.fixture(scope="module")
def results(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Return one result of every call, by the name of the call."""
    here = tmp_path_factory.mktemp("results")
    data = write_images(here / "data", CLASSES[:2], 6, seed=1)
    (data / CLASSES[0] / "broken.png").write_bytes(b"no image")
    options: dict[str, Any] = {"arch": "lenet5", "epochs": 1, "batch_size": 4}
    model = cnncli.load(trained / "runs" / "small")
    picture = next((data / CLASSES[0]).glob("* 0.png"))
    numpy_file = here / "some.npz"
    np.savez(numpy_file, images=np.zeros((4, 8, 8), np.uint8), labels=np.arange(4) % 2)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(here)
        for what in ("curves", "rates"):  # pictures take most of the time
            patched.setattr(f"cnncli.report.{what}.draw", lambda *drawn: None)
        why = cnncli.explain(model, picture)
        yield {
            "train": cnncli.train("data", **options),
            "cross_validate": cnncli.cross_validate("data", 2, group_by=r"(\d)\.png", **options),
            "sweep": cnncli.sweep("data", {"lr": [0.1, 1e30]}, **options),
            "find_lr": cnncli.find_lr("data", arch="lenet5", batch_size=4),
            "list_runs": cnncli.list_runs(),
            "evaluate": cnncli.evaluate(model, "data"),
            "evaluate arrays": cnncli.evaluate(model, (np.zeros((4, 20, 20, 3), np.uint8), np.array(CLASSES))),
            "check": cnncli.check("data", models=[trained / "runs" / "small"]),
            "explain": why,
            "explanations": list(cnncli.explanations(model, [picture, data / CLASSES[0] / "broken.png"])),
            "explanation of an upload": cnncli.explain(model, picture.read_bytes()),
            "draw_explanations": list(cnncli.draw_explanations(model, [picture])),
            "trust": cnncli.trust(model, why),
            "sanity": cnncli.sanity(model, [picture]),
            "shortcuts": cnncli.shortcuts(model, "data"),
            "explain_units": cnncli.explain_units(model, "conv1", "data", channels=[0, 1], count=8),
            "predict": list(cnncli.predict(model, "data", reject=0.9)),
            "features": cnncli.features(model, "data"),
            "find_images": cnncli.find_images(["data", "nothing/"]),
            "summarise": cnncli.summarise(model),
            "load": model,
            "draw_filters": cnncli.draw_filters(model),
            "draw_activations": list(cnncli.draw_activations(model, picture)),
            "export_model": cnncli.export_model(model, "model.c"),
            "write_page": cnncli.write_page(model, out="page.html"),
            "quantise": cnncli.quantise(model, write_images(here / "more", CLASSES, 2, seed=2), max_drop=100),
            "pack_images": cnncli.pack_images("data", "packed"),
            "import_images": cnncli.import_images(numpy_file, "imported"),
            "architecture": cnncli.architecture("lenet5", (28, 28, 1), 10),
        }


def those_with_json() -> dict[str, list[str]]:
    """Return the names of all classes of the package that have an as_json, with its decorators."""
    methods = [(kind.name, method) for path in Path(cnncli.__file__).parent.rglob("*.py")
               for kind in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(kind, ast.ClassDef)
               for method in kind.body if isinstance(method, ast.FunctionDef) and method.name == "as_json"]
    return {name: [ast.unparse(each) for each in method.decorator_list] for name, method in methods}


def parts(value: Any) -> Iterator[Any]:
    """Yield a result and the results in it; a run that has failed has no model to tell of."""
    if not isinstance(value, Run) or value.has_model:
        yield value
    if isinstance(value, list | tuple):
        for each in value:
            yield from parts(each)
    elif isinstance(value, dict):
        yield from parts([*value.values()])
    elif dataclasses.is_dataclass(value):
        yield from parts([getattr(value, each.name) for each in dataclasses.fields(value)])
        yield from parts([getattr(value, name) for name in ("groups", "headline") if hasattr(value, name)])


def as_json(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = value.as_json("a.png") if type(value).__name__ == "Sheet" else value.as_json()
    return found


@pytest.mark.slow
def test_every_as_json_is_json(results: dict[str, Any]) -> None:
    met = set()
    for value in parts(results):
        if hasattr(value, "as_json"):
            met.add(type(value).__name__)
            said = as_json(value)
            assert json.loads(json.dumps(said, allow_nan=False)) == said, type(value)
    every = those_with_json()
    assert all("in_plain_json" in decorators for decorators in every.values()), every
    assert set(every) - met == OTHERS


@pytest.mark.slow
def test_every_result_is_pickled_and_copied(results: dict[str, Any]) -> None:
    for name, value in results.items():
        for again in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):
            assert type(again) is type(value), name
            for one, other in zip(parts(value), parts(again), strict=True):
                if dataclasses.is_dataclass(one):
                    assert isinstance(one == other, bool), f"{name}: its arrays would raise"
                if hasattr(one, "as_json"):
                    assert as_json(one) == as_json(other), name
                if isinstance(one, cnncli.Model | cnncli.Network):
                    assert same_answers(one, other), name
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            dataclasses.asdict(value)


def same_answers(one: Any, other: Any) -> bool:
    networks = [each.network if isinstance(each, cnncli.Model) else each for each in (one, other)]
    images = np.random.default_rng(0).random((3, *networks[0].input_shape), np.float32)
    return all(np.array_equal(*(network.forward(images[:count]) for network in networks)) for count in (1, 3))
