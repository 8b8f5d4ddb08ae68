"""model/checkpoint.py: what is saved comes back, the newest whole state is found, and paths mean what they should.
Damaged and hostile files are test_modelfile.py's, faults of the disk test_atomic.py's subject."""

import dataclasses
import errno
import os
from pathlib import Path

import numpy as np
import pytest

from cnncli import atomic, cli
from cnncli.errors import ModelError, SaveError
from cnncli.model import Model
from cnncli.model.calibration import calibrate
from cnncli.model.checkpoint import LAST, MODEL, PREVIOUS, _bounded, load_model, load_state, save_model, save_state

from ..small_model import same, small_model
from ..test_atomic import Died, Disk

ARRAYS = {"momentum/conv1.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.array([7], np.int64),
          "empty": np.zeros((0, 3), np.float64), "scalar": np.array(2.5)}
PROGRESS = {"epoch": 3, "best": None, "rates": [0.1, 0.25], "name": "été \udcff"}


def save_states(folder: Path, count: int) -> Model:
    for step in range(count):
        save_state(folder, small_model(seed=step), ARRAYS, {"step": step})
    return small_model(seed=count - 1)


# ---- there and back ----


@pytest.mark.parametrize("model", [
    small_model(), small_model(resize="pad"), small_model((9, 4), grey=True, resize="crop", mean=(0.5,), std=(0.25,)),
])
def test_a_model_comes_back_whole(tmp_path: Path, model: Model, rng: np.random.Generator) -> None:
    path = tmp_path / MODEL
    save_model(path, model)
    again = load_model(path)
    assert same(again, model)
    images = rng.integers(0, 256, (5, *model.preprocessing.shape), np.uint8)
    np.testing.assert_array_equal(again.logits(images), model.logits(images))
    save_model(tmp_path / "again", again)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["again", MODEL]


def test_a_calibration_comes_back_and_a_model_without_one_is_as_it_always_was(tmp_path: Path) -> None:
    model = small_model()
    save_model(tmp_path / "without", model)
    assert b"calibration" not in (tmp_path / "without").read_bytes()
    assert load_model(tmp_path / "without").calibration is None
    model.calibration = calibrate(np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], np.array([0, 1, 2, 1]))
    save_model(tmp_path / "with", model)
    assert load_model(tmp_path / "with").calibration == model.calibration
    strange = dataclasses.replace(model.calibration, temperature=-1.0)
    model.calibration = strange
    save_model(tmp_path / "strange", model)
    with pytest.raises(ModelError, match="calibration cannot be used"):
        load_model(tmp_path / "strange")


def test_marks_of_images_come_back_and_others_are_refused(tmp_path: Path) -> None:
    model, path = small_model(), tmp_path / MODEL
    save_model(path, model)
    assert load_model(path).seen is None
    for seen in (np.arange(3, dtype=np.uint64), np.zeros(0, np.uint64)):
        model.seen = seen
        save_model(path, model)
        np.testing.assert_array_equal(load_model(path).seen, seen, strict=True)
        assert load_model(path).path == str(path)
    for wrong in (np.zeros((2, 2), np.uint64), np.zeros(3, np.float32)):
        model.seen = wrong
        save_model(path, model)
        with pytest.raises(ModelError, match="marks of images are damaged"):
            load_model(path)


def test_a_state_comes_back_whole_and_is_a_model_too(tmp_path: Path) -> None:
    model = small_model()
    save_state(tmp_path, model, ARRAYS, PROGRESS)
    state = load_state(tmp_path)
    assert same(state.model, model)
    assert state.progress == PROGRESS
    assert state.note == ""
    assert state.path == str(tmp_path / LAST)
    assert state.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(state.arrays[name], array, strict=True)
    assert same(load_model(tmp_path / LAST), model)
    assert load_state(tmp_path / LAST).progress == PROGRESS


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    model = small_model()
    model.training = {"val_loss": float("nan"), "all": [float("inf"), 1.5]}
    save_model(tmp_path / MODEL, model)
    assert load_model(tmp_path).training == {"val_loss": None, "all": [None, 1.5]}


def test_options_of_layers_are_within_bounds() -> None:
    for good in (None, True, 1.5, -(2**31) + 1, "x" * 200, [None, [1, {"a": 2}]], list(range(100))):
        assert _bounded(good), good
    for bad in (2**31, -(2**31), float("inf"), "x" * 201, [2**31], [[[[[1]]]]], list(range(101))):
        assert not _bounded(bad), bad


# ---- last and previous ----


def test_last_becomes_previous(tmp_path: Path) -> None:
    save_states(tmp_path, 3)
    assert load_state(tmp_path / LAST).progress == {"step": 2}
    assert load_state(tmp_path / PREVIOUS).progress == {"step": 1}
    assert sorted(os.listdir(tmp_path)) == [LAST, PREVIOUS]


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_previous_is_used_where_last_is_damaged_or_gone(tmp_path: Path, damage: bytes | None) -> None:
    save_states(tmp_path, 2)
    if damage is None:
        (tmp_path / LAST).unlink()
    else:
        (tmp_path / LAST).write_bytes((tmp_path / LAST).read_bytes()[:-10] if damage else b"")
    state = load_state(tmp_path)
    assert state.progress == {"step": 0}
    assert same(state.model, small_model(seed=0))
    assert str(tmp_path / LAST) in state.note
    assert f"{tmp_path / PREVIOUS}, is used instead" in state.note


@pytest.mark.slow
def test_a_damaged_last_never_replaces_a_whole_previous_before_the_new_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(1, 40):
        folder = tmp_path / str(at)
        folder.mkdir()
        save_states(folder, 2)
        (folder / LAST).write_bytes(b"torn")
        monkeypatch.setattr(atomic, "os", Disk(at))
        done = False
        try:
            save_state(folder, small_model(seed=2), ARRAYS, {"step": 2})
            done = True
        except Died:
            pass
        monkeypatch.undo()
        assert load_state(folder).progress["step"] in (0, 2)
        if done:
            break
        save_state(folder, small_model(seed=3), ARRAYS, {"step": 3})
        assert sorted(os.listdir(folder)) == [LAST, PREVIOUS], "what the killed save left is cleared away"
    assert done


def test_no_space_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_states(tmp_path, 2)
    save_model(tmp_path / MODEL, small_model())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name in ("write", "fsync", "replace"):
        for save in (lambda: save_model(tmp_path / MODEL, small_model(seed=5)),
                     lambda: save_state(tmp_path, small_model(seed=5), ARRAYS, {"step": 5})):
            monkeypatch.setattr(atomic, "os", Disk(1, errno.ENOSPC, names=(name,)))
            with pytest.raises(SaveError, match=r"could not be written \(no space left on device\): [\d,]+ bytes"):
                save()
            assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_nothing_to_resume_from(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds nothing to resume from"):
        load_state(tmp_path)
    save_model(tmp_path / MODEL, small_model())
    with pytest.raises(ModelError, match="without what resuming needs"):
        load_state(tmp_path / MODEL)
    for name in (LAST, PREVIOUS):
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ModelError, match=LAST):
        load_state(tmp_path)


# ---- what a path means ----


def test_paths_to_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    run = runs / "my run 1"
    run.mkdir(parents=True)
    save_model(run / MODEL, small_model())
    latest = runs / "latest"
    latest.symlink_to("my run 1")
    for path in (run, run / MODEL, latest, str(latest), f"{latest}/", latest / MODEL):
        assert same(load_model(path), small_model())
    latest.unlink()
    latest.write_text("my run 1\n", encoding="utf-8")
    assert same(load_model(latest), small_model())
    monkeypatch.chdir(tmp_path)
    assert same(load_model("runs/latest"), small_model())
    monkeypatch.chdir(runs)
    assert same(load_model("latest"), small_model())
    for content in ("", "..", "../my run 1", "/etc", "my run 1\0", str(run)):
        latest.write_text(content, encoding="utf-8")
        with pytest.raises(ModelError, match="name of a run beside it"):
            load_model(latest)
    latest.write_text("gone", encoding="utf-8")
    with pytest.raises(ModelError, match="there is no model"):
        load_model(latest)


@pytest.mark.parametrize(("make", "words"), [
    (lambda path: None, "there is no model"),
    (lambda path: path.mkdir(), f"holds no {MODEL}"),
    (lambda path: path.symlink_to("nowhere"), "cannot be read"),
    (os.mkfifo, "not a regular file"),
])
def test_what_is_no_model_is_named(tmp_path: Path, make, words: str) -> None:
    path = tmp_path / "a\nb"
    make(path)
    with pytest.raises(ModelError, match=words) as caught:
        load_model(path)
    assert "a\\nb" in str(caught.value)


def test_the_command_line_ends_with_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m").write_bytes(b"nothing")
    assert cli.main(["predict", "x.png", "-m", str(tmp_path / "m")]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1


def test_saving_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match="no such file or directory"):
        save_model(tmp_path / "no" / MODEL, small_model())


def test_a_model_that_cannot_be_described_is_refused_when_saved(tmp_path: Path) -> None:
    model = small_model()
    model.training = {"log": "x" * 5_000_000}
    with pytest.raises(ModelError, match="cannot be saved"):
        save_model(tmp_path / MODEL, model)
    assert os.listdir(tmp_path) == []
