"""watching/tensorboard.py: TensorBoard's own reader finds what history.csv says, and the training is the same."""

import sys
from pathlib import Path
from typing import Any

import pytest

import cnncli
from cnncli.errors import Interrupted, UsageError
from cnncli.watching import recorder
from cnncli.watching.forwarding import label_of
from cnncli.watching.tensorboard import TensorBoard, events_in

from ..training.conftest import Train, shared, train
from ..training.test_resume import At, interrupt, outcome

__all__ = ["shared", "train"]


@pytest.fixture
def all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a recorder take the time to write every line."""
    pytest.importorskip("tensorboardX")
    monkeypatch.setattr(recorder, "SHARE_OF_STEPS", 1e6)
    monkeypatch.setattr(recorder, "SHARE_OF_LOOKS", 1e6)


@pytest.fixture
def read(all_of_it: None) -> Any:
    """Return what TensorBoard reads in a folder."""
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def accumulated(folder: Path) -> Any:
        assert events_in(folder)
        found = module.EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
        return found.Reload()

    return accumulated


def curve(found: Any, tag: str) -> dict[int, float]:
    events = found.Scalars(tag)
    assert len({event.step for event in events}) == len(events), f"{tag}: twice the same step"
    return {event.step: event.value for event in events}


STEPS = 5  # of an epoch; 36 images in batches of 8


@pytest.mark.slow
def test_what_is_written_is_what_happened(train: Train, tmp_path: Path, read: Any) -> None:
    run = train(observer=TensorBoard(tmp_path / "tb"), name="a")
    assert outcome(train(name="plain")) == outcome(run)
    found = read(tmp_path / "tb" / "a")
    for column in ("train_loss", "val_accuracy", "learning_rate"):
        assert curve(found, f"epoch/{column}") == pytest.approx(
            {row["epoch"] * STEPS: row[column] for row in run.history}, rel=1e-5)
    assert list(curve(found, "epoch/number").values()) == [1, 2, 3]
    assert list(curve(found, "train/loss")) == list(range(1, 3 * STEPS + 1))
    assert curve(found, "train/loss")[STEPS] == pytest.approx(run.history[0]["train_loss"], rel=1e-5)
    assert curve(found, "train/learning_rate")[STEPS] == pytest.approx(run.history[0]["learning_rate"], rel=1e-5)
    weights = {name.partition("/")[2] for name in found.Tags()["scalars"] if name.startswith("weights/")}
    assert weights == {name.removesuffix(".weight") for name, array in run.model.network.parameters().items()
                       if name.endswith(".weight") and array.ndim > 1}
    assert all(0 < value < 1 for value in curve(found, f"update/{min(weights)}").values())
    images = found.Tags()["images"]
    assert sum(name.startswith("examples/") for name in images) == run.config["images"]["val"]
    assert found.Images(images[0])[0].width == 10
    assert any(name.startswith("filters/") for name in images)
    text = found.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()
    assert f"| lr | {run.config['recipe']['lr']} |" in text
    plugin = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"batch_size" in plugin
    assert found.SummaryMetadata("_hparams_/session_end_info").plugin_data.content


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 7])
def test_what_goes_on_is_continued_and_nothing_is_there_twice(train: Train, tmp_path: Path, read: Any, step: int
                                                              ) -> None:
    expected = train(name="plain")
    with pytest.raises(Interrupted):
        train(name="a", observer=cnncli.training.observer.Observers(At(interrupt, steps=step),
                                                                    TensorBoard(tmp_path / "tb")))
    run = train(resume="a", observer=TensorBoard(tmp_path / "tb"))
    assert outcome(run) == outcome(expected)
    assert len(events_in(tmp_path / "tb" / "a")) == 2
    found = read(tmp_path / "tb" / "a")
    assert curve(found, "epoch/val_loss") == pytest.approx(
        {row["epoch"] * STEPS: row["val_loss"] for row in run.history}, rel=1e-5)
    assert list(curve(found, "train/loss")) == list(range(1, 3 * STEPS + 1))


@pytest.mark.slow
def test_a_run_that_was_not_written_has_its_earlier_epochs_written_when_it_goes_on(train: Train, tmp_path: Path,
                                                                                   read: Any) -> None:
    train(name="a")
    run = train(resume="a", epochs=4, observer=TensorBoard(tmp_path / "tb"))
    assert len(curve(read(tmp_path / "tb" / "a"), "epoch/val_loss")) == len(run.history) == 4


@pytest.mark.slow
def test_what_was_killed_is_done_again_and_read_once(train: Train, tmp_path: Path, read: Any) -> None:
    from ..training.test_resume import Killed, die

    with pytest.raises(Killed):  # its first epoch is saved, and the steps behind that are written
        train(name="a", observer=cnncli.training.observer.Observers(TensorBoard(tmp_path / "tb"), At(die, steps=8)))
    train(resume="a", observer=TensorBoard(tmp_path / "tb"))
    assert list(curve(read(tmp_path / "tb" / "a"), "train/loss")) == list(range(1, 3 * STEPS + 1))


@pytest.mark.slow
def test_several_runs_have_a_folder_each(train: Train, shared: Path, tmp_path: Path, all_of_it: None) -> None:
    board = TensorBoard(tmp_path / "tb")
    common: dict[str, Any] = {"arch": str(shared / "net.toml"), "epochs": 1, "observer": board}
    cnncli.cross_validate(shared / "data", 2, name="cv", runs=tmp_path / "runs", **common)
    found = cnncli.sweep(shared / "data", {"lr": [0.1]}, name="s", runs=tmp_path / "runs", **common)
    assert found.best is not None
    assert found.best.run is not None
    assert label_of(found.best.run) == "s/lr=0.1"
    train(name="a", epochs=1, observer=board)
    only = events_in(tmp_path / "tb" / "a")[0]
    only.rename(only.with_name("events.out.tfevents.1000000000.cnn.0"))  # as if it was written long ago
    train(name="a", epochs=1, observer=board, runs=tmp_path / "others")  # another run of that name
    train(resume="a", epochs=2, observer=board, runs=tmp_path / "others")
    folders = sorted(path.parent.relative_to(tmp_path / "tb").as_posix() for path in (tmp_path / "tb").rglob("events*"))
    assert folders == ["a", "a-2", "a-2", "cv-fold1", "cv-fold2", "s/lr=0.1"]


@pytest.mark.slow
def test_a_disk_that_refuses_ends_the_writing_and_not_the_training(train: Train, tmp_path: Path, all_of_it: None,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboardX.record_writer import RecordWriter

    said: list[str] = []
    monkeypatch.setattr(RecordWriter, "flush", lambda self: (_ for _ in ()).throw(OSError(28, "No space left")))
    run = train(observer=TensorBoard(tmp_path / "tb", said.append), name="a")
    assert outcome(run) == outcome(train(name="plain"))
    assert said == ["The training is not written for TensorBoard any more, but goes on: OSError: [Errno 28] No space "
                    "left."]


def test_without_the_library_and_among_images_it_is_refused(shared: Path, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tensorboardX", None)
        with pytest.raises(UsageError, match=r"needs the package tensorboardX; get it with: pip install '"):
            TensorBoard(tmp_path / "tb")
    pytest.importorskip("tensorboardX")
    with pytest.raises(UsageError, match="give another place with TensorBoard"):
        TensorBoard(shared / "data" / "tb", data=shared / "data")
