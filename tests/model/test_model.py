"""model/model.py: one answer for an image, whichever way and beside whichever others it is asked for; and the Python
API of cnncli/__init__.py, which imports nothing before it is used."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

import cnncli
from cnncli import kernels
from cnncli.data import Preprocessing, prefetch
from cnncli.errors import CnnError, DataError, SaveError, UsageError
from cnncli.model import Model, Prediction
from cnncli.model import preparing as models
from cnncli.model.calibration import Calibration
from cnncli.model.checkpoint import save_model
from cnncli.network import Network

from ..small_model import CLASSES, same, small_model

ROOT = Path(__file__).parents[2]


def write_images(folder: Path, count: int, seed: int = 0, sizes: bool = True) -> list[str]:
    """Write count PNG files of random pixels and different sizes; return their paths."""
    rng, paths = np.random.default_rng(seed), []
    for number in range(count):
        h, w = (rng.integers(3, 12, 2)) if sizes else (6, 5)
        paths.append(str(folder / f"{number:03}.png"))
        Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)).save(paths[-1])
    return paths


# ---- logits and probabilities ----


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "size"), [("lenet5", 28), ("resnet8", 28), ("resnet20", 9), ("nin", 11)])
def test_an_image_gets_the_same_bits_in_any_batch(
    architecture: str, size: int, isa: str, rng: np.random.Generator
) -> None:
    network = cnncli.architecture(architecture, (size, size, 3), 10)
    model = Model(network, list("abcdefghij"), Preprocessing((size, size)))
    count = 4 if isa == "reference" else 17
    images = rng.integers(0, 256, (count, size, size, 3), np.uint8)
    alone = np.concatenate([model.logits(images[i : i + 1]) for i in range(count)])
    for batch in (2, 3, count):
        together = np.concatenate([model.logits(images[i : i + batch]) for i in range(0, count, batch)])
        np.testing.assert_array_equal(together, alone)


def test_logits_of_uint8_normalise_and_resize_and_floats_go_as_they_are(rng: np.random.Generator) -> None:
    model = small_model(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    images = rng.integers(0, 256, (4, 6, 5, 3), np.uint8)
    floats = ((images / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]).astype(np.float32)
    np.testing.assert_allclose(model.logits(images), model.logits(floats), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(model.logits(floats), model.network.forward(floats))
    large = rng.integers(0, 256, (2, 30, 20, 3), np.uint8)
    resized = np.stack([model.preprocessing.prepare_array(image) for image in large])
    np.testing.assert_array_equal(model.logits(large), model.logits(resized))
    np.testing.assert_array_equal(model.logits(floats.astype(np.float64)), model.logits(floats))
    assert model.logits(images[:0]).shape == (0, 3)
    strided = np.asfortranarray(images)[::-1, :, ::-1]
    np.testing.assert_array_equal(model.logits(strided), model.logits(strided.copy()))


@pytest.mark.parametrize(("wrong", "words"), [
    (np.zeros((6, 5, 3), np.uint8), r"shape \(n, h, w, 3\), not \(6, 5, 3\)"), (np.zeros((1, 6, 5, 1)), "shape"),
    (np.zeros((1, 3, 5, 3)), r"the model's size, \(6, 5, 3\) each, not \(3, 5, 3\)"), (3, r"not \(\)"), ("a", "not"),
    (np.zeros((1, 6, 5, 3), int), "not int64"), (np.zeros((1, 0, 5, 3), np.uint8), "shape"), ([[1], [2, 3]], "array"),
    (np.full((1, 6, 5, 3), np.nan), "infinities or NaN"), (np.full((1, 6, 5, 3), np.inf), "infinities"), (None, "not"),
    (np.zeros((1, 6, 5, 3), complex), "complex128"), (np.zeros((1, 6, 5, 3), object), "not object")])
def test_what_is_no_batch_is_refused_in_a_sentence(wrong: Any, words: str) -> None:
    for ask in (small_model().logits, small_model().probabilities):
        with pytest.raises(DataError, match=words) as caught:
            ask(wrong)
        assert str(caught.value).endswith(".")


def test_probabilities_are_softmax_also_of_large_logits(rng: np.random.Generator) -> None:
    model = small_model()
    images = rng.integers(0, 256, (5, 6, 5, 3), np.uint8)
    logits = model.logits(images).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(model.probabilities(images), expected, rtol=1e-12)
    model.network.parameters()["linear1.weight"][...] *= 1e5
    probabilities = model.probabilities(images)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-12)


def test_a_temperature_divides_the_logits_of_every_answer(tmp_path: Path) -> None:
    model, paths = small_model(), write_images(tmp_path, 3)
    plain = [answer.top for answer in model.predict(paths)]
    model.calibration = Calibration(2.5, 50, (1.0, 0.9), (0.2, 0.1), ())
    assert model.temperature == 2.5
    images = np.stack([model.preprocessing.prepare(path) for path in paths])
    logits = model.logits(images).astype(float) / 2.5
    np.testing.assert_allclose(model.probabilities(images), np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
    for answer, row, before in zip(model.predict(paths), model.probabilities(images), plain, strict=True):
        assert dict(answer.top) == dict(zip(CLASSES, row, strict=True))
        assert answer.top != before


def test_a_network_that_does_not_fit_is_refused() -> None:
    model = small_model()
    with pytest.raises(UsageError, match="give a network that fits them"):
        Model(model.network, ["a", "b"], model.preprocessing)
    with pytest.raises(UsageError, match="give a network that fits them"):
        Model(model.network, CLASSES, Preprocessing((7, 7)))
    for classes, words in ((["a", "b", "a"], "two classes are called 'a'"), ("abc", "list of names"),
                           (["a", "b", 3], "list of names"), (["a", "b", ""], "list of names"), ([], "list of names")):
        with pytest.raises(UsageError, match=words):
            Model(model.network, classes, model.preprocessing)
    with pytest.raises(UsageError, match="not of Network and tuple"):
        Model(model.network, CLASSES, (6, 5))  # type: ignore[arg-type]


# ---- predict ----


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 1, 2, 64, 65, 150])
def test_predictions_come_in_order_and_agree_with_probabilities(tmp_path: Path, count: int, threads: int) -> None:
    model, paths = small_model(), write_images(tmp_path, count)
    answers = model.predict(paths)
    assert [answer.path for answer in answers] == paths
    for path, answer in zip(paths, answers, strict=True):
        probabilities = model.probabilities(model.preprocessing.prepare(path)[None])[0]
        assert answer.top == sorted(zip(CLASSES, probabilities, strict=True), key=lambda pair: -pair[1])
        assert (answer.label, answer.probability) == answer.top[0]
        assert answer.error is None


def test_top_and_equal_probabilities(tmp_path: Path) -> None:
    model, paths = small_model(), write_images(tmp_path, 2)
    assert [len(answer.top) for answer in model.predict(paths, top=2)] == [2, 2]
    for array in model.network.parameters().values():
        array[...] = 0
    assert [label for label, _ in model.predict(paths)[0].top] == CLASSES  # class order decides


def test_images_that_cannot_be_read_stand_among_the_others(tmp_path: Path) -> None:
    paths = write_images(tmp_path, 70)
    for number, content in ((0, b""), (33, b"no image"), (69, Path(paths[1]).read_bytes()[:60])):
        Path(paths[number]).write_bytes(content)
    Path(paths[5]).unlink()
    answers = small_model().predict(paths)
    assert [a.path for a in answers] == paths
    failed = {number for number, answer in enumerate(answers) if answer.error}
    assert failed == {0, 5, 33, 69}
    for number in failed:
        assert answers[number] == Prediction(paths[number], error=answers[number].error)
        assert paths[number] in answers[number].error
    assert small_model().predict([paths[5]])[0].label is None
    assert small_model().predict(paths[5:6] * 3)[2].label is None


def test_an_answer_that_is_no_number_is_an_error(tmp_path: Path) -> None:
    model, paths = small_model(), write_images(tmp_path, 1)
    model.network.parameters()["linear1.weight"][...] = np.inf
    with np.errstate(invalid="ignore"):
        answer = model.predict(paths)[0]
    assert answer.label is None
    assert "not a number" in answer.error


def test_paths_may_be_a_generator_and_are_read_no_further_than_needed(tmp_path: Path) -> None:
    model, paths, taken = small_model(), write_images(tmp_path, 1), []

    def endless():
        while True:
            taken.append(1)
            yield Path(paths[0])

    answers = model.predictions(endless(), top=1)
    assert next(answers).path == paths[0]
    answers.close()
    assert len(taken) <= 3 * 64
    assert not [t for t in threading.enumerate() if t.name.startswith("cnn-decode")]


@pytest.mark.slow
@pytest.mark.parametrize(("pixels", "sizes"), [(2**24, [64, 6]), (6 * 5 * 3 * 24 - 1, [23, 23, 23, 1]), (90, [1] * 70),
                                               (89, [1] * 70)])
def test_so_many_images_are_prepared_together(pixels: int, sizes: list[int], tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """64, fewer of large ones, and one where it has more pixels than that: one thread takes one at a time here."""
    monkeypatch.setattr(models, "_PIXELS_AT_ONCE", pixels)
    monkeypatch.setattr(models, "_PIECE", 1)
    paths = write_images(tmp_path, 1) * 70
    assert [len(batch) for batch in small_model().prepared(paths)] == sizes
    assert len(small_model().predict(paths)) == 70


@pytest.mark.slow
@pytest.mark.parametrize(("count", "images", "size"), [(1, 70, 8), (1, 9, 4), (2, 70, 8), (2, 9, 2), (5, 70, 6),
                                                       (9, 9, 1)])
def test_a_thread_takes_no_more_than_its_share(count: int, images: int, size: int, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "threads", lambda: count)
    taken, ahead = list[int](), list[int]()
    prefetch_ = prefetch.prefetch

    def watched(prepare: Any, pieces: Any, workers: int, most: int, *more: Any) -> Any:
        ahead.extend((workers, most))
        return prefetch_(lambda piece: (taken.append(len(piece)), prepare(piece))[1], pieces, workers, most, *more)

    monkeypatch.setattr(prefetch, "prefetch", watched)
    assert len(small_model().predict(write_images(tmp_path, 1) * images)) == images
    assert (max(taken), sum(taken)) == (size, images)
    assert min(taken) == (images % size or size)
    assert ahead == [count, max(2 * count, 64 // size)]


def test_no_thread_is_started_for_one_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda self: pytest.fail("a thread was started"))
    assert len(small_model().predict(write_images(tmp_path, 1))) == 1


def test_a_bug_in_decoding_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self, source, *_):
        raise ZeroDivisionError

    monkeypatch.setattr(Preprocessing, "prepare", broken)
    for count in (1, 3):
        with pytest.raises(ZeroDivisionError):
            small_model().predict(["a"] * count)


# ---- what predict takes ----


def test_a_path_is_one_path_and_a_folder_the_images_under_it(tmp_path: Path) -> None:
    model, paths = small_model(), write_images(tmp_path, 3)
    (tmp_path / "deep").mkdir()
    deep = write_images(tmp_path / "deep", 1)
    (tmp_path / "note.txt").write_text("no image")
    every = model.predict([*paths, *deep])
    assert model.predict(paths[0]) == model.predict(Path(paths[0])) == every[:1]
    assert model.predict(str(tmp_path)) == model.predict(tmp_path) == every
    assert model.predict([paths[2], tmp_path / "deep"]) == every[2:]
    assert model.predict(np.array(paths)) == every[:3]
    assert model.predict(iter(paths)) == every[:3]
    assert model.predict("nowhere.png")[0].error is not None


def test_an_array_gets_the_answer_of_a_file_with_its_pixels(tmp_path: Path) -> None:
    paths = write_images(tmp_path, 6)
    for model in (small_model(), small_model(grey=True)):
        answers = [(a.label, a.probability, a.top) for a in model.predict(paths)]
        pixels = [np.asarray(Image.open(path)) for path in paths]
        for images in (pixels, [p / 255 for p in pixels], [p[::-1][::-1] for p in pixels], map(Image.open, paths)):
            found = model.predict(images)
            assert [a.path for a in found] == [f"images[{i}]" for i in range(6)]
            assert [(a.label, a.probability, a.top) for a in found] == answers
        assert [a.path for a in model.predict([pixels[0], paths[1]])] == ["images[0]", paths[1]]


def test_shapes_of_arrays(rng: np.random.Generator) -> None:
    model = small_model(grey=True)
    grey = rng.integers(0, 256, (4, 8, 7), np.uint8)
    colour = np.repeat(grey[..., None], 3, axis=3)
    four = model.predict(grey)
    assert len(four) == 4
    assert model.predict(grey[..., None]) == model.predict(colour) == model.predict(list(grey)) == four
    assert model.predict(np.float32(grey / 255)) == model.predict(np.asfortranarray(grey)) == four
    for one in (grey[0], grey[0, ..., None], colour[0]):
        assert model.predict(one) == four[:1]
    assert model.predict(grey[:0]) == model.predict([]) == []


@pytest.mark.parametrize(("wrong", "words"), [
    (3, "not int"), (None, "not NoneType"), ({"a": 1}, "not dict"),
    (np.zeros((2, 3, 8, 8), np.uint8), "moveaxis"), (np.zeros((2, 8, 8, 4), np.uint8), "the shape is"),
    (np.zeros((8, 8), int), "give uint8"), (np.zeros((8, 8), np.uint16), "give uint8"), (np.zeros(8), "the shape is"),
    (np.full((8, 8), 200.0), "floats go from 200 to 200"), (np.full((8, 8, 3), np.nan), "floats go from nan"),
    (np.zeros((1, 8, 8, 3)) - 0.1, r"images\[0\]: the floats go from -0.1"), (np.zeros((0, 8)), "no pixels"),
    (np.zeros((8, 8), complex), "complex")])
def test_what_is_no_image_is_refused_in_a_sentence(wrong: Any, words: str) -> None:
    with pytest.raises(CnnError, match=words):
        small_model().predict(wrong)


@pytest.mark.parametrize("top", [0, -1, 1.5, True, "2"])
def test_top_is_one_or_more(top: Any) -> None:
    with pytest.raises(UsageError, match="of at least 1"):
        small_model().predict([], top)


# ---- saving ----


def test_a_saved_model_comes_back_with_the_same_bits(tmp_path: Path) -> None:
    model, path = small_model(seed=3), tmp_path / "my.safetensors"
    model.save(path)
    assert same(cnncli.load(path), model)
    save_model(tmp_path / "other.safetensors", model)
    assert path.read_bytes() == (tmp_path / "other.safetensors").read_bytes()
    small_model(seed=4).save(str(path))
    assert same(cnncli.load(path), small_model(seed=4))


def test_nothing_but_a_model_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, notes = small_model(), tmp_path / "notes.safetensors"
    notes.write_text("my notes")
    (tmp_path / "folder.safetensors").mkdir()
    safetensors.numpy.save_file({"a": np.zeros(3)}, tmp_path / "theirs.safetensors")
    for name, words in (("notes.safetensors", "not a model file"), ("folder.safetensors", "is a folder"),
                        ("theirs.safetensors", "not a model file"), ("model.txt", "ends in .safetensors"),
                        ("", "ends in .safetensors"), ("none/model.safetensors", "no folder")):
        with pytest.raises(UsageError, match=words):
            model.save(tmp_path / name)
    assert notes.read_text() == "my notes"
    model.save(tmp_path / "model.safetensors")
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(SaveError, match="no space left"):
        small_model(seed=1).save(tmp_path / "model.safetensors")
    assert same(cnncli.load(tmp_path / "model.safetensors"), model)
    assert len(list(tmp_path.iterdir())) == 4


# ---- from Python ----


def test_the_python_api(tmp_path: Path, rng: np.random.Generator) -> None:
    save_model(tmp_path / "model.safetensors", small_model())
    model = cnncli.load(tmp_path)
    assert isinstance(model, cnncli.Model)
    assert isinstance(model.predict(write_images(tmp_path, 1))[0], cnncli.Prediction)

    network = cnncli.architecture("lenet5", input_shape=(28, 28, 1), classes=10)
    assert isinstance(network, cnncli.Network)
    trainer = cnncli.Trainer(network, cnncli.optim.SGD(lr=0.01, momentum=0.9, weight_decay=1e-4),
                             threads=kernels.threads())
    images, labels = rng.standard_normal((8, 28, 28, 1)).astype(np.float32), np.arange(8) % 10
    assert trainer.step(images, labels) > 0
    assert network.forward(images, training=False).shape == (8, 10)
    assert isinstance(cnncli.layers.ReLU().forward(images), np.ndarray)
    assert Network is cnncli.Network


def test_every_name_of_the_api_is_there() -> None:
    for name in cnncli.__all__:
        assert getattr(cnncli, name) is not None
        assert name in dir(cnncli)
    assert callable(cnncli.train)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cnncli.nothing


def test_importing_the_package_imports_nothing_else() -> None:
    code = ("import sys; before = set(sys.modules); import cnncli;"
            "print(sorted(m.split('.')[0] for m in set(sys.modules) - before if not m.startswith('cnncli')"
            " and m.split('.')[0] not in sys.stdlib_module_names))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
