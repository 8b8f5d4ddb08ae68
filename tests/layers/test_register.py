"""Every layer in every place that must know of it: whoever adds one and forgets a place finds it here by name. The
places are listed in docs/contributing.md."""

import ast
import re
from pathlib import Path

import pytest

import cnncli.layers
from cnncli.export import calls, onnx_layers
from cnncli.layers import LAYERS, Layer
from cnncli.network import Network
from tests.golden.__main__ import layers_of_all_kinds

from .cases import CASES, KINKED, LARGE, OURS
from .conformance import check_layer

ROOT = Path(__file__).parents[2]


def describe(value: object) -> str:
    return str(value).replace(" ", "")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options", "shapes"), CASES, ids=describe)
def test_conformance(name, options, shapes, isa):
    check_layer(LAYERS[name](**options), *shapes, gradients=name not in KINKED)


def test_every_class_is_registered_under_its_name():
    """And every one that is not abstract is there: has a forward of its own or its family's."""
    assert all(kind.__name__ == name for name, kind in LAYERS.items())
    found, below = set(), [Layer]
    while below:
        kind = below.pop()
        below += kind.__subclasses__()
        if kind.__module__.startswith("cnncli.layers.") and not kind.__subclasses__():
            found.add(kind)
    assert found <= set(OURS.values()) | {cnncli.layers.PythonLayer}


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_name_builds_its_class_and_is_public(name):
    assert getattr(cnncli.layers, name, None) is OURS[name], f"cnncli/layers/__init__.py does not offer {name}"
    options, shapes = next((options, shapes) for kind, options, shapes in CASES if kind == name)
    flat = [{"type": "Flatten"}] if len(shapes[0]) == 1 else []
    inputs = {"inputs": ["input"] * len(shapes)} if len(shapes) > 1 else {}
    network = Network([*flat, {"type": name, **options, **inputs}], shapes[0] if not flat else (1, 1, *shapes[0]))
    assert type(network.nodes[-1].layer) is OURS[name]


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in sorted((ROOT / "cnncli").rglob("*.py"))
                                  if path.parent.name not in ("layers", "architectures")],
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_else_keeps_a_list_of_layers(path):
    """Only the exports' tables name classes; everybody else asks the layer (the facts at the top of Layer)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "layers":
            assert not {name.name for name in node.names} & OURS.keys(), f"line {node.lineno}"
        if isinstance(node, ast.Compare):
            words = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
            assert not words & OURS.keys(), f"line {node.lineno} compares with a layer's name"


def test_every_layer_has_its_cases():
    assert OURS.keys() == {name for name, _, _ in CASES} == {kind for kind, _, _ in LARGE.values()}


@pytest.mark.parametrize("table", [onnx_layers.WRITERS, calls.WRITERS], ids=lambda table: table.form)
def test_every_layer_can_be_exported(table):
    missing = [name for name, kind in OURS.items() if kind not in table]
    assert not missing, f"{', '.join(missing)} cannot be written as {table.form}: enter a writer"


def test_every_layer_has_its_peer():
    """Read, not imported: PyTorch need not be there."""
    path = ROOT / "benchmarks/workers/torch_network.py"
    [peers] = [node.value for node in ast.parse(path.read_text(encoding="utf-8")).body
               if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "PEERS"]
    assert isinstance(peers, ast.Dict)
    assert {ast.literal_eval(key) for key in peers.keys if key} == OURS.keys()


def test_the_golden_model_has_every_layer():
    layers = layers_of_all_kinds()
    assert {layer["type"] for layer in layers} == OURS.keys()
    assert Network(layers, (16, 12, 3)).output_shape == (3,)


def test_the_guide_names_every_layer_and_no_other():
    text = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \| \| \|", text, re.MULTILINE)) == OURS.keys()
