"""data/check/duplicates.py: what copies mean where they lie, which of them may stay, and what is to be excluded."""

from dataclasses import replace

import numpy as np
import pytest

from cnncli.data.check import duplicates
from cnncli.data.check.facts import Facts
from cnncli.data.check.findings import File, Finding
from cnncli.data.check.near import Pairs
from cnncli.data.check.rules import Looked
from cnncli.data.decode import Header
from cnncli.errors import ImageError

HEADER = Header("PNG", "RGB", 9, 9, 1, 1, False, False)


def file(name: str) -> File:
    """A file by split, class and name."""
    split, label, _ = name.split("/")
    return File(f"/d/{name}", name, split, label)


def looked(*pictures: tuple[str, str], span: int = 7) -> list[Looked]:
    return [Looked(file(name), Facts(HEADER, digest.encode(), True, 200, span, 0.3)) for name, digest in pictures]


def told(findings: list[Finding]) -> list[tuple[str, str, list[str], list[str]]]:
    return [(f.kind, f.text, [one.relative for one in f.files], [one.relative for one in f.exclude]) for f in findings]


def of(images: list[Looked], pairs: Pairs | None = None, monkeypatch: pytest.MonkeyPatch | None = None
       ) -> list[tuple[str, str, list[str], list[str]]]:
    if monkeypatch is not None:
        monkeypatch.setattr(duplicates, "near_duplicates", lambda thumbs, progress: pairs)
    thumbs = np.zeros((len(images), 32, 32), np.uint8)
    return told([*duplicates.of_copies(images, thumbs, near=monkeypatch is not None)])


@pytest.mark.parametrize(("names", "findings"), [
    (["train/a/2", "train/a/1"], [("duplicate", "2 files with the same pixels.", ["train/a/1", "train/a/2"],
                                   ["train/a/2"])]),
    (["train/a/1", "test/a/2", "val/a/3"],
     [("duplicate-across-splits", "3 files with the same pixels in 3 splits.", ["test/a/2", "val/a/3", "train/a/1"],
       ["val/a/3", "train/a/1"])]),
    (["train/a/1", "train/b/1"],
     [("duplicate-two-labels", "2 files with the same pixels in 2 classes.", ["train/a/1", "train/b/1"],
       ["train/a/1", "train/b/1"])]),
    (["train/a/1", "test/b/1"],
     [("duplicate-two-labels", "2 files with the same pixels in 2 classes.", ["test/b/1", "train/a/1"],
       ["test/b/1", "train/a/1"]),
      ("duplicate-across-splits", "2 files with the same pixels in 2 splits.", ["test/b/1", "train/a/1"],
       ["train/a/1"])])])
def test_copies(names: list[str], findings: list[tuple[str, str, list[str], list[str]]]) -> None:
    images = looked(*((name, "x") for name in names), ("train/a/9", "y"))
    assert of(images) == findings


def test_what_is_no_copy() -> None:
    blank = looked(("train/a/1", "x"), ("train/a/2", "x"), span=6)
    assert of(blank) == []
    broken = [Looked(file("train/a/3"), ImageError("x", "it is empty"))]
    assert of(broken * 2 + looked(("train/a/1", "x"), ("train/a/2", "y"))) == []


@pytest.mark.parametrize(("names", "findings"), [
    (["train/a/1", "train/a/2"], [("near-duplicate", "2 almost the same pictures (difference 0.12).",
                                   ["train/a/1", "train/a/2"], [])]),
    (["train/a/1", "train/b/2"], [("near-duplicate-two-labels",
                                   "2 almost the same pictures (difference 0.12) in 2 classes.",
                                   ["train/a/1", "train/b/2"], [])]),
    (["train/a/1", "test/a/2"], [("near-duplicate-across-splits",
                                  "2 almost the same pictures (difference 0.12) in 2 splits.",
                                  ["test/a/2", "train/a/1"], ["train/a/1"])]),
    (["train/a/1", "val/b/2"], [("near-duplicate-two-labels",
                                 "2 almost the same pictures (difference 0.12) in 2 classes.",
                                 ["val/b/2", "train/a/1"], []),
                                ("near-duplicate-across-splits",
                                 "2 almost the same pictures (difference 0.12) in 2 splits.",
                                 ["val/b/2", "train/a/1"], ["train/a/1"])])])
def test_pictures_that_are_almost_the_same(names: list[str], findings: list[tuple[str, str, list[str], list[str]]],
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    images = looked(*((name, name) for name in names))
    assert of(images, [(0, 1, 0.123456)], monkeypatch) == findings


def test_copies_of_what_is_almost_the_same_belong_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most alike come first; what lies in the split that stays is not excluded."""
    images = looked(("test/a/1", "x"), ("test/a/2", "x"), ("train/a/3", "y"), ("train/a/4", "z"), ("train/a/5", "w"),
                    ("train/a/6", "v"))
    pairs = [(0, 1, 0.15), (2, 3, 0.2), (3, 4, 0.05)]
    assert of(images, pairs, monkeypatch)[1:] == [
        ("near-duplicate", "3 almost the same pictures (difference 0.05).",
         ["train/a/4", "train/a/5", "train/a/6"], []),
        ("near-duplicate-across-splits", "3 almost the same pictures (difference 0.15) in 2 splits.",
         ["test/a/1", "test/a/2", "train/a/3"], ["train/a/3"])]


def test_copies_of_two_groups_are_told_as_such() -> None:
    named = [("train/a/1", "x", "s04"), ("test/a/2", "x", "s05"), ("train/a/3", "y", "s04"), ("train/a/4", "y", "s04")]
    images = [Looked(replace(file(name), group=group), Facts(HEADER, digest.encode(), True, 200, 7, 0.3))
              for name, digest, group in [*named, ("train/a/5", "z", "s04"), ("train/a/6", "z", "s06")]]
    found = list(duplicates.of_copies(images, np.zeros((6, 32, 32), np.uint8), near=False))
    assert [(each.kind, each.text, [f.relative for f in each.exclude]) for each in found] == [
        ("duplicate-across-splits", "2 files with the same pixels in 2 splits. They are in 2 groups (s04, s05).",
         ["train/a/1"]),
        ("duplicate", "2 files with the same pixels.", ["train/a/4"]),
        # Nobody knows which group is right, and a fold that has one of them in its training has seen the other.
        ("duplicate-two-groups", "2 files with the same pixels. They are in 2 groups (s04, s06).",
         ["train/a/5", "train/a/6"])]
