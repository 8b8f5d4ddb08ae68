"""page/training.py: the curves of a training on a model's page, made of any history, and none where there is none."""

import re
from pathlib import Path
from typing import Any

import pytest

from cnncli.page.training import Trained, trained
from cnncli.runs.opened import Opened

from ..cli.test_runs import make
from ..small_model import small_model
from .test_rendering import rendered


def of(folder: Path, accuracies: list[float | None], file: str = "model.safetensors") -> Trained | None:
    run = make(folder, "r", accuracies)
    return trained(Opened(small_model(), run.path / file, run))


def lines(drawing: str) -> dict[str, list[tuple[float, float]]]:
    """The points of the lines of a drawing, by their colours."""
    found = re.findall(r'<path d="M([^H"]*?)" stroke="(.*?)"', drawing)
    return {colour: [(float(x), float(y)) for x, y in (point.split() for point in path.split("L"))]
            for path, colour in found}


def test_accuracy_and_loss_are_drawn(tmp_path: Path) -> None:
    found = of(tmp_path, [0.5, 0.9, 0.8])
    assert found is not None
    assert found.validated
    assert found.kept == ("The network was kept as it was after epoch 2 of 3, when it had 90.0\u202f% of the "
                          "validation images right.")
    accuracy, loss = found.drawings
    assert lines(accuracy) == {"currentColor": [(52, 156), (181, 156), (310, 156)],
                               "var(--accent)": [(52, 156), (181, 30), (310, 61.5)]}
    assert re.findall(r">([^<>]+)</text>", accuracy) == ["50 %", "70 %", "90 %", "1", "3", "epoch", "accuracy"]
    assert 'aria-label="accuracy by epoch; at the end training 50 %, validation 80 %"' in accuracy
    assert accuracy.count("<circle") == 3
    assert re.findall(r">([^<>]+)</text>", loss) == ["0.5", "0.75", "1", "1", "3", "epoch", "loss"]


def test_without_validation_images_nothing_is_said_of_them(tmp_path: Path) -> None:
    found = of(tmp_path, [None, None])
    assert found is not None
    assert (found.validated, len(found.drawings)) == (False, 2)
    assert found.kept == "The network was kept as it was after epoch 2 of 2."
    assert [*lines(found.drawings[0])] == ["currentColor"]
    assert "validation" not in "".join(found.drawings)


def test_one_epoch_is_a_dot_and_very_many_are_thinned(tmp_path: Path) -> None:
    one = of(tmp_path / "one", [0.5])
    assert one is not None
    assert one.drawings[0].count("<circle") == 2
    many = of(tmp_path / "many", [i / 1000 for i in range(1000)])
    assert many is not None
    points = lines(many.drawings[0])["var(--accent)"]
    assert 100 < len(points) <= 151
    assert (points[0][0], points[-1]) == (52, (310, 30))
    assert "<circle" not in many.drawings[0]
    assert sum(map(len, many.drawings)) < 10_000


@pytest.mark.parametrize("damage", [lambda run: (run.path / "history.csv").unlink(),
                                    lambda run: (run.path / "history.csv").write_bytes(b"\xff"),
                                    lambda run: (run.path / "config.json").write_text("{")])
def test_where_no_history_can_be_read_there_is_none(damage: Any, tmp_path: Path) -> None:
    run = make(tmp_path, "r", [0.5])
    damage(run)
    assert trained(Opened(small_model(), run.path / "model.safetensors", run)) is None


def test_numbers_that_are_none_are_left_out(tmp_path: Path) -> None:
    run = make(tmp_path, "r", [0.5, 0.6])
    run.write_history([{**row, "train_loss": float("nan"), "val_loss": float("inf")} for row in run.history])
    found = trained(Opened(small_model(), Path("last.safetensors"), run))
    assert found is not None
    assert (len(found.drawings), found.kept) == (1, ""), "of another model of the run it is not known"


def test_a_model_alone_has_no_training(tmp_path: Path) -> None:
    assert trained(Opened(small_model(), Path("m.safetensors"), None)) is None
    assert 'id="trained"' not in rendered()


def test_the_page_shows_it(tmp_path: Path) -> None:
    found = of(tmp_path, [0.5, 0.9])
    assert found is not None
    page = rendered(trained=found)
    assert "<h2>How <bdi>&lt;i&gt;m&lt;/i&gt;" in page
    assert found.kept in page
    for drawing in found.drawings:
        assert drawing in page
    assert page.count("The thick line") == 1
    assert "The thick line" not in rendered(trained=Trained(found.drawings, "", validated=False))
    assert " style=" not in "".join(found.drawings), "the page's policy would refuse it"
