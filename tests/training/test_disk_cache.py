"""--cache disk: a training has the same bytes as one from memory, whether it writes the decoded images or finds them,
and however it goes on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.data import cached, images, kept
from cnncli.errors import Interrupted

from ..pictures import make_folder
from .conftest import Train
from .test_resume import At, interrupt, outcome


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for decoded images."""
    monkeypatch.setenv(cached.VARIABLE, str(tmp_path / "decoded"))
    return tmp_path / "decoded"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three classes, with images that cannot be used, are damaged or have 16 bits."""
    folder, rng = make_folder(tmp_path / "data"), np.random.default_rng(3)
    for name in ("ant", "cat"):
        for number in (1, 4, 6):
            Image.fromarray(rng.integers(0, 4096, (10, 10), np.uint16)).save(folder / name / f"{number:02}.png")
        (folder / name / "07.png").write_text("text")
        whole = (folder / name / "08.png").read_bytes()
        (folder / name / "08.png").write_bytes(whole[:-12])
    return folder


def at_its_end(**options: Any) -> At:
    return At(lambda: None, **options)


@pytest.mark.slow
def test_every_cache_gives_the_same_bytes(train: Train, data: Path, place: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    expected = train(data=data, augment="flip,mixup", cache="ram")
    said = []
    for name, cache in (("first", "disk"), ("second", "disk"), ("none", "none"), ("auto", "auto")):
        watcher = at_its_end()
        if name == "auto":
            monkeypatch.setattr(images, "free_memory", lambda: 0)
        run = train(data=data, augment="flip,mixup", cache=cache, name=name, observer=watcher)
        assert outcome(run) == outcome(expected), name
        assert run.skipped == expected.skipped
        assert (run.path / "images.csv").read_bytes() == (expected.path / "images.csv").read_bytes()
        said.append("\n".join(watcher.notes))
    assert expected.skipped
    assert sorted(path.name.split("-")[1] for path in place.iterdir()) == ["training", "validation"]
    for part in ("training", "validation"):
        assert f"The decoded {part} images are kept in {place}" in said[0]
        assert f"decoded {part} images come from {place}" in said[1]
        assert f"decoded {part} images come from {place}" in said[3]
        assert part not in said[2] or "come from" not in said[2]


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [("disk", "ram"), ("ram", "disk"), ("disk", "disk"), ("none", "disk")])
def test_resuming_with_another_cache(first: str, then: str, train: Train, data: Path, place: Path) -> None:
    expected = outcome(train(data=data, cache="ram"))
    with pytest.raises(Interrupted):
        train(data=data, cache=first, name="run", observer=At(interrupt, steps=5))
    watcher = at_its_end()
    assert outcome(train(resume="run", cache=then, observer=watcher)) == expected
    assert any("come from" in note for note in watcher.notes) == (first == then == "disk")


@pytest.mark.slow
def test_a_file_that_is_changed_while_it_is_trained_on(train: Train, data: Path, place: Path) -> None:
    expected = outcome(train(data=data, cache="disk"))

    def damage() -> None:
        path = next(path for path in place.iterdir() if "training" in path.name)
        with path.open("r+b") as file:
            file.seek(kept.HEAD)
            file.write(bytes(1000))
            file.truncate(kept.HEAD + 5000)

    watcher = At(damage, steps=4)
    assert outcome(train(data=data, cache="disk", name="damaged", observer=watcher)) == expected
    assert sum("was cut or changed since it was written" in note for note in watcher.notes) == 1
    watcher = at_its_end()
    assert outcome(train(data=data, cache="disk", name="anew", observer=watcher)) == expected
    assert any("The decoded training images are kept in" in note for note in watcher.notes)


@pytest.mark.slow
def test_sweeps(shared: Path, train: Train, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"arch": str(shared / "net.toml"), "epochs": 1, "runs": tmp_path / "runs"}
    found = {}
    for cache in ("ram", "disk", "auto"):
        if cache == "auto":
            monkeypatch.setattr(images, "free_memory", lambda: 0)
        swept = cnncli.sweep(shared / "data", ["lr=0.1,0.2"], name=f"swept-{cache}", cache=cache, **options)
        found[cache] = [outcome(each.run) for each in swept.runs if each.run]
    assert found["ram"] == found["disk"] == found["auto"]
    assert len(found["ram"]) == 2
    assert len(list(place.iterdir())) == 2
