"""data/check/rules.py and usual.py: where each judgement begins, from facts that are made up."""

from dataclasses import replace
from typing import Any

import pytest

from cnncli.data.check import rules, usual
from cnncli.data.check.facts import Facts
from cnncli.data.check.findings import File, Finding
from cnncli.data.check.rules import Looked, of_classes, of_images
from cnncli.data.check.usual import Limits
from cnncli.data.decode import Header
from cnncli.data.splits import Found, Survey
from cnncli.errors import ImageError

HEADER = Header("PNG", "RGB", 100, 100, 1, 1, False, False)
FACTS = Facts(HEADER, b"", True, 200, 200, 0.3)
USUAL = Limits(6, 40, 0.55, (0, 10))


def facts(**changes: Any) -> Facts:
    header = {name: changes.pop(name) for name in [*changes] if name in Header.__slots__}
    return replace(FACTS, header=replace(HEADER, **header), **changes)


def file(name: str = "a/1.png", label: str | None = "a") -> File:
    return File(f"/d/{name}", name, "train", label)


def judged(*several: Facts, name: str = "a/1.png") -> list[Finding]:
    return [*of_images([Looked(file(name), each) for each in several])]


@pytest.mark.parametrize(("changes", "kind", "text", "value"), [
    ({"span": 7}, "", "", None), ({"span": 6}, "blank", "one flat colour.", 6.0), ({"bright": 40}, "", "", None),
    ({"bright": 39}, "dark", "99 % of its pixels are no brighter than 39 of 255.", 39.0),
    ({"span": 6, "bright": 39}, "blank", "one flat colour.", 6.0), ({"blur": 0.55}, "", "", None),
    ({"blur": 0.55678}, "blurred", "blur 0.56, from 0 for sharp to 1; up to 0.55 is usual.", 0.5568),
    ({"blur": None}, "", "", None)])
def test_looks(changes: dict[str, Any], kind: str, text: str, value: float | None) -> None:
    found = [*rules._of_look(file(), replace(FACTS, **changes), USUAL)]
    assert [(one.kind, one.text, one.value) for one in found] == ([(kind, text, value)] if kind else [])
    assert all(one.exclude == (one.files if kind == "blank" else ()) for one in found)


@pytest.mark.parametrize(("flat", "mostly"), [((0, 0), False), ((1, 3), False), ((2, 5), True), ((1000, 1200), True)])
def test_blank_images_among_many_that_are(flat: tuple[int, int], mostly: bool) -> None:
    limits = Limits(6, 40, 0.55, flat)
    assert limits.mostly_flat == mostly
    [found] = rules._of_look(file(), replace(FACTS, span=0), limits)
    assert found.text == (f"one flat colour, as {flat[0]:,} of these {flat[1]:,} images: on no list to exclude."
                          if mostly else "one flat colour.")
    assert found.exclude == (() if mostly else (file(),))


@pytest.mark.parametrize(("name", "changes", "kind", "text", "value"), [
    ("a.png", {"width": 300}, "", "", None),
    ("a.png", {"width": 301}, "extreme-shape", "301 x 100 pixels.", 3.01),
    ("a.png", {"height": 300}, "", "", None),
    ("a.png", {"height": 301}, "extreme-shape", "100 x 301 pixels.", 0.3322),
    *((f"a.{suffix}", {"format": form}, "", "", None) for suffix, form in (
        ("PNG", "PNG"), ("jpg", "JPEG"), ("jpeg", "JPEG"), ("jpe", "JPEG"), ("jfif", "JPEG"), ("bmp", "BMP"),
        ("dib", "BMP"), ("gif", "GIF"), ("tif", "TIFF"), ("tiff", "TIFF"), ("webp", "WEBP"))),
    ("a.png", {"format": "JPEG"}, "wrong-extension", "its content is JPEG.", None),
    ("a", {}, "wrong-extension", "its content is PNG.", None),
    ("a.gif", {"format": "GIF", "frames": 2}, "animated", "a GIF of 2 frames; the first is taken.", None),
    ("a.tif", {"format": "TIFF", "frames": 0}, "animated", "a TIFF of several pages; the first is taken.", None),
    ("a.png", {"orientation": 6}, "rotated", "EXIF orientation 6.", 6.0),
    ("a.png", {"wide": True, "mode": "I;16"}, "wide", "I;16, more than 8 bits a value.", None),
    ("a.png", {"mode": "CMYK"}, "cmyk", "mode CMYK.", None),
    ("a.png", {"forgiven": ("its end is missing", "and more")}, "forgiven", "its end is missing; and more.", None),
    ("a.png", {"transparent": True, "mode": "LA"}, "transparent", "mode LA with transparency.", None)])
def test_files(name: str, changes: dict[str, Any], kind: str, text: str, value: float | None) -> None:
    found = [(one.kind, one.text, one.value, one.exclude) for one in rules._of_file(file(name), facts(**changes), 1.0)]
    assert found == ([(kind, text, value, ())] if kind else [])


def test_shapes_are_judged_beside_the_middle_one() -> None:
    """Of images three times as wide as high one of a third of that is no odder than one of three times."""
    assert not [*rules._of_file(file(), facts(width=900), 3.0)]
    assert not [*rules._of_file(file(), facts(width=100), 3.0)]
    assert [one.kind for one in rules._of_file(file(), facts(width=99), 3.0)] == ["extreme-shape"]
    kinds = {one.kind for one in judged(facts(width=400), facts(width=400), facts())}
    assert kinds == {"mixed-sizes", "extreme-shape"}


@pytest.mark.parametrize(("reason", "kind"), [
    ("it is empty", "empty-file"), ("its content is a video, which is not read", "not-an-image"),
    ("it is damaged or cut short", "damaged"), ("it has no pixels", "refused")])
def test_what_cannot_be_used(reason: str, kind: str) -> None:
    [found] = of_images([Looked(file(), ImageError("/d/a/1.png", reason))])
    assert found == Finding(kind, (file(),), f"{reason}.", exclude=(file(),))


def test_sizes_and_colours_of_all() -> None:
    assert judged(FACTS, FACTS) == []
    sizes = [facts(width=100, height=h) for h in (100, 120, 110, 101, 100)]
    [found] = judged(*sizes)
    assert (found.kind, found.text) == ("mixed-sizes", "4 sizes, from 100 x 100 to 100 x 120 pixels; the middle one is "
                                                       "100 x 101.")
    grey = replace(FACTS, colour=False)
    [found] = judged(grey, FACTS, FACTS)
    assert (found.text, found.value, found.files) == ("1 of 3 images are grey, the others have colour.", 0.3333,
                                                      (file(),))
    assert len(judged(grey, grey, FACTS)[0].files) == 1
    assert len(judged(grey, grey, FACTS, FACTS)[0].files) == 2
    assert judged(grey, grey) == []


@pytest.mark.parametrize(("greys", "others", "telling"), [(4, 0, [1.0, -1.0]), (3, 1, []), (4, 1, [0.75, -0.75]),
                                                          (2, 0, []), (3, 0, [0.75, -0.75])])
def test_colours_that_give_a_class_away(greys: int, others: int, telling: list[float]) -> None:
    """Of four images of either class so many are grey; a half is no more than usual."""
    good = [(file(label=label), replace(FACTS, colour=i >= count)) for label, count in (("a", greys), ("b", others))
            for i in range(4)]
    found = [*rules._telling(good, greys + others)]
    assert [one.value for one in found] == telling
    if greys == 3 and not others:
        assert [one.text for one in found] == ["75% of a are grey, of the other classes 0%.",
                                               "0% of b are grey, of the other classes 75%."]
    assert not [*rules._telling(good[:4], greys)]  # a class alone


def looked(**counts: tuple[int, int]) -> tuple[Survey, dict[str, dict[str, int]]]:
    """A folder of classes with so many images in train and in test."""
    found = {split: Found({name: [("", "")] * both[place] for name, both in counts.items() if both[place]})
             for place, split in enumerate(("train", "test"))}
    survey = Survey("/d", {"train": "/d/train", "test": "/d/test"}, found)
    return survey, {name: {"train": both[0], "val": 0, "test": both[1]} for name, both in counts.items()}


@pytest.mark.parametrize(("counts", "expected"), [
    ({"ant": (10, 1), "bee": (99, 1)}, []),
    ({"ant": (10, 1), "bee": (100, 1)}, [("imbalance", "10 training images of ant, 100 of bee.", 10.0)]),
    ({"ant": (9, 1), "bee": (10, 1)}, [("small-class", "9 training images.", 9.0)]),
    ({"ant": (10, 0), "bee": (10, 1)}, [("missing-class", "test/ has no images of it.", None)]),
    ({"ant": (10, 1), "bee": (10, 1), "cat": (0, 1200)},
     [("unknown-class", "train/ has no images of it, test/ has 1,200.", None)]),
    ({"ant": (10, 1)}, [("few-classes", "1 class with training images.", 1.0)]),
    ({"ant": (0, 1)}, [("few-classes", "0 classes with training images.", 0.0),
                       ("unknown-class", "train/ has no images of it, test/ has 1.", None)]),
    ({"ant": (10, 0), "bee": (10, 0)}, [("empty-split", "no class folder with images.", None)]),
    ({"ant": (3000, 1), "bee": (10, 1)}, [("imbalance", "10 training images of bee, 3,000 of ant.", 300.0)])])
def test_numbers_of_images(counts: dict[str, tuple[int, int]], expected: list[tuple[str, str, float | None]]) -> None:
    found = [*of_classes(*looked(**counts))]
    assert [(one.kind, one.text, one.value) for one in found] == expected


def test_which_folders_are_meant() -> None:
    found = {one.kind: one.files for one in of_classes(*looked(ant=(100, 0), bee=(9, 1), cat=(0, 1)))}
    assert found["small-class"] == (File("/d/train/bee", "train/bee", "train", "bee"),)
    assert found["missing-class"] == (File("/d/train/ant", "train/ant", "train", "ant"),)
    assert found["unknown-class"] == (File("/d/test/cat", "test/cat", "test", "cat"),)
    assert found["imbalance"] == (found["small-class"][0], found["missing-class"][0])
    [(empty,)] = [one.files for one in of_classes(*looked(ant=(10, 0), bee=(10, 0)))]
    assert empty == File("/d/test", "test", "test")


# ---- what is usual ----


def limits(*several: Facts) -> Limits:
    return usual._limits(several)


def test_limits_of_an_ordinary_folder() -> None:
    assert limits() == Limits(6, 40, 0.55, (0, 0))
    assert limits(*[FACTS] * 3) == Limits(6, 40, 0.55, (0, 3))
    assert limits(*[replace(FACTS, span=24, bright=80)] * 3) == Limits(6, 40, 0.55, (0, 3))
    assert limits(*[replace(FACTS, span=20, bright=60)] * 3) == Limits(5, 30, 0.55, (0, 3))
    flat = [replace(FACTS, span=span) for span in (0, 6, 7, 200, 200)]
    assert limits(*flat).flat == (1, 5)  # 7 / 4 levels are blank among these
    assert limits(*flat, *[FACTS] * 9).flat == (2, 14)


def test_blur_that_many_have_is_usual() -> None:
    def blurred(*values: float | None) -> float:
        return limits(*(replace(FACTS, blur=value) for value in values)).blurred

    assert blurred(0.9, *[0.3] * 9) == 0.55  # one may be
    assert blurred(0.9, 0.9, *[0.3] * 38) == 0.55  # or a twentieth
    assert blurred(None, 0.55, 0.55, 0.55) == 0.55
    assert blurred(0.6, 0.6, 0.7, 0.7) == pytest.approx(0.7 + 1.5 * 0.1)
    assert blurred(*[0.6, 0.6, 0.7, 0.7], None) == pytest.approx(0.85)
    assert blurred(0.9, 0.9, *[0.1] * 18) == 0.55  # what others are is far below


def test_a_class_has_limits_of_its_own_from_ten_images_on() -> None:
    soft = replace(FACTS, span=12, bright=50, blur=0.7)
    good = [(file(label="a"), FACTS)] * 30 + [(file(label="b"), soft)] * 10 + [(file(label="c"), soft)] * 9
    found = usual.limits(good)
    assert found["a"] == Limits(6, 40, 0.55, (0, 30)) or found["a"].blurred > 0.55
    assert (found["b"].blank, found["b"].dark, found["b"].flat) == (3, 25, (0, 10))
    assert found["b"].blurred >= 0.7
    assert (found["c"].blank, found["c"].dark, found["c"].flat) == (6, 40, (0, 49))
