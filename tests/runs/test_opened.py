"""runs/opened.py: which file and which run a model comes from, however it is named, and where results about it go."""

import os
import shutil
from contextlib import nullcontext
from datetime import datetime, timezone
from pathlib import Path

import pytest

import cnncli
from cnncli.errors import ModelError, UsageError
from cnncli.model.features import FEATURES
from cnncli.model.model import MODEL_FILE
from cnncli.runs import Run
from cnncli.runs.opened import open_model

from ..small_model import same, small_model


@pytest.mark.slow
@pytest.mark.parametrize("named", [
    None, "runs/latest", "runs/small", "small", Path("runs/small/model.safetensors"), "runs/latest/model.safetensors",
    "a run", "loaded", "kept",
])  # fmt: skip
def test_the_run_is_found_by_any_name(home: Path, named) -> None:
    """A model that is in memory remembers the file that it was read from; results bear the run's own name."""
    if named == "loaded":
        named = cnncli.load("runs/latest")
    elif named == "a run":
        named = Run("runs/small")
    elif named == "kept":
        named = Run("runs/small").model
    opened = open_model(named)
    assert opened.path == Path("runs/small/model.safetensors")
    assert opened.run is not None
    assert opened.run.path == Path("runs/small")
    assert opened.name == "small"
    assert same(opened.model, cnncli.load("runs/small"))
    assert isinstance(named, str | Path | Run) or named is None or opened.model is named
    assert open_model(os.path.abspath("runs/latest")).path == home / "runs/small/model.safetensors"


def test_a_model_file_that_lies_in_no_run(home: Path) -> None:
    shutil.copy("runs/small/model.safetensors", "loose.safetensors")
    opened = open_model("loose.safetensors")
    assert (opened.run, opened.path, opened.name) == (None, Path("loose.safetensors"), "loose.safetensors")
    assert opened.place(None, "test") == Path("loose-test")
    os.utime("loose.safetensors", (1e9, 1e9))
    when = datetime.fromtimestamp(1e9, timezone.utc)
    assert opened.trained == when
    assert opened.description == f"Model: loose.safetensors, a file of {when.astimezone():%Y-%m-%d %H:%M}."


def test_a_model_that_comes_from_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened = open_model(small_model())
    assert (opened.run, opened.name) == (None, "model")
    model = small_model()
    model.training["architecture"] = "lenet5"
    assert open_model(model).name == "lenet5"
    assert (open_model(model).trained, open_model(model).description) == (None, None)
    assert open_model(model).place(None, "test") == Path("lenet5-test")


def test_where_results_go(home: Path) -> None:
    opened = open_model()
    assert opened.place(None, "test") == Path("runs/small")
    assert opened.place(None, "pictures", inside="pictures") == Path("runs/small/pictures")
    assert opened.place("a/b c", "test") == Path("a/b c")
    last = open_model("runs/small/last.safetensors")
    assert str(last.description).startswith("Model: runs/small/last.safetensors, trained ")
    assert last.run is not None
    for folder, data in (("photos", None), ("more", "more"), ("runs", ["more"])):
        os.makedirs(folder, exist_ok=True)
        kinds = {f"{folder}/a.npz": FEATURES}
        with pytest.raises(UsageError) if folder != "runs" else nullcontext(), opened.claim(kinds, data=data):
            assert folder == "runs"
    with pytest.raises(UsageError, match="model"), opened.claim({"runs/small/model.safetensors": MODEL_FILE}):
        pass


def test_models_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="there is no model runs/latest"):
        open_model()
    with pytest.raises(ModelError, match="there is no model nowhere"):
        open_model("nowhere")


def test_the_nearest_run_is_named(home: Path) -> None:
    for near in ("smal", "elsewhere/smal"):
        with pytest.raises(ModelError, match=f"there is no model {near}.* Did you mean 'small'"):
            open_model(near)
    (home / "small").write_bytes(b"")
    with pytest.raises(ModelError, match="small is"):  # what lies there comes first
        open_model("small")
