"""data/check/names_of_groups.py: names that say slide, patient or day are found; plain numbers, series and names of
what was done to an image are not."""

import re

import pytest

from cnncli.data.check.findings import File
from cnncli.data.check.names_of_groups import of_files


def files(name: str, groups: int = 4, each: int = 4, classes: tuple[str, ...] = ("ant", "bee1")) -> list[File]:
    """Return files of each class, called by a format with the number of the group, the place in it and the class."""
    made = []
    for number, label in enumerate(classes):
        for g in range(1, groups + 1):
            for i in range(each):
                path = f"{label}/" + name.format(g=g, i=i, n=100 * g + i, c=number, label=label)
                made.append(File(f"/d/{path}", path, "test" if i == 0 else "train", label))
    return made


@pytest.mark.parametrize(("name", "pattern"), [
    ("s{g:02}_{n:04}.tif", r"(s\d+)_"),
    ("cells-p{g}-{i}.png", r"(p\d+)-"),
    ("patient{g}/{i}.png", r"/(patient\d+)"),
    ("slide_{g}_{i}.png", r"(slide_\d+)_"),
    ("e{g} {i}.png", r"/(e\d+)"),
    ("2021-03-0{g}/{i}.png", r"(\d{4}-\d\d-\d\d)"),
    ("IMG_2021030{g}_{i}.jpg", r"(\d{8})"),
    ("{i}.s{g}.png", r"(s\d+)"),
])
def test_names_that_come_back_are_told(name: str, pattern: str) -> None:
    found = list(of_files(files(name)))
    assert [one.kind for one in found] == ["grouped-names"]
    assert "4 names, " in found[0].text
    assert f"group_by='{pattern}' keeps" in found[0].text
    assert len({re.search(pattern, file.relative)[1] for file in files(name)}) == 4  # type: ignore[index]


@pytest.mark.parametrize("name", [
    "{n:04}.png", "{g}/{i}.png", "img{n}.png", "img{g}_{i}.png", "IMG_{n}.jpg", "{g}_{i}.png", "{label}{n}.png",
    "x{n}_1.png", "{i}_rot{g}.png", "{i}_v{g}.png", "{n}.frame{g}.png", "20210{g}.png", "s1_{n}.png",
    "c{c}g{g}_{i}.png", "class{c}s{g}_{i}.png",
])
def test_other_names_are_not(name: str) -> None:
    assert list(of_files(files(name))) == []


def test_what_is_cautious() -> None:
    assert list(of_files(files("s{g}_{i}.png", groups=2))) == [], "two names are too few"
    assert list(of_files(files("s{g}_{i}.png", each=2))) == [], "and two images of each in a folder"
    assert list(of_files(files("s{g}_{i}.png")[:16])) == [], "in one class only"
    assert len(list(of_files(files("patient{g}_{i}.png")[:16]))) == 1, "a word that says enough"
    together = [File(f.path, f.relative, "test" if "s1" in f.relative else "train", f.label)
                for f in files("s{g}_{i}.png")]
    assert list(of_files(together)) == [], "each is in one split already"
    assert list(of_files([])) == []
    mixed = files("s{g}_{i}.png") + [File(f"/d/ant/{i}.png", f"ant/{i}.png", "train", "ant") for i in range(9)]
    assert list(of_files(mixed)) == [], "not nearly all images have one"
