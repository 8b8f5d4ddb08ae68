"""watching/recorder.py: what is recorded, how often, and that recording never takes more than its share of the time,
which a clock of the test's own shows; and what ends a recording, which is never the training."""

import errno
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnncli.errors import DataError
from cnncli.watching import recorder as module
from cnncli.watching.recorder import MOST_LOOKS, MOST_STEPS, Recorder

from ..small_model import small_model

SUMMARY = {"architecture": "small", "images": {"train": 640, "val": 9}, "recipe": {"batch_size": 320}}
ROW = {"train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5, "learning_rate": 0.1,
       "images_per_second": float("nan"), "seconds": 2.0}


class Clock:
    """Seconds that go by when somebody does something."""

    def __init__(self) -> None:
        self.now, self.own = 1000.0, 0.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        """Let the recorder take its time."""
        self.now += seconds
        self.own += seconds


def images(labels: Any = (0, 1, 2) * 3) -> Any:
    model = small_model()
    return SimpleNamespace(labels=np.array(labels), samples=[SimpleNamespace(relative=f"{i}\n.png") for i in labels],
                           pixels=lambda rows: np.zeros((len(rows), *model.network.input_shape), np.uint8))


def looked_into(validation: Any = None) -> Any:
    model = small_model()
    gradients = {name: np.ones_like(array) for name, array in model.network.parameters().items()}
    return SimpleNamespace(model=model, validation=validation, weights=model.network.parameters(), gradients=gradients,
                           learning_rate=0.1)


def begun(path: Path, clock: Any, epochs: int, steps: int, inside: Any = None, **told: Any) -> Recorder:
    """Return a recorder that has heard that a training begins."""
    said = told.pop("said", [])
    recorder = Recorder(said.append, clock)
    for name, what in told.items():
        getattr(recorder, name)(*what)
    run: Any = SimpleNamespace(name="run", path=path, config={"samples": {"test": 7}})
    recorder.started(run, SUMMARY)
    recorder.looking_inside(inside or looked_into(images()))
    return recorder


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "watched.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(("a_step", "a_write", "a_look"), [
    (1e-3, 5e-5, 2e-3),  # a small network
    (1e-3, 5e-3, 0.5),  # a slow disk, and looks that take long
    (2.0, 5e-5, 0.05), (20.0, 1e-4, 9.0),  # a large network
    (6e-4, 1e-5, 1e-4),
], ids=str)
def test_it_never_takes_more_than_half_a_percent_of_the_time(a_step: float, a_write: float, a_look: float,
                                                              tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, epochs, steps, written, looks = Clock(), 20, 200, list[str](), list[int]()

    class Disk:
        was_there = True

        def __init__(self, path: Path) -> None: ...

        def write(self, line: bytes) -> None:
            clock.spend(a_write)
            written.append(json.loads(line)["what"])

        def close(self) -> None: ...

    class Looker:
        def __init__(self, *what: Any) -> None: ...

        def prepare(self) -> None:
            if not looks:
                clock.spend(3 * a_look)

        def forget(self) -> None: ...

        def remember(self) -> None:
            clock.spend(a_look / 4)

        def look(self, whole: bool) -> dict[str, Any]:
            looks.append(recorder._done)
            clock.spend(a_look)
            return {"layers": {}}

    monkeypatch.setattr(module, "Recording", Disk)
    monkeypatch.setattr(module, "Looker", Looker)
    recorder = begun(tmp_path, clock, epochs, steps)
    began, begins, worst = clock.now, 0.0, 0.0
    for epoch in range(1, epochs + 1):
        recorder.epoch_started(epoch, epochs, steps)
        begins = begins or clock.own
        for step in range(1, steps + 1):
            clock.now += a_step
            recorder.step_done(step, steps, 1.0, 0.5)
            worst = max(worst, (clock.own - begins - epoch * a_write - 4.25 * a_look) / (clock.now - began))
        clock.now += a_step * steps / 10
        recorder.epoch_done({"epoch": epoch, **ROW}, True)
    assert worst <= 0.005, "beyond the lines of epochs, and a first look that is dearer than was thought"
    assert abs(recorder.spent - clock.own) < epochs * steps * 1e-5
    assert written.count("epoch") == epochs
    assert written.count("step") <= MOST_STEPS + 1
    assert written.count("look") <= MOST_LOOKS + 1
    if a_look < 100 * a_step:
        assert written.count("step") > 20
        assert len(looks) > 1


def test_what_is_recorded(tmp_path: Path) -> None:
    clock = Clock()
    recorder = begun(tmp_path, clock, 2, 10, note=("Chosen: this.",))
    for epoch in (1, 2):
        recorder.epoch_started(epoch, 2, 10)
        for step in range(1, 11):
            clock.now += 10.0
            recorder.step_done(step, 10, 2.0 / epoch, float("nan"))
        recorder.note("Among them.")
        recorder.epoch_done({"epoch": epoch, **ROW}, epoch == 1)
    recorder.ended("finished")
    found = lines(tmp_path)
    begin = found[0]
    assert (begin["what"], begin["run"], begin["epochs"], begin["steps"], begin["done"]) == ("begin", "run", 2, 10, 0)
    assert begin["images"] == {"train": 640, "val": 9, "test": 7}
    assert begin["classes"][1:] == ["zwei\\nZeilen", "été \\udcff".replace("\\udcff", "\\xff")]
    assert [(e["name"], e["label"], e["picture"][:22]) for e in begin["examples"]][:2] == [
        ("0\\n.png", 0, "data:image/png;base64,"), ("1\\n.png", 1, "data:image/png;base64,")]
    assert begin["layers"][0] == {"name": "conv1", "kind": "Conv2d", "parameters": 3 * 3 * 3 * 4 + 4}
    assert [line["sentence"] for line in found if line["what"] == "note"] == ["Chosen: this.", *["Among them."] * 2]
    steps = [line for line in found if line["what"] == "step"]
    assert [line["step"] for line in steps] == list(range(1, 21)), "there is time for all of them"
    assert (steps[-1]["loss"], steps[-1]["accuracy"], steps[-1]["epoch"], steps[-1]["left"]) == (1.0, None, 2, 0.0)
    assert steps[3]["images_per_second"] == 16.0
    assert (steps[3]["left"], steps[9]["left"]) == (None, 100.0)
    looks = [line for line in found if line["what"] == "look"]
    assert [line["step"] for line in looks] == list(range(7, 21)), "a step is looked at whose beginning was remembered"
    assert looks[1]["filters"] is None
    assert looks[-1]["filters"] is not None, "the filters that the training ends with are shown"
    assert looks[0]["layers"]["conv1"]["gradients"] == pytest.approx(np.sqrt(3 * 3 * 3 * 4), rel=1e-4)
    assert looks[0]["layers"]["conv1"]["update"] == 0
    assert len(looks[0]["probabilities"]) == 9
    epochs = [line for line in found if line["what"] == "epoch"]
    assert [(line["epoch"], line["best"], line["images_per_second"]) for line in epochs] == [(1, True, None),
                                                                                            (2, False, None)]
    assert (found[-1]["what"], found[-1]["cause"]) == ("end", "finished")


def test_a_head_alone_is_looked_at_when_it_is_fitted(tmp_path: Path) -> None:
    clock = Clock()
    recorder = begun(tmp_path, clock, 1, 1)
    recorder.epoch_started(1, 1, 1)
    clock.now += 60
    recorder.epoch_done({"epoch": 1, **ROW}, True)
    recorder.ended("finished")
    assert [line["what"] for line in lines(tmp_path)] == ["begin", "epoch", "look", "end"]


def test_a_run_that_goes_on_goes_on_in_its_recording(tmp_path: Path) -> None:
    rows = [{"epoch": 1, **ROW}, {"epoch": 2, **ROW, "val_accuracy": 0.0}]
    for there in ("", '{"what":"begin","run":"run"}\n{"what":"step","st'):
        (tmp_path / "watched.jsonl").write_text(there)
        recorder = begun(tmp_path, Clock(), 4, 10, resumed=(rows, 3))
        recorder.epoch_started(3, 4, 10)
        recorder.ended("SIGTERM")
        written = (tmp_path / "watched.jsonl").read_text()
        assert written.startswith(there + "\n" * bool(there))
        found = [json.loads(line) for line in written.splitlines()[2 if there else 0 :]]
        assert (found[0]["what"], found[0]["done"]) == ("begin", 23)
        told = [(line["epoch"], line["best"]) for line in found if line["what"] == "epoch"]
        assert told == ([] if there else [(1, True), (2, False)]), "those that were not recorded"


@pytest.mark.parametrize("there", ["mine", "a folder", "nothing"])
def test_what_is_not_ours_is_left_alone_and_the_training_goes_on(there: str, tmp_path: Path) -> None:
    file, said = tmp_path / "watched.jsonl", list[str]()
    if there == "mine":
        file.write_text('{"step": 1}\n')
    elif there == "a folder":
        file.mkdir()
    recorder = begun(tmp_path if there != "nothing" else tmp_path / "gone", Clock(), 1, 3, said=said)
    for epoch in (1, 2):
        recorder.epoch_started(epoch, 2, 3)
        for step in (1, 2, 3):
            recorder.step_done(step, 3, 1.0, 0.5)
        recorder.epoch_done({"epoch": epoch, **ROW}, True)
    recorder.ended("finished")
    assert len(said) == 1
    assert said[0].startswith("The training is not recorded for its page any more, but goes on: ")
    if there == "mine":
        assert file.read_text() == '{"step": 1}\n'
        assert "is there already and is not a recording of a training" in said[0]


@pytest.mark.parametrize("when", ["begin", "step", "epoch", "note", "end"])
def test_a_full_disk_ends_the_recording_once(when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = Clock(), list[str]()
    real = module.Recording.write

    def write(self: Any, line: bytes) -> None:
        if json.loads(line)["what"] == when:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, line)

    monkeypatch.setattr(module.Recording, "write", write)
    recorder = begun(tmp_path, clock, 1, 3, said=said)
    for _ in range(2):
        recorder.epoch_started(1, 1, 3)
        for step in (1, 2, 3):
            clock.now += 10
            recorder.step_done(step, 3, 1.0, 0.5)
        recorder.note("More.")
        recorder.epoch_done({"epoch": 1, **ROW}, True)
    recorder.ended("finished")
    assert said == ["The training is not recorded for its page any more, but goes on: no space left on device."]


def test_examples_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    def gone(rows: Any) -> Any:
        raise DataError("a.png is gone.")

    recorder = begun(tmp_path, Clock(), 1, 3, looked_into(SimpleNamespace(**{**vars(images()), "pixels": gone})))
    recorder.epoch_started(1, 1, 3)
    recorder.ended("an error")
    assert lines(tmp_path)[0]["examples"] == []
    assert lines(tmp_path)[1] == {"what": "note", "sentence": "There are no examples: a.png is gone."}


def test_without_validation_images_there_are_no_examples(tmp_path: Path) -> None:
    clock = Clock()
    recorder = begun(tmp_path, clock, 1, 9, looked_into(None))
    recorder.epoch_started(1, 1, 9)
    for step in range(1, 10):
        clock.now += 10
        recorder.step_done(step, 9, 1.0, 0.5)
    recorder.ended("finished")
    found = lines(tmp_path)
    assert found[0]["examples"] == []
    assert [line["probabilities"] for line in found if line["what"] == "look"] == [[]] * 3
