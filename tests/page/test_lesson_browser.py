"""The numbers of the lesson are the network's own: what a step shows is computed again in Python, from the model's
layers and what they yield for the image."""

import base64
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.model import Model
from cnncli.page import write_page

from .test_page_browser import model_of, opened, waited

pytestmark = pytest.mark.slow
JUDGE = """return ask('judge', Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0)), 40, 36).then(showAnswer)"""
GO = """return go(lesson().findIndex(({ title }) => title === arguments[0]))
    .then(() => [pointed.layer.name, pointed.index])"""
LINES = """return [...document.querySelectorAll(arguments[0])]
    .map((line) => [...line.children].map((it) => it.innerText))"""
NUMBER = r"(-?[\d.]+(?:e[+-]?\d+)?)"


def numbers(text: str) -> str:
    return text.replace("\u2212", "-")


class Lesson:
    """A page that has judged an image, its model, and what the layers yield for it."""

    def __init__(self, model: Model, browser: Any, folder: Path) -> None:
        self.model, self.browser = model, browser
        write_page(model, (), folder / "page.html")
        opened(browser, folder / "page.html")
        image = np.random.default_rng(7).integers(0, 256, (40, 36, 3)).astype(np.uint8)
        browser.run(JUDGE, base64.b64encode(np.concatenate([image, image[..., :1]], axis=2).tobytes()).decode())
        self.input = model.preprocessing.normalise(model.preprocessing.prepare_array(image)[None])

    def go(self, title: str) -> tuple[str, int]:
        """Open a step; of which layer it shows which number."""
        name, index = self.browser.run(GO, title)
        waited(self.browser, "")
        assert self.browser.errors() == []
        return name, index

    def of(self, name: str) -> Any:
        """What a layer yields."""
        return self.input[0] if name == "input" else self.model.network.activations(self.input, [name])[name][0]

    def rule(self) -> str:
        return numbers(self.browser.find("#number .rule").text)

    def lines(self, where: str) -> list[list[str]]:
        return [[numbers(cell) for cell in line] for line in self.browser.run(LINES, where)]


@pytest.fixture
def residual(browser: Any, tmp_path: Path) -> Lesson:
    """Of a network whose batch norms have seen something."""
    model, rng = model_of("resnet8"), np.random.default_rng(3)
    for node in model.network.nodes:
        for array in (*node.layer.state.values(), *(node.layer.params.values() if node.layer.state else ())):
            array[...] = rng.uniform(0.3, 2, array.shape)
    model.network.changed()
    return Lesson(model, browser, tmp_path)


def test_the_sums_of_channels_add_up_to_the_number(residual: Lesson) -> None:
    name, index = residual.go("Several channels")
    node = residual.model.network.node(name)
    [x], (row, column, channel) = [residual.of(node.inputs[0])], np.unravel_index(index, node.shape)
    window = np.pad(x, ((1, 1), (1, 1), (0, 0)))[row : row + 3, column : column + 3]
    products = window.transpose(2, 0, 1) * node.layer.params["weight"][channel]
    sums, lines = products.sum(axis=(1, 2)), residual.lines("#number .sums tr")
    order = np.argsort(-np.abs(sums))
    assert [line[0] for line in lines] == [*(f"channel {k}" for k in order[:6]), "10 others", "the number"]
    wanted = [*sums[order[:6]], sums[order[6:]].sum(), residual.of(name)[row, column, channel]]
    np.testing.assert_allclose([float(line[1]) for line in lines], wanted, rtol=0.01, atol=0.002)
    browser, shown = residual.browser, order[0]
    for other in (None, order[3]):  # and the grids are those of the channel that is clicked
        if other is not None:
            browser.run("document.querySelectorAll('#number .sums button')[3].click()")
            shown = other
            assert browser.run("return document.activeElement.textContent") == f"channel {shown}"
        grids = [np.array(residual.lines(f"#number .window:nth-of-type({i}) tr"), float).ravel() for i in (1, 2, 3)]
        for grid, own in zip(grids, (window[..., shown], node.layer.params["weight"][channel, shown], products[shown]),
                             strict=True):
            np.testing.assert_allclose(grid, own.ravel(), atol=0.006)
        assert f"channel {shown}" in browser.find("#number .window caption").text


def test_a_batch_norm_says_what_it_subtracts_and_divides_by(residual: Lesson) -> None:
    name, index = residual.go("Batch norm")
    layer, channel = residual.model.network.node(name).layer, index % residual.of(name).shape[-1]
    x, y = residual.of("conv1").ravel()[index], residual.of(name).ravel()[index]
    mean, deviation = layer.state["running_mean"][channel], np.sqrt(layer.state["running_var"][channel] + layer.eps)
    weight, bias = layer.params["weight"][channel], layer.params["bias"][channel]
    normal = (x - mean) / deviation
    said = re.fullmatch(rf"In training the mean of this channel was {NUMBER} and its standard deviation {NUMBER}: "
                        rf"\({NUMBER} - {NUMBER}\) / {NUMBER} = {NUMBER}\. With the weight {NUMBER} and the bias "
                        rf"{NUMBER}: {NUMBER} x {NUMBER} \+ {NUMBER} = {NUMBER}\. The table .*", residual.rule())
    assert said
    np.testing.assert_allclose([float(each) for each in said.groups()], [
        mean, deviation, x, mean, deviation, normal, weight, bias, normal, weight, bias, y], rtol=0.005)
    [term, shift, number] = residual.lines("#number tbody tr")
    assert float(term[1]) * float(term[2].removeprefix("x ")) + float(shift[3]) == pytest.approx(y, rel=0.01)
    assert float(number[3]) == pytest.approx(y, rel=0.005)


def test_a_skip_connection_adds_two_maps(residual: Lesson) -> None:
    name, index = residual.go("Skip connection")
    assert name == "layer1.0.add"
    inputs = residual.model.network.node(name).inputs
    assert len(inputs) == 2
    parts = [residual.of(each).ravel()[index] for each in inputs]
    lines = {line[0].split()[0]: float(line[1]) for line in residual.lines("#number tbody tr")}
    assert [lines[each] for each in inputs] == pytest.approx(parts, rel=0.005, abs=1e-3)
    assert lines["the"] == pytest.approx(sum(parts), rel=0.005)
    assert residual.of(name).ravel()[index] == pytest.approx(sum(parts), rel=1e-5)
    assert residual.lines("#number .grids figure") == [["", each] for each in (*inputs, name)]


def test_maps_become_one_row_channel_by_channel(browser: Any, tmp_path: Path) -> None:
    lesson = Lesson(model_of("lenet5"), browser, tmp_path)
    name, index = lesson.go("From maps to one row of numbers")
    words = browser.find("#tour .words").text
    assert (name, "16 x 25 = 400 numbers" in words) == ("flatten", True)
    assert "Then fc1 has a weight for each of these numbers and each of its 120 outputs: 48,000 weights." in words
    before = lesson.of("pool2")
    row, column, channel = (int(each) for each in re.findall(r"\d+", lesson.rule())[:3])
    assert lesson.rule() == (f"Row {row}, column {column} of channel {channel} becomes number {channel} x 25 + "
                             f"{row} x 5 + {column} = {index}.")
    assert channel * 25 + row * 5 + column == index
    [_, number] = lesson.lines("#number tbody tr")
    assert float(number[1]) == pytest.approx(before[row, column, channel], rel=0.005)
    assert lesson.of(name)[index] == before[row, column, channel]


@pytest.mark.parametrize("name", ["lenet5", "resnet8"])
def test_where_the_weights_come_from_counts_them(name: str, browser: Any, tmp_path: Path) -> None:
    lesson = Lesson(model_of(name), browser, tmp_path)
    browser.run("return go(lesson().length - 2).then(() => 1)")
    count = sum(array.size for array in lesson.model.network.parameters().values())
    assert f"The {count:,} weights and biases of this network" in browser.find("#tour .words").text
