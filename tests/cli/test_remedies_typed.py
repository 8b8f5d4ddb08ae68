"""The remedies that are commands, typed: each situation has a command fail, or doubt what it does; what that advises is
then run as it stands, with the user's own folder for DATA, and it works."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cnncli.cli import main

from ..shell import words
from ..trained import write_images
from .looking import Place

pytestmark = pytest.mark.slow
QUICKLY = ["--arch", "lenet5", "--epochs", "1"]  # behind a training that would choose for itself


@dataclass(frozen=True)
class Case:
    """What is done first, what is typed, the exit code, and what goes behind the advice to have it end soon."""

    typed: str
    code: int = 2
    first: Callable[[Path], object] = lambda here: None
    data: str = "photos"
    behind: tuple[str, ...] = ()


def loose(here: Path) -> None:
    shutil.copy(here / "runs/small/model.safetensors", here / "it's loose.safetensors")


def moved(here: Path) -> None:
    os.rename(here / "photos", here / "moved photos")


def changed(here: Path) -> None:
    """The images that it was trained on have gone, and others are there."""
    shutil.copytree(here / "photos", here / "kept")
    shutil.rmtree(here / "photos")
    write_images(here / "photos", ["check", "stripe"], 12, seed=9)
    for path in (here / "photos").rglob("*.png"):
        path.rename(path.with_name(f"other {path.name}"))


def trained(*options: str) -> Callable[[Path], object]:
    """A run with these options, which becomes the latest."""
    return lambda here: main(["train", "photos", "--arch", "lenet5", *options])


def table(here: Path) -> None:
    rows = [f"{path.name},{('check', 'stripe')[i % 2]}" for i, path in enumerate(flat(here))]
    (here / "t.csv").write_text("\n".join(["file,label", *rows, ""]))


def flat(here: Path) -> list[Path]:
    """Images without class folders in flat/; none of their names needs quotes in a table."""
    write_images(here / "flat", ["stripe"], 12, seed=3)
    for path in list((here / "flat/stripe").iterdir()):
        path.rename(here / "flat" / path.name.replace(" ", "-"))
    (here / "flat/stripe").rmdir()
    return sorted((here / "flat").iterdir())


def kaggle(here: Path) -> None:
    write_images(here / "my data/train", ["check", "stripe"], 12, seed=5)
    write_images(here / "my data/test", ["stripe"], 3, seed=6)
    for path in list((here / "my data/test/stripe").iterdir()):
        path.rename(here / "my data/test" / path.name)
    (here / "my data/test/stripe").rmdir()


CASES = {
    "a model in no run": Case("test -m \"it's loose.safetensors\"", first=loose),
    "images that have gone": Case("test -m runs/small", first=moved, data="moved photos"),
    "other images by now": Case("test -m runs/small", first=changed, data="kept"),
    "a table without a folder": Case("test -m runs/small --labels t.csv", first=table, data="flat", code=2),
    "mirror images": Case("test --tta", code=0, first=trained("--augment", "none", "--epochs", "1")),
    "mirror images in predict": Case("predict -m runs/plain --tta photos", code=0,
                                     first=trained("--augment", "none", "--epochs", "1", "--name", "plain")),
    "images without labels": Case("test -m runs/small flat", first=flat, code=1),
    "a finished run": Case("train --resume small", code=0),
    "a run that stopped early": Case("train --resume early", code=0,
                                    first=trained("--epochs", "40", "--patience", "1", "--name", "early")),
    "images of a run that have gone": Case("train --resume small --epochs 3", first=moved, data="moved photos", code=1,
                                           behind=("--epochs", "3")),
    "no run yet": Case("train --resume --runs 'other runs'", behind=tuple(QUICKLY)),
    "no folds yet": Case("train --resume --folds 2 --runs 'other runs'", behind=tuple(QUICKLY)),
    "no such folds": Case("train --resume c --folds 2", behind=tuple(QUICKLY)),
    "a folder for a run": Case("train --resume photos", behind=("--epochs", "3")),
    "a training table without a folder": Case("train --labels t.csv", first=table, data="flat",
                                              behind=tuple(QUICKLY)),
    "an answer": Case("predict -m runs/small photos/stripe", code=0),
    "a mistake": Case("test -m runs/plain --split train", code=0,
                      first=trained("--augment", "none", "--epochs", "1", "--name", "plain", "--seed", "3")),
    "an unlabelled split": Case("train 'my data' --arch lenet5 --epochs 1", first=kaggle, code=0),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_advised_works(case: Case, place: Place) -> None:
    case.first(place.path)
    said = place.cnn(*words(f"cnn {case.typed}"), code=case.code)[1]
    advised = [found[1] for found in re.finditer(r": (cnn [a-z].*)$", said, flags=re.MULTILINE)
               if not found[0].startswith("Next")]
    assert advised, said
    for line in advised:
        line = re.sub(r"\b(DATA|FOLDER)\b", f"'{case.data}'", line.replace("FILE.csv", "t.csv"))
        place.cnn(*words(line), *case.behind)
        assert (" -m " in line) == (" -m " in case.typed), line
