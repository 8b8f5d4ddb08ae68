"""visualize/graph.py: every layer has its box, every connection its line, and names are text."""

import re
from xml.etree import ElementTree

from cnncli.network import Network
from cnncli.visualize.graph import graph

SVG = "{http://www.w3.org/2000/svg}"


def test_boxes_and_lines() -> None:
    conv = {"type": "Conv2d", "out_channels": 4}
    network = Network([{**conv, "kernel_size": 3, "padding": 1, "name": "a"}, {"type": "ReLU", "name": "b"},
                       {**conv, "kernel_size": 1, "name": "c"}, {"type": "Add", "inputs": ["a", "c"], "name": "d"}],
                      (8, 6, 3))
    root = ElementTree.fromstring(graph(network))
    boxes, paths = root.findall(f"{SVG}rect"), root.findall(f"{SVG}path")
    assert [box.get("class") for box in boxes] == ["plain", "learns", "plain", "learns", "plain"]
    assert [path.get("class") for path in paths] == [None, None, None, "past", None]
    tops = [float(str(box.get("y"))) for box in boxes]
    [start, end] = [float(y) for y in re.findall(r"M 96 ([\d.]+) C .* 96 ([\d.]+)$", str(paths[3].get("d")))[0]]
    assert tops[1] < start < tops[1] + 24
    assert tops[4] < end < tops[4] + 24
    words = ["".join(text.itertext()) for text in root.findall(f"{SVG}text")]
    assert words[:4] == ["image  ", "8x6x3", "a  Conv2d", "8x6x4, 112 parameters"]
    assert float(str(root.get("height"))) > tops[-1] + 24


def test_it_is_the_same_text_each_time() -> None:
    network = Network([{"type": "Flatten"}, {"type": "Linear", "out_features": 2}], (4, 4, 1))
    assert graph(network) == graph(network)
