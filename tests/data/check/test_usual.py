"""data/check/usual.py: what is odd beside the other images, and what is usual among its like."""

from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from cnncli.data.check import check, facts, usual

from .pictures import classes, scene, write
from .test_check import found, kinds


@pytest.mark.slow
def test_soft_pictures_are_not_blurred_among_their_like(tmp_path: Path) -> None:
    """As cells under a microscope: all are soft, and one is blurred beside them."""
    soft = {name: scene(seed, 200, 180).filter(ImageFilter.GaussianBlur(1.2))
            for name, seed in classes(20).items()}
    folder = write(tmp_path, soft)
    measured = [facts._blur(image.convert("L")) for image in soft.values()]
    assert sum(value > usual.BLURRED for value in measured) > 10, "by a number, they are"
    assert "blurred" not in kinds(check(folder))
    scene(61, 200, 180).filter(ImageFilter.GaussianBlur(4)).save(folder / "ant" / "blurred.png")
    assert found(check(folder), "blurred") == [{"ant/blurred.png"}]


@pytest.mark.slow
def test_a_class_may_be_soft_dark_or_flat_by_nature(tmp_path: Path) -> None:
    sharp = classes(24, ("ant", "bee"))
    night = {f"night/{i:02}.png": scene(i).point(lambda v: v // 8) for i in range(12)}
    fog = {f"fog/{i:02}.png": scene(i, 200, 180).filter(ImageFilter.GaussianBlur(3)) for i in range(100, 112)}
    empty = {f"empty/{i:02}.png": Image.new("L", (60, 60), 10 * i) for i in range(12)}
    report = check(write(tmp_path, sharp | night | fog | empty))
    assert {"dark", "blurred"}.isdisjoint(kinds(report))
    assert len(found(report, "blank")) == 12
    assert report.as_json()["exclude"] == [], "good images, said to be on no list"
    assert all("on no list to exclude" in f.text for f in report.findings if f.kind == "blank")


@pytest.mark.slow
def test_pictures_of_few_levels_are_not_blank_among_their_like(tmp_path: Path) -> None:
    folder = write(tmp_path, {name: scene(seed).convert("L").point(lambda v: 100 + v // 60)
                              for name, seed in classes(12).items()})
    assert "blank" not in kinds(check(folder))
    Image.new("L", (60, 60), 100).save(folder / "ant" / "blank.png")
    report = check(folder)
    assert found(report, "blank") == [{"ant/blank.png"}]
    assert report.as_json()["exclude"] == ["ant/blank.png"]
