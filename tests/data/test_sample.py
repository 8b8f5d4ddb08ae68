"""cnncli/data/sample: what the package carries, and the command that writes it out."""

import json
from collections import Counter
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from cnncli.cli import main
from cnncli.data import decode, scan
from cnncli.data.importing import FASHION

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def test_the_package_carries_it_with_licence_and_source() -> None:
    folder = files("cnncli.data.sample")
    assert 1e6 < len(folder.joinpath("fashion-mnist.npz").read_bytes()) < 3e6
    licence = folder.joinpath("LICENSE-fashion-mnist").read_text("utf-8")
    assert "Zalando SE" in licence
    assert "Permission is hereby granted" in licence
    source = folder.joinpath("SOURCE.md").read_text("utf-8")
    assert "github.com/zalandoresearch/fashion-mnist" in source
    assert all(name in source for name in FASHION)


@pytest.mark.slow
def test_it_is_written_as_image_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "demo"
    assert main(["sample", str(target), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["images"] == {"train": 3000, "test": 1000}
    splits = scan(target, fractions=(1, 0, 0))
    assert splits.classes == sorted(FASHION)
    assert set(Counter(s.label for s in splits.train).values()) == {300}
    assert set(Counter(s.label for s in splits.test).values()) == {100}
    pixels = decode(splits.train[0].path, grey=True)
    assert pixels.shape == (28, 28, 1)
    assert pixels.max() > 100
    assert main(["sample", str(target)]) == 1
    assert "is not empty" in capfd.readouterr().err


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_it_is_the_first_images_of_the_original() -> None:
    from cnncli.data.importing import load_arrays

    original = load_arrays([DEBIAN])[0]
    with files("cnncli.data.sample").joinpath("fashion-mnist.npz").open("rb") as file, np.load(file) as sample:
        for split, count in (("train", 300), ("test", 100)):
            images, labels = original[split]
            for label in range(10):
                part = slice(label * count, (label + 1) * count)
                assert (sample[f"{split}_labels"][part] == label).all()
                assert np.array_equal(sample[f"{split}_images"][part], images[labels == label][:count])


def test_nothing_is_written_where_something_is(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    assert main(["sample", str(tmp_path)]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
