"""model/predict.py: answers in the order of the images whatever they are, withheld below the probability asked for,
and a word where nothing stands behind that."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data.finding import Missing
from cnncli.data.marks import of_images, union
from cnncli.errors import CnnError, DataError, ImageError, UsageError
from cnncli.explain.explanation import explanations
from cnncli.model import preparing
from cnncli.model.calibration import Calibration
from cnncli.model.features import features
from cnncli.model.predict import UNKNOWN, predict
from cnncli.report.predictions import as_item

from ..small_model import CLASSES, small_model


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (6, 5, 3), np.uint8)).save(tmp_path / f"{number:02}.png")
    return tmp_path


def test_one_name_or_many_and_what_is_no_image_in_its_place(folder: Path) -> None:
    model = small_model()
    paths = sorted(map(str, folder.iterdir()))
    assert [answer.path for answer in predict(model, folder)] == paths
    assert list(predict(model, str(folder / "0?.png"))) == model.predict(paths[:10])
    (folder / "bad.png").write_bytes(b"bad")
    answers = list(predict(model, [paths[1], Missing("nowhere", "is not there."), folder / "bad.png", paths[0]], top=2))
    assert [answer.path for answer in answers] == [paths[1], "nowhere", str(folder / "bad.png"), paths[0]]
    assert [answer.error is None for answer in answers] == [True, False, False, True]
    assert answers[1].error == "is not there."
    assert [len(answer.top) for answer in answers] == [2, 0, 0, 2]
    assert answers[0].label in CLASSES


def test_arrays(folder: Path) -> None:
    model, paths = small_model(), sorted(map(str, folder.iterdir()))
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
    tops = [answer.top for answer in predict(model, paths)]
    for images in (pixels, list(pixels), [paths[0], *pixels[1:]]):
        assert [answer.top for answer in predict(model, images)] == tops


def test_what_is_not_sure_enough_is_unknown(folder: Path) -> None:
    model = small_model()
    threshold = sorted(answer.probability or 0 for answer in predict(model, folder))[6]
    model.calibration = Calibration(1.0, 50, (1.0, 0.9), (0.2, 0.1), ((0.8, threshold, 0.5),), 0.95)
    told: list[str] = []
    answers = list(predict(model, folder, reject=0.8, note=told.append))
    assert [a.rejected for a in answers] == [(a.probability or 0) < threshold for a in answers]
    assert sum(a.rejected for a in answers) == 6
    assert {a.label for a in answers if a.rejected} == {UNKNOWN}
    assert UNKNOWN not in {a.label for a in answers if not a.rejected}
    assert told == ["The model has no measure of images that belong to no class, so the probability alone decides."]


def test_who_cannot_promise_it_says_so_before_the_first_answer(folder: Path) -> None:
    told: list[str] = []
    answers = predict(small_model(), folder, reject=0.9, note=told.append)
    assert len(told) == 1
    assert "without validation images" in told[0]
    assert all(a.rejected == ((a.probability or 0) < 0.9) for a in answers)


def test_mirror_images_where_they_are_asked_for(folder: Path) -> None:
    model, told = small_model(), list[str]()
    both = list(predict(model, folder, tta=True, note=told.append))
    assert "trained without mirror images" in told[0]
    assert both != list(predict(model, folder))
    model.flips = True
    assert both == list(predict(model, folder, note=pytest.fail)), "as the model has it"


def test_another_scale_is_told_after_the_last_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnncli.model.predict.doubts", lambda seen, scales: ["another scale"])
    told: list[str] = []
    answers = predict(small_model(), folder, note=told.append)
    assert [next(answers).path for _ in range(12)]
    assert told == []
    assert next(answers, None) is None
    assert told == ["another scale"]
    assert len(list(predict(small_model(), folder))) == 12, "nobody is told"


def test_images_that_the_model_was_trained_on_are_told(folder: Path) -> None:
    model, paths, told = small_model(), sorted(map(str, folder.iterdir())), list[str]()
    assert {answer.trained_on for answer in predict(model, folder, note=told.append)} == {None}
    model.seen = np.zeros(0, np.uint64)
    assert {answer.trained_on for answer in predict(model, folder, note=told.append)} == {False}
    assert told == []
    images = [pixels for batch in model.prepared(paths[3:7]) for _, pixels in batch]
    model.seen = union(of_images(np.stack(images)), np.array([1, 2**64 - 1], np.uint64))
    (folder / "bad.png").write_bytes(b"bad")
    answers = list(predict(model, folder, note=told.append))
    assert [answer.trained_on for answer in answers] == [3 <= i < 7 for i in range(12)] + [None]
    assert told == ["4 of the 12 images that can be used are among those that the model was trained on. What the model "
                    "says of them tells little about new images."]
    for few, words in ((paths[3:5], "All 2 images are among"), (paths[3:4], "The image is among"),
                       (paths[2:4], "1 of the 2 images is among")):
        assert [*predict(model, few, note=told.append), *told[-1:]][-1].startswith(words)
        told.clear()
        assert features(model, few, note=told.append).paths == few
        assert [*explanations(model, few, note=told.append), *told[1:]][-1].startswith(words)
        assert told == told[:1] * 2, "the same sentence from all"


@pytest.mark.parametrize("reject", [0, 1, 95, -0.5, float("nan")])
def test_shares_that_are_none(folder: Path, reject: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        predict(small_model(), folder, reject=reject)


def test_the_channels_of_an_image_are_not_three_grey_images(rng: np.random.Generator) -> None:
    """Of a colour network; a grey one takes three grey images, and one image is one either way."""
    planes = rng.integers(0, 256, (3, 9, 8), np.uint8)
    for ask in (small_model().predict, lambda images: features(small_model(), images),
                lambda images: list(explanations(small_model(), images, "occlusion"))):
        with pytest.raises(DataError, match=r"\(3, 9, 8\) looks like one image with the channels first; .*moveaxis"):
            ask(planes)
    assert len(small_model(grey=True).predict(planes)) == 3
    assert len(small_model().predict(planes[..., None])) == 3
    assert len(small_model().predict(planes[:1])) == 1
    assert len(small_model().predict(np.moveaxis(planes, 0, -1))) == 1


def test_an_empty_name_is_refused_in_a_sentence(folder: Path) -> None:
    with pytest.raises(CnnError, match=r"^the path of the images is empty; name a file or a folder\.$"):
        small_model().predict("")
    empty, nothing, good = small_model().predict(["", None, folder / "00.png"])  # type: ignore[list-item]
    assert empty.error == "images[0] cannot be used: it is empty; name a file or a folder."
    assert str(nothing.error).startswith("images[1] cannot be used: None is no image; give an array, the bytes of a ")
    assert good.label


def test_answers_come_as_the_images_come_with_the_same_bits(folder: Path) -> None:
    model, paths = small_model(), sorted(map(str, folder.iterdir()))
    taken: list[str] = []

    def slow() -> Iterator[str]:
        for path in itertools.cycle(paths):
            taken.append(path)
            time.sleep(0.06)
            yield path

    expected = list(predict(model, paths))
    for each, answer in enumerate(itertools.islice(predict(model, slow()), 3)):
        assert (len(taken), answer) == (each + 1, expected[each])
    assert list(predict(model, iter(paths))) == expected


def test_why_there_is_no_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("bad.png").write_bytes(Path("00.png").read_bytes()[:40])
    Path("empty.png").touch()
    Path("text.png").write_text("some text")
    Path("nothing").mkdir()
    found = small_model().predict(["gone.png", "bad.png", "empty.png", "text.png", "nothing", None, np.ones((3, 3, 7)),
                                   "00.png"])  # type: ignore[list-item]
    assert [answer.cause for answer in found] == ["missing", "damaged", "empty", "kind", "empty", "kind", "kind", None]
    assert {type(answer.exception) for answer in [*found[:4], *found[5:7]]} == {ImageError}
    assert (type(found[4].exception), found[7].exception) == (DataError, None)
    assert all(str(answer.exception) == answer.error for answer in found[:-1])
    assert [as_item(answer).get("cause") for answer in found] == [answer.cause for answer in found]
    for whole in ("nothing", np.ones((2, 3, 3, 7))):
        for ask in (small_model().predict, lambda images: predict(small_model(), images)):
            with pytest.raises(DataError):
                ask(whole)


def test_an_image_that_is_named_twice_has_its_note_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is decoded ahead of its first answer."""
    path = str(folder / "twice.jpg")
    Image.new("RGB", (9, 7), "red").save(path)
    with open(path, "ab") as file:
        file.write(b"\0")
    monkeypatch.setattr(preparing, "_IMAGES_AT_ONCE", 2)
    notes = [answer.note for answer in predict(small_model(), [path] * 9)]
    assert notes == ["1 byte behind its end was passed over"] * 9


def test_a_part_of_the_images(folder: Path) -> None:
    model = small_model()
    whole = list(predict(model, folder))
    pictures = [np.full((6, 5, 3), shade, np.uint8) for shade in range(5)]
    for of in (1, 2, 3, len(whole) + 2):
        found = [list(predict(model, folder, shard=(part, of))) for part in range(1, of + 1)]
        assert [found[i % of][i // of] for i in range(len(whole))] == whole
        assert sum(map(len, found)) == len(whole)
        assert list(predict(model, iter(pictures), shard=(1, of))) == model.predict(pictures)[::of]
        assert list(predict(model, np.stack(pictures), shard=(of, of))) == model.predict(pictures)[of - 1 :: of]
    with pytest.raises(UsageError, match="shard: there is no part 3 of 2; parts are counted from 1 to 2"):
        predict(model, folder, shard=(3, 2))
