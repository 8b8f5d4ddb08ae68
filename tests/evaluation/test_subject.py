"""evaluation/subject.py: which images a test is of, in words, and whether an earlier test was of the same ones."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.evaluation.evaluate import evaluate
from cnncli.evaluation.held_out import subject_of
from cnncli.evaluation.subject import Subject
from cnncli.runs.opened import open_model

from ..trained import CLASSES, write_images

WORDS = [
    (Subject("/a/birds", "test", True, 382), "", "Test of m",
     "30 of the 382 images of /a/birds: the test images, held out of the training"),
    (Subject("/a/birds", "val", True, 382), "val", "Test of m on its validation images",
     "30 of the 382 images of /a/birds: the validation images"),
    (Subject(None, "train", True, 40), "train", "Test of m on its training images",
     "30 of the 40 images: the training images"),
    (Subject("/a/new photos!", None, False), "new-photos", "Test of m on the images of new photos!/",
     "30 images of /a/new photos!"),
    (Subject("/a/other", "test", False), "other-test", "Test of m on the test images of other/",
     "30 test images of /a/other"),
    (Subject("/", None, False), "images", "Test of m on the images of //", "30 images of /"),
    (Subject(None, None, False, mark="12ab"), "arrays-12ab", "Test of m on images in memory", "30 images in memory"),
]


@pytest.mark.parametrize(("subject", "tag", "title", "words"), WORDS)
def test_in_words(subject: Subject, tag: str, title: str, words: str) -> None:
    assert (subject.tag, subject.title("m"), subject.describe(30)) == (tag, title, words)


def test_the_same_images_are_known_again() -> None:
    everything = [subject for subject, *_ in WORDS] + [Subject("/b/other", "test", False),
                                                       Subject("/a/other", "test", False, labels="x")]
    for i, subject in enumerate(everything):
        assert [subject.is_that_of(other.as_json()) for other in everything] == [i == k for k in range(len(everything))]
        assert not subject.is_that_of({"accuracy": 1.0}), "a version that did not say it"
    moved = Subject("/elsewhere/birds", "val", True, 382)
    assert moved.is_that_of(everything[1].as_json())


@pytest.mark.slow
def test_it_is_known_before_an_image_is_read(home: Path) -> None:
    write_images(home / "split" / "test", CLASSES, 1, seed=1)
    write_images(home / "split" / "train", CLASSES, 1, seed=2)
    write_images(home / "bare", CLASSES, 1, seed=3)
    opened = open_model("runs/small")
    for data, split, wanted in ((None, None, ("photos", "test", True)), ("photos", "val", ("photos", "val", True)),
                                ("bare", None, ("bare", None, False)), ("split", None, ("split", "test", False)),
                                ("split", "train", ("split", "train", False))):
        folder, part, own = wanted
        found = evaluate(opened, data, split=split, compare=False).subject
        assert (found.data, found.split, found.own) == (str(home / folder), part, own)
        early = subject_of(opened, data, split)
        assert early.is_that_of(found.as_json())
        assert early.tag == found.tag
    some = (np.zeros((4, 20, 20, 3), np.uint8), np.array(sorted(CLASSES)))
    one, other = evaluate(opened, some, compare=False), evaluate(opened, (some[0] + 9, some[1]), compare=False)
    assert one.subject.as_json()["data"].startswith("arrays ")
    assert one.subject.tag == evaluate(opened, some, compare=False).subject.tag != other.subject.tag
    in_parts = evaluate(opened, {"train": some, "val": some}, compare=False).subject
    assert in_parts.tag == one.subject.tag.replace("arrays-", "arrays-val-")
