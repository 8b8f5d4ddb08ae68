"""Counts of images in what commands say of a folder in which some cannot be read: each line says what it counts, so
that those that are used and those that are not add up to those that were found."""

import re
from pathlib import Path

import pytest

from .looking import CLASSES, EACH, Place, write_images

BAD = 3


@pytest.fixture
def folder(place: Place) -> Path:
    """Images of which three cannot be read: one is cut short, one is empty, and one is text."""
    folder = write_images(place.path / "some", CLASSES, EACH, seed=6)
    first, last = (folder / name for name in (CLASSES[0], CLASSES[-1]))
    whole = next(first.glob("*.png")).read_bytes()
    (first / "cut.png").write_bytes(whole[: len(whole) // 2])
    (first / "empty.png").touch()
    (last / "text.png").write_text("no image")
    return folder


def numbers(pattern: str, text: str) -> list[int]:
    """Return the numbers that stand for # in what matches a pattern: "# of # images"."""
    found = re.search(pattern.replace("#", r"(\d+)"), text)
    assert found, f"{pattern}: {text}"
    return [int(number) for number in found.groups()]


@pytest.mark.slow
def test_check_and_training_add_up(place: Place, folder: Path) -> None:
    every = EACH * len(CLASSES) + BAD
    out, _ = place.cnn("check", folder, code=1)
    first = out.splitlines()[0]
    assert numbers("^# images in", first) == [every]
    assert sum(numbers("classes: # train, # val .held out., # test", first)) == every
    assert first.endswith(f"; {BAD} of them cannot be used")
    assert place.json("check", folder, code=1)["unusable"] == BAD
    assert "cannot be used" not in place.cnn("check", "photos")[0]

    _, err = place.cnn("train", folder, "--arch", "lenet5", "--epochs", "1", "--size", "16", "--name", "some", code=3)
    train, val, test = numbers("# images are for training, # for validation and # for the test", err)
    assert train + val + test == every
    bad, of = numbers("cannot be used: # of the # for training", err)
    used, = numbers("Training lenet5 on # images", err)
    assert (of, bad + used) == (train, train)
    skipped, = numbers("\n# images? cannot be used: ", err)
    judged = int(re.findall(r"validating on (\d+);", err)[0])
    assert judged + skipped - bad == val

    for split, found in (("train", train), ("val", val), ("test", test)):
        out, err = place.cnn("test", "-m", "runs/some", "--split", split, "--out", "t", code=None)
        tested, total = numbers("^tested    # of the # images", out)
        more = re.findall(r"; (\d+) more cannot be used\n", out)
        assert (total, tested + sum(map(int, more))) == (every, found), out
        if more:
            assert [int(more[0]), found] == numbers("\n# of # images could not be used", err)


@pytest.mark.slow
@pytest.mark.parametrize("command", [("predict",), ("features", "-m", "runs/small", "-o", "f.npz"),
                                     ("explain", "--out", "why")])
def test_images_that_somebody_names_add_up(place: Place, folder: Path, command: tuple[str, ...]) -> None:
    every = EACH * len(CLASSES) + BAD
    _, err = place.cnn(*command, folder, "photos", code=3)
    assert f"\n{BAD} of {every + EACH * len(CLASSES)} images could not be used and were skipped:" in err
    learnt, good = numbers("\n# of the # images that can be used are among those", err)
    assert good == 2 * EACH * len(CLASSES)
    assert 0 < learnt < good
