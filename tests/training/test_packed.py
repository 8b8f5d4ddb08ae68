"""Training on archives is training on the folder that they were made of: to the same bytes, resumed, in folds, without
a cache, with groups and lists; and a run finds its images in either."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cnncli
from cnncli.data.pack import pack_images
from cnncli.errors import DataError, Interrupted
from cnncli.model import Model
from cnncli.runs import Run
from cnncli.runs.samples import splits_in

from ..pictures import NETWORK, make_folder
from .test_resume import At, interrupt, outcome

Train = Callable[..., Run]


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    monkeypatch.chdir(tmp_path)
    make_folder(Path("photos"), 10)
    Path("net.toml").write_text(NETWORK)
    pack_images("photos", "shards", shard_size=20_000)

    def trained(data: Any, name: str, **options: Any) -> Run:
        return cnncli.train(data, **{"arch": "net.toml", "epochs": 2, "seed": 3, "name": name, **options})

    return trained


def model(run: Run) -> bytes:
    return (run.path / "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("options", [
    {}, {"cache": "none", "threads": 2}, {"group_by": r"/\d(\d)"}, {"exclude": ["ant/00.png", "cat/03.png"]},
    {"recipe": "fast"}, {"fold": (1, 3)}], ids=str)
def test_the_same_bytes(train: Train, options: dict[str, Any]) -> None:
    shutil.copytree("shards", "alone", ignore=shutil.ignore_patterns("*.npz"))
    folder = train("photos", "folder", **options)
    for data in ("shards", "alone"):
        packed = train(data, data, **options)
        assert outcome(packed) == outcome(folder)
        assert (packed.path / "images.csv").read_text() == (folder.path / "images.csv").read_text()
        assert packed.config["samples"] == folder.config["samples"]


@pytest.mark.slow
def test_one_archive_and_a_table_of_labels(train: Train) -> None:
    os.mkdir("images")
    lines = ["file,label"]
    for number, path in enumerate(sorted(Path("photos").rglob("*.png"))):
        shutil.copy(path, f"images/{number * 7 % 30:02}.png")
        lines.append(f"{number * 7 % 30:02}.png,{path.parent.name}")
    Path("labels.csv").write_text("\n".join(lines))
    pack_images("images", "tables", labels="labels.csv")
    folder = train("images", "folder", labels="labels.csv")
    shutil.copy("tables/images-000000.tar", "one.tar")
    for number, data in enumerate(("tables", "one.tar")):
        found = train(data, f"packed{number}")
        assert outcome(found)[1:] == outcome(folder)[1:]  # the model's file says that there was a table
        assert (found.path / "images.csv").read_text() == (folder.path / "images.csv").read_text()


@pytest.mark.slow
def test_stopped_and_resumed_on_the_other(train: Train) -> None:
    """The archives hold the run's own images, by path, size and content."""
    expected = model(train("photos", "whole"))
    for first, second in (("photos", "shards"), ("shards", "photos"), ("shards", None)):
        name = f"{first}-{second}"
        with pytest.raises(Interrupted):
            train(first, name, observer=At(interrupt, steps=3))
        assert model(cnncli.train(second, resume=name)) == expected
    shutil.move("shards", "moved")
    with pytest.raises(DataError, match="no longer in"):
        cnncli.train(resume="shards-None", epochs=3)


@pytest.mark.slow
def test_a_run_knows_its_images_in_archives(train: Train) -> None:
    run = train("photos", "run")
    splits = splits_in(run, "shards")
    assert splits is not None
    assert [sample.path for sample in splits.test] == [
        sample.path.replace("photos", "shards") for sample in splits_in(run, "photos").test]  # type: ignore[union-attr]
    tests = [cnncli.evaluate("run", data, compare=True) for data in ("photos", "shards")]
    assert tests[0].as_json() | {"data": None} == tests[1].as_json() | {"data": None}
    loaded: Model = cnncli.load("run")
    assert [each.probability for each in cnncli.predict(loaded, "photos")] == [
        each.probability for each in cnncli.predict(loaded, "shards")]
    assert (cnncli.features(loaded, "photos").values == cnncli.features(loaded, "shards").values).all()


@pytest.mark.slow
def test_a_check_finds_the_same(train: Train) -> None:
    shutil.copy("photos/ant/00.png", "photos/bee/copy.png")
    Path("photos/cat/bad.png").write_bytes(b"\x89PNG")
    Path("photos/cat/empty.png").touch()
    pack_images("photos", "again")
    reports = [cnncli.check(data) for data in ("photos", "again")]
    found = [[(each.kind, [file.relative for file in each.files], each.text) for each in report.findings]
             for report in reports]
    assert found[0] == found[1]
    assert {kind for kind, *_ in found[0]} >= {"duplicate-two-labels", "damaged", "empty-file"}
