"""The picture of a sweep: one run or very many, settings that are numbers or words, runs that failed or learnt nothing.
"""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cnncli.report import swept
from cnncli.report.swept import Entry

FACTORS = ["lr", "weight-decay"]


def entry(accuracy: float | None, epochs: int = 4, **settings: Any) -> Entry:
    """A run that rose to an accuracy; one that failed when it had 10 %."""
    last = 0.1 if accuracy is None else accuracy
    rows = [{"epoch": i + 1, "val_accuracy": last * (i + 1) / epochs} for i in range(epochs)]
    return Entry(settings, {name: str(value) for name, value in settings.items()}, rows, accuracy, epochs)


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Draw runs, and return the axes of the curves, of the names and of each setting, instead of making pixels."""
    import matplotlib.figure  # noqa: F401  (here, because it takes long)

    kept: list[Any] = []
    monkeypatch.setattr(swept, "save", lambda figure, path, kind: kept.append(figure.axes))

    def drawn(entries: list[Entry], error: float = 0.01) -> list[Any]:
        swept.draw(entries, "sweep.png", "t", FACTORS, error)
        found: list[Any] = kept.pop()
        return found

    return drawn


def words(names: Any) -> list[str]:
    return [text.get_text() for text in names.texts]


def dots(panel: Any) -> list[tuple[float, float, str]]:
    """Where a panel's dots lie, and how they look, in the order of the runs."""
    return [(line.get_xdata()[0], line.get_ydata()[0], line.get_marker()) for line in panel.lines][::-1]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 200])
def test_any_number_of_runs_fills_a_picture(count: int, tmp_path: Path) -> None:
    path = swept.draw([entry(0.9 - i / 1000, lr=0.1 + i, arch=f"net-{i % 3}") for i in range(count)],
                      tmp_path / "sweep.png", "a $x$ 網 sweep\n", FACTORS, 0.01)
    with Image.open(path) as image:
        assert image.info["Software"] == "cnn the runs of a sweep"
        assert image.size == (1430, 484 if count == 1 else 847)


def test_the_best_are_named_by_what_differs_and_the_others_counted(axes: Any) -> None:
    curves, names, *panels = axes([entry(0.9 - i / 100, lr=i, arch="resnet8") for i in range(7)])
    assert words(names)[:6] == [f"{90 - i}.0%  lr={i}" for i in range(5)] + ["2 other runs"]
    assert [panel.get_title() for panel in panels] == ["lr"], "what is the same for all is not shown"
    named = {line.get_color() for line in names.lines}
    assert {line.get_color() for line in curves.lines} == named
    assert len(named) == 6
    best = [line for line in curves.lines if line.get_color() == "#d55e00"]
    assert [line.get_xydata().tolist() for line in best] == [
        [[i + 1, pytest.approx(0.225 * (i + 1))] for i in range(4)], [[4, 0.9]]]
    low, high = curves.get_ylim()
    assert low < 0.25 * 0.86
    assert 0.9 < high < 1


def test_one_run_is_named_by_its_settings_and_has_no_panels(axes: Any) -> None:
    curves, names = axes([entry(0.75, lr=0.1, arch="a")])
    assert words(names) == ["75.0%  lr=0.1, arch=a", "The large sign is the epoch whose model the run keeps."]
    assert curves.get_title() == "Accuracy on the validation images"


def test_each_setting_has_a_dot_for_each_run(axes: Any) -> None:
    _, _, lr, arch = axes([entry(0.9, lr=0.1, arch="b"), entry(0.8, lr=0.01, arch="a"), entry(0.7, lr=1, arch="b")])
    assert dots(lr) == [(0.1, 0.9, "o"), (0.01, 0.8, "s"), (1, 0.7, "^")]
    assert (lr.get_xscale(), lr.get_title()) == ("log", "lr")
    assert [tick.get_text() for tick in lr.get_xticklabels()] == ["0.01", "0.1", "1"]
    assert dots(arch) == [(1, 0.9, "o"), (0, 0.8, "s"), (1, 0.7, "^")]
    assert [tick.get_text() for tick in arch.get_xticklabels()] == ["a", "b"]
    assert lr.get_ylim() == arch.get_ylim() == pytest.approx((0.68, 0.916))
    band = lr.patches[0].get_extents().transformed(lr.transData.inverted())
    assert (band.y0, band.y1) == pytest.approx((0.89, 0.9))


def test_scales_suit_the_numbers(axes: Any) -> None:
    drawn = [entry(0.9 - i / 1000, lr=0.01 * 1.05**i, warmup=i / 10, seed=i % 2, **{"weight-decay": i % 3})
             for i in range(30)]
    lr, warmup, seed, decay = axes(drawn)[2:]
    assert [panel.get_xscale() for panel in (lr, warmup, seed, decay)] == ["log", "linear", "linear", "linear"]
    assert [tick.get_text() for tick in lr.get_xticklabels()] == ["0.01", "0.02"], "not only powers of ten"
    low, high = warmup.get_xlim()
    assert low < 0
    assert high > 2.9
    assert [tick.get_text() for tick in seed.get_xticklabels()] == ["0", "1"]


def test_words_beside_numbers_and_many_runs_of_one_value_lie_apart(axes: Any) -> None:
    panel = axes([entry(0.5, size=value) for value in (8, (8, 8), None, True)] + [entry(0.4, size=8)] * 4)[2]
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["(8, 8)", "8", "None", "True"]
    places = [x for x, _, _ in dots(panel)]
    assert places[1:4] == [0, 2, 3]
    assert len({places[0], *places[4:]}) == 5
    assert all(0.7 < x < 1.3 for x in (places[0], *places[4:]))


def test_runs_that_failed_and_one_that_learnt_nothing_stand_at_the_edge(axes: Any) -> None:
    curves, names, panel = axes([*(entry(0.9 - i / 100, lr=i + 1) for i in range(3)), entry(0.1, lr=4),
                                 entry(None, epochs=2, lr=5), Entry({"lr": 6}, {"lr": "6"}, [], None)])
    low, _ = panel.get_ylim()
    assert 0.8 < low < 0.88
    assert dots(panel)[3:] == [(4, low, 11), (5, low, "x"), (6, low, "x")]
    assert "2 failed" in words(names)
    assert "A caret at the lower edge stands for a run that lies further below." in words(names)
    assert [line.get_xydata().tolist() for line in curves.lines if line.get_linestyle() == ":" and
            line.get_color() == "#9aa0a6"] == [[[1, 0.05], [2, 0.1]]]
    assert "1 failed: lr=2" in words(axes([entry(0.9, lr=1), entry(None, lr=2)])[1])


@pytest.mark.slow
def test_long_and_very_many_words_are_cut(axes: Any) -> None:
    panels = axes([entry(0.9 - i / 100, **{f"s{j}": f"{'word' * 9}{i}" for j in range(9)}) for i in range(30)])
    assert len(panels) == 2 + 8
    assert "Below are 8 of 9 settings." in words(panels[1])
    assert max(map(len, words(panels[1])[:5])) == 7 + 58
    labels = [tick.get_text() for tick in panels[2].get_xticklabels()]
    assert len(labels) == 30
    assert sum(map(bool, labels)) == 15
    assert max(map(len, labels)) == 16
    assert {tick.get_rotation() for tick in panels[2].get_xticklabels()} == {25}


def test_where_all_failed_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no run to draw"):
        swept.draw([entry(None, lr=1)], tmp_path / "a.png", "t")
    assert not list(tmp_path.iterdir())
