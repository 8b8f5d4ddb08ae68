"""The curves of a training: any number of epochs, any of the columns missing."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cnncli.optim import Schedule
from cnncli.report import curves


def history(epochs, **changes):
    return [
        {"epoch": e + 1, "train_loss": 2 / (e + 1), "val_loss": 2.2 / (e + 1), "train_accuracy": 1 - 0.9 / (e + 1),
         "val_accuracy": 0.9 - 0.8 / (e + 1), "learning_rate": 0.1 / (e + 1), "images_per_second": 99.0, "seconds": 1.0}
        | changes
        for e in range(epochs)
    ]


def colours(path):
    """How much of each of the two lines' colours is in the picture: (training, validation), in pixels."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    wanted = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (curves.TRAIN, curves.VALIDATION)]
    return [int((np.abs(pixels - colour).sum(axis=2) < 20).sum()) for colour in wanted]


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 2, 15, 200])
def test_draws_training_and_validation(epochs, tmp_path):
    training, validation = colours(curves.draw(history(epochs), tmp_path / "curves.png", "runs/a: lenet5"))
    assert training > 60
    assert validation > 60


@pytest.mark.slow
def test_rows_of_a_csv_file_are_text_and_may_be_empty(tmp_path):
    rows = [{k: str(v) for k, v in row.items()} for row in history(5)]
    assert min(colours(curves.draw(rows, tmp_path / "text.png", "t"))) > 60
    rows = history(5, val_loss="", val_accuracy=None)
    training, validation = colours(curves.draw(rows, tmp_path / "a.png", "t"))
    assert training > 60
    assert validation == 0


@pytest.mark.slow
def test_numbers_that_are_none_are_left_out(tmp_path):
    rows = history(3)
    rows[1]["train_loss"] = float("nan")
    rows[2]["val_loss"] = "inf"
    curves.draw(rows, tmp_path / "a.png", "t")
    curves.draw([{"epoch": 1}], tmp_path / "empty.png", "t")
    curves.draw(history(3, learning_rate=0.0), tmp_path / "zero.png", "t")


@pytest.mark.slow
@pytest.mark.parametrize("title", ["runs/$x^2$ \\frac{", "runs/帽子 кошка", "two\nlines \x1b \udce9", ""])
def test_any_name_can_be_the_title(title, tmp_path):
    curves.draw(history(2), tmp_path / "a.png", title)


@pytest.fixture
def axes(monkeypatch):
    """Draw a history, and return the axes of losses, accuracies and rates instead of making pixels of them."""
    import matplotlib.figure  # noqa: F401  (here, because it takes long)

    kept = []
    monkeypatch.setattr(curves, "save", lambda figure, path, kind: kept.append(figure.axes))

    def drawn(rows, of=None, steps=None):
        curves.draw(rows, "curves.png", "t", of, steps)
        return kept.pop()

    return drawn


@pytest.mark.slow
def test_each_line_shows_its_column(axes):
    rows = history(4)
    losses, accuracies, rates = axes(rows)
    *shown, dots = [(a, line) for a in (losses, accuracies, rates) for line in a.lines if len(line.get_xdata()) == 4]
    columns = ["train_loss", "val_loss", "train_accuracy", "val_accuracy", "learning_rate"]
    assert [line.get_xydata().tolist() for _, line in shown] == [[[r["epoch"], r[c]] for r in rows] for c in columns]
    assert dots[1].get_xydata().tolist() == shown[-1][1].get_xydata().tolist()
    assert [line.get_label() for _, line in shown[:4]] == ["training", "validation"] * 2
    assert [line.get_color() for _, line in shown] == [curves.TRAIN, curves.VALIDATION] * 2 + [curves.RATE]
    assert [line.get_linestyle() for _, line in shown] == ["-", "--", "-", "--", "-"]
    assert [a.get_title() for a in (losses, rates)] == ["Loss", "Learning rate"]
    assert all(a.get_xlim() == (0.5, 4.5) for a in (losses, accuracies, rates))
    assert (dots[1].get_linestyle(), dots[1].get_marker(), dots[1].get_markersize()) == ("None", "o", 5)
    assert rates.get_ylim() == pytest.approx((0, 0.108))
    assert accuracies.yaxis.get_major_formatter()(0.5) == "50%"


def ends(schedule, epochs, size):
    """A history whose rows have the learning rates of the epochs' last steps, as history.csv has them."""
    return [row | {"learning_rate": float(f"{schedule(row['epoch'] * size - 1):.7g}")} for row in history(epochs)]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "warmup"), [("one-cycle", None), ("cosine", 7), ("triangular", None), ("step", 2)])
def test_the_learning_rate_is_that_of_each_step(axes, kind, warmup):
    schedule = Schedule(kind, 0.1, 30, warmup)
    line, dots = axes(ends(schedule, 3, 10), None, (schedule, 10))[2].lines
    assert line.get_xydata().tolist() == [[(step + 1) / 10, pytest.approx(schedule(step))] for step in range(30)]
    assert dots.get_xdata().tolist() == [1, 2, 3]
    low, high = line.axes.get_xlim()
    assert low < 0.1
    assert high > 3
    assert line.axes.get_ylim()[1] > max(map(schedule, range(30))), "the peak lies within an epoch"


@pytest.mark.slow
def test_where_the_schedule_was_another_one_a_line_leads_from_end_to_end(axes):
    """As before a run was made longer, or where nobody knows how many steps there were."""
    before, now = Schedule("cosine", 0.1, 20), Schedule("cosine", 0.1, 40)
    rows = ends(before, 2, 10) + ends(now, 4, 10)[2:]
    line, _ = axes(rows, None, (now, 10))[2].lines
    xs, ys = (values.tolist() for values in line.get_data())
    assert xs == [1, 2, *((step + 1) / 10 for step in range(20, 40))]
    assert ys[:3] == [rows[0]["learning_rate"], rows[1]["learning_rate"], now(20)]
    shown = axes(rows, None, (Schedule("cosine", 0.1, 44), 11))[2]
    assert shown.lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    assert shown.get_xlim() == (0.5, 4.5)
    assert axes([{"epoch": 1}], None, (now, 10))[2].lines[:] == []


@pytest.mark.slow
def test_of_very_many_steps_some_are_drawn(axes):
    schedule = Schedule("one-cycle", 0.1, 40_000)
    line, _ = axes(ends(schedule, 4, 10_000), None, (schedule, 10_000))[2].lines
    assert 1000 < len(line.get_xdata()) < 3000
    assert max(line.get_ydata()) > 0.0999


@pytest.mark.slow
def test_the_epoch_whose_model_is_kept_is_marked(axes):
    """Which need not be the most accurate one: few images cannot tell two alike epochs apart."""
    rows = [row | {"val_accuracy": a} for row, a in zip(history(3), (0.5, 0.9, 0.88), strict=True)]
    shown = axes(rows, rows[2])[1]
    assert shown.get_title() == "Accuracy (the model: 88.0% in validation, epoch 3)"
    assert (shown.lines[-1].get_xdata(), shown.lines[-1].get_zorder()) == ([3, 3], 0)


@pytest.mark.slow
def test_one_epoch_is_no_best_one_and_nothing_is_said_to_be_missing(axes):
    assert axes(history(1))[1].get_title() == "Accuracy"
    [text] = axes([{"epoch": 1}])[0].texts
    assert (text.get_text(), text.get_position()) == ("no numbers", (0.5, 0.5))
    assert axes(history(2), {"epoch": 2, "val_accuracy": None})[1].get_title() == "Accuracy"
    assert axes(history(3, learning_rate=0.0))[2].get_ylim() == (0, 1)


@pytest.mark.slow
def test_rows_that_name_no_epoch_stand_in_their_order(axes):
    for nothing in ({"epoch": None}, {"epoch": ""}, {"epoch": "nan"}):
        losses = axes(history(4, **nothing))[0]
        assert losses.lines[0].get_xdata().tolist() == [1, 2, 3, 4]
        assert losses.get_xlim() == (0.5, 4.5)


@pytest.mark.slow
def test_small_rates_are_written_with_a_power_of_ten(axes):
    for rate in (9e3, 0.5, 0.01, 0.001, 0.0001, 1e-6):
        shown = axes(history(3, learning_rate=rate))[2].yaxis.get_major_formatter()
        shown.set_locs([0, rate])
        assert bool(shown.get_offset()) == (rate < 0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("epochs", "ticks"), [(1, [1]), (4, [1, 2, 3, 4]), (11, [2, 4, 6, 8, 10]),
                                               (200, [*range(0, 201, 25)])])
def test_epochs_are_counted_in_whole_numbers(axes, epochs, ticks):
    shown = axes(history(epochs))[0]
    low, high = shown.get_xlim()
    assert [tick for tick in shown.get_xticks() if low <= tick <= high] == ticks


@pytest.mark.slow
@pytest.mark.parametrize(("epochs", "size"), [(20, 5), (21, 2.5), (60, 2.5), (61, 0)])
def test_dots_grow_smaller_with_their_number(axes, epochs, size):
    shown = axes(history(epochs))
    assert {line.get_markersize() for line in shown[0].lines} == {size}
    margin = max(0.5, 0.03 * (epochs - 1))
    assert shown[0].get_xlim() == pytest.approx((1 - margin, epochs + margin))


def test_no_epoch_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no epochs"):
        curves.draw([], tmp_path / "a.png", "t")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_matplotlib_is_loaded_only_for_drawing_and_pyplot_never(tmp_path):
    code = f"""
import sys
from cnncli.report import confusion, curves, mistakes, tables
from cnncli.visualize import activations, filters
assert "matplotlib" not in sys.modules, "loaded without need"
curves.draw([{{"epoch": 1, "train_loss": 1.0}}], {str(tmp_path / "a.png")!r}, "t")
assert "matplotlib.pyplot" not in sys.modules, "pyplot keeps figures alive and picks a window system"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
