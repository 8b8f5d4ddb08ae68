"""cnncli/data/naming.py: what each name and each word alone stands for, and the sentence of each; lists of them are in
test_augmentation.py."""

from typing import Any

import pytest

from cnncli.data import Augmentation, Preprocessing, describe, naming
from cnncli.errors import UsageError

COLOUR, GREY = Preprocessing((70, 42)), Preprocessing((28, 56), grey=True)


@pytest.mark.parametrize(("name", "colour", "grey"), [
    ("auto", {"shift": 5, "flip": True}, {"shift": 2}),
    ("digits", {"shift": 3, "rotate": 10, "scale": 0.1, "shear": 10},
     {"shift": 2, "rotate": 10, "scale": 0.1, "shear": 10}),
    ("photo", {"shift": 5, "flip": True, "rotate": 5, "scale": 0.2, "brightness": 0.2, "contrast": 0.2,
               "saturation": 0.2},
     {"shift": 3, "flip": True, "rotate": 5, "scale": 0.2, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2}),
    ("strong", {"shift": 5, "flip": True, "randaugment": 2, "magnitude": 9, "erase": 0.25, "mixup": 0.2, "cutmix": 1},
     {"shift": 3, "randaugment": 2, "magnitude": 9, "erase": 0.25, "mixup": 0.2, "cutmix": 1})])
def test_what_a_name_stands_for(name: str, colour: dict[str, Any], grey: dict[str, Any]) -> None:
    for preprocessing, strengths in ((COLOUR, colour), (GREY, grey)):
        assert naming.named(name, preprocessing) == naming.parse(name, preprocessing) == Augmentation(**strengths)


@pytest.mark.parametrize(("word", "fields"), [
    ("shift", {"shift": 5}), ("flip", {"flip": True}), ("flip=1", {"flip": True}), ("flip=on", {"flip": True}),
    ("cutout", {"cutout": 21}), ("rotate", {"rotate": 15}), ("scale", {"scale": 0.2}), ("shear", {"shear": 10}),
    ("brightness", {"brightness": 0.2}), ("contrast", {"contrast": 0.2}), ("saturation", {"saturation": 0.2}),
    ("colour", {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2}), ("hue", {"hue": 0.05}),
    ("color=1", {"brightness": 1, "contrast": 1, "saturation": 1}), ("randaugment", {"randaugment": 2, "magnitude": 9}),
    ("erase", {"erase": 0.25}), ("mixup", {"mixup": 0.2}), ("cutmix", {"cutmix": 1}), ("shift=21", {"shift": 21}),
    ("cutout=42", {"cutout": 42})])
def test_what_a_word_stands_for(word: str, fields: dict[str, Any]) -> None:
    assert naming.parse(word, COLOUR) == Augmentation(**fields)


@pytest.mark.parametrize("word", [f"{word}={off}" for word in naming._WORDS for off in ("0", "no", "off", "false")])
def test_each_word_can_be_off(word: str) -> None:
    assert naming.parse(word, COLOUR) is None
    assert naming.parse(f"{word.partition('=')[0]},{word}", COLOUR) is None


@pytest.mark.parametrize(("text", "sentence"), [
    ("shift=22", "shift=22 would move images of 42 pixels by more than half; give at most 21."),
    ("cutout=43", "cutout=43 is more than the 42 pixels of an image; give less."),
    ("shift=4097", "shift=4097.0 cannot be used; give a number of pixels from 0 to 4096."),
    ("cutout=4097", "cutout=4097.0 cannot be used; give a number of pixels from 0 to 4096."),
    ("rotate,photo", "augment rotate,photo: photo must come first in the list."),
    ("scale= ", "augment scale= has no strength behind =; give a number, or leave = out."),
    ("colour=1.01", "colour=1.01 cannot be used; give a share from 0 to 1."),
    ("colour=-0.01", "colour=-0.01 cannot be used; give a share from 0 to 1."),
    ("colour=x", "colour=x cannot be used; give a share from 0 to 1."),
    ("randaugment=x", "randaugment=x cannot be used; give operations and magnitude, like 2:9."),
    ("flip=2", "flip=2 cannot be used; give flip, flip=off or flip=alternate."),
    ("digitz", "augment: there is no change 'digitz'; give auto, none, digits, photo, strong, or a list of shift, "
               "flip, cutout, "
               "rotate, scale, shear, brightness, contrast, saturation, colour, hue, randaugment, erase, mixup, "
               "cutmix, like shift=4,flip,rotate=10. Did you mean 'digits'?")])
def test_sentences_of_refusal(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        naming.parse(text, COLOUR)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(("fields", "what"), [
    ({}, "not changed"), ({"shift": 1}, "shifted by up to 1 pixel"), ({"shift": 2}, "shifted by up to 2 pixels"),
    ({"flip": True}, "flipped half of the time"), ({"flip": "alternate"}, "flipped in every other epoch"),
    ({"rotate": 2.5}, "turned by up to 2.5°"), ({"scale": 0.25}, "scaled by up to 25%"),
    ({"shear": 3}, "slanted by up to 3°"),
    ({"brightness": 0.1, "contrast": 0.2, "saturation": 0.3, "hue": 0.05},
     "changed in brightness 0.1, contrast 0.2, saturation 0.3, hue 0.05"),
    ({"randaugment": 1}, "put through 1 operation of RandAugment (magnitude 9)"),
    ({"randaugment": 2, "magnitude": 7.5}, "put through 2 operations of RandAugment (magnitude 7.5)"),
    ({"erase": 0.5}, "erased in part (50% of them)"), ({"cutout": 3}, "blanked out in a square of 3 pixels"),
    ({"mixup": 0.2}, "mixed in pairs (mixup 0.2)"), ({"cutmix": 1}, "mixed in pairs (cutmix 1)"),
    ({"shift": 1, "cutout": 2}, "shifted by up to 1 pixel and blanked out in a square of 2 pixels"),
    ({"shift": 1, "rotate": 5, "mixup": 0.2, "cutmix": 1},
     "shifted by up to 1 pixel, turned by up to 5° and mixed in pairs (mixup 0.2, cutmix 1)")])
def test_the_sentence_of_each(fields: dict[str, Any], what: str) -> None:
    augmentation = Augmentation(**fields)
    assert describe(augmentation, COLOUR) == f"Images are {what} in training."
    assert describe(augmentation, GREY, chosen=False) == f"Images are {what} in training."
    also = ("" if "flip" in fields else ", but not flipped: grey ones are often digits or letters" if fields else
            ", as they are too small for that, and not flipped: grey ones are often digits or letters")
    assert describe(augmentation, GREY) == f"Images are {what} in training{also}."


def test_the_sentence_of_none() -> None:
    assert describe(None, GREY) == "Images are not changed in training."
