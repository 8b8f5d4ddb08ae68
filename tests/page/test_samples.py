"""Which pictures go with a page, what they are called, and which are looked at."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data.finding import Picture
from cnncli.errors import DataError, UsageError
from cnncli.model import Model
from cnncli.page import samples
from cnncli.page.samples import _Judged, pictures
from cnncli.runs.opened import open_model

from ..small_model import CLASSES, small_model


def one(label: int | None, answer: int, probability: float) -> _Judged:
    return _Judged("", np.zeros((1, 1, 1), np.uint8), label, answer, probability)


def test_which_pictures_are_chosen() -> None:
    """The surest of each class that are right, then the surest wrong ones, then those that it is least sure of."""
    right = [one(c, c, 0.9 - c / 100 - i / 1000) for c in range(5) for i in range(3)]
    wrong = [one(0, 1, 0.8), one(1, 0, 0.3), one(2, 1, 0.7), one(3, 1, 0.6), one(4, 1, 0.5)]
    chosen = samples._chosen([*reversed(right), *wrong])
    assert chosen[:4] == [right[0], right[3], right[6], right[9]]
    assert chosen[4:8] == [wrong[0], wrong[2], wrong[3], wrong[4]]
    assert chosen[8:] == [wrong[1], right[14], right[13], right[12]]


def test_of_few_all_are_chosen_and_none_twice() -> None:
    some = [one(0, 0, 0.9), one(0, 0, 0.8), one(1, 0, 0.7)]
    assert samples._chosen(some) == [some[0], some[2], some[1]]
    assert samples._chosen([]) == []


def test_where_few_are_wrong_more_classes_are_shown() -> None:
    right = [one(c, c, 0.9 - c / 100) for c in range(20)]
    chosen = samples._chosen([*right, one(0, 1, 0.95)])
    assert chosen[:7] == right[:7]  # four, and for the three that are missing of the wrong ones
    assert [each.label != each.answer for each in chosen] == [False] * 7 + [True] + [False] * 4
    assert chosen[8:] == right[:-5:-1]


def test_without_labels_every_answer_counts_as_right() -> None:
    some = [one(None, c % 2, 0.9 - c / 100) for c in range(14)]
    chosen = samples._chosen(some)
    assert chosen[:2] == some[:2]
    assert chosen[2:] == some[:3:-1]


@pytest.mark.parametrize(("label", "words", "taken_for"), [(None, "a b.png", ""), (1, "zwei\\nZeilen", "ankle boot"),
                                                           (0, "ankle boot", "")])
def test_what_a_picture_is_called(label: int | None, words: str, taken_for: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60, 3)).astype(np.uint8)
    sample = samples._sample(_Judged("/photos/boots/a b.png", pixels, label, 0, 0.9), small_model().classes)
    assert (sample.name, sample.words, sample.taken_for) == ("a b.png", words, taken_for)
    assert sample.labelled == (label is not None)
    assert sample.uri.startswith("data:image/png;base64,")  # the very bytes, whatever its size


def test_pictures_are_judged_as_the_model_does_over_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    images = [np.random.default_rng(i).integers(0, 256, (6, 5, 3)).astype(np.uint8) for i in range(7)]
    items = [Picture(str(i), image) for i, image in enumerate(images)]
    monkeypatch.setattr(Model, "prepared", lambda self, items: iter(
        [[(each.path, each.pixels) for each in items[:3]],
         [("3", "3 cannot be read."), *((each.path, each.pixels) for each in items[4:])]]))
    skipped: list[tuple[str, str]] = []
    judged = samples._judged(model, items, [0, 1, 2, 0, 1, 2, 0], skipped)
    assert skipped == [("3", "3 cannot be read.")]
    assert [(each.path, each.label) for each in judged] == [("0", 0), ("1", 1), ("2", 2), ("4", 1), ("5", 2), ("6", 0)]
    chances = model.probabilities(np.stack([image for i, image in enumerate(images) if i != 3]))
    assert [each.answer for each in judged] == chances.argmax(axis=1).tolist()
    np.testing.assert_allclose([each.probability for each in judged], chances.max(axis=1))
    assert [each.label for each in samples._judged(model, items, None, [])] == [None] * 6


def test_a_batch_of_which_nothing_can_be_read_takes_no_labels_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.zeros((6, 5, 3), np.uint8)
    monkeypatch.setattr(Model, "prepared", lambda self, items: iter([[("a", "no")], [("b", image)]]))
    [judged] = samples._judged(small_model(), ["a", "b"], [2, 1], [])
    assert (judged.path, judged.label) == ("b", 1)


def test_some_of_many_are_looked_at_spread_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (samples.LOOKED_AT, samples.MOST) == (200, 12)  # as docs/page.md says
    monkeypatch.setattr(samples, "LOOKED_AT", 4)
    images = np.random.default_rng(0).integers(0, 256, (10, 6, 5, 3)).astype(np.uint8)
    named = images, [CLASSES[i % 3] for i in range(10)]
    found = pictures(open_model(small_model()), named, print)
    assert [each.pixels.tolist() for each in found.items] == [images[i].tolist() for i in (0, 9, 7, 8)]
    assert found.labels == (0, 0, 1, 2)  # the images of a class stand together
    assert len(found.shown) == 4
    assert found.drawing is None
    monkeypatch.setattr(samples, "LOOKED_AT", 40)
    assert len(pictures(open_model(small_model()), named, print).items) == 10


def test_a_model_in_no_run_has_no_pictures_of_its_own(tmp_path: Path) -> None:
    small_model().save(tmp_path / "m.safetensors")
    opened = open_model(tmp_path / "m.safetensors")
    for data in (None, ()):
        found = pictures(opened, data, print)
        assert (found.shown, found.items, found.labels, found.skipped) == ((), (), None, ())


def test_a_run_whose_images_are_gone_gets_a_page_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*given: object, **remedy: str) -> None:
        raise UsageError("they are no longer there; name their folder: " + remedy["remedy"])

    monkeypatch.setattr(samples, "labelled", gone)
    opened, said = open_model(small_model()), list[str]()
    opened = replace(opened, run=object())  # type: ignore[arg-type]
    assert pictures(opened, None, said.append).items == ()
    assert said == ["The page gets no pictures: they are no longer there; name their folder: cnn page DATA"]
    with pytest.raises(UsageError, match="no longer there"):
        pictures(opened, "photos", said.append)


def test_drawings_are_as_the_pictures_are() -> None:
    image = np.zeros((6, 6), np.uint8)
    image[2:4, 1:4] = 200
    opened = open_model(small_model((6, 6), grey=True))
    found = pictures(opened, [image], print)
    assert found.labels is None
    assert found.drawing == {"ground": 0, "ink": 200, "extent": 0.5, "centre": [0.5, pytest.approx(2.5 / 6)]}


def test_where_nothing_can_be_read_the_first_reason_is_said(tmp_path: Path) -> None:
    (tmp_path / "letter.png").write_text("Dear all", encoding="utf-8")
    with pytest.raises(DataError, match=r"letter\.png"):
        pictures(open_model(small_model()), [str(tmp_path / "letter.png")], print)
    Image.fromarray(np.zeros((6, 5, 3), np.uint8)).save(tmp_path / "a.png")
    found = pictures(open_model(small_model()), [str(tmp_path / "letter.png"), str(tmp_path / "a.png")], print)
    assert [Path(path).name for path, _ in found.skipped] == ["letter.png"]
    assert [sample.name for sample in found.shown] == ["a.png"]
