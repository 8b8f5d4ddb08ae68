"""explain/pictures.py: which files the pictures of images go to, held before anything is drawn."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cnncli.data.finding import Missing
from cnncli.errors import ImageError, UsageError
from cnncli.explain import pictures
from cnncli.explain.explanation import Beside, Explanation
from cnncli.explain.picture import EXPLANATION, Drawn
from cnncli.explain.pictures import claimed, draw_explanations
from cnncli.runs.opened import Opened

from .test_explanation import lit, sides


def test_the_files_that_are_held_are_those_that_are_drawn(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    paths = [str(tmp_path / "photos" / name) for name in ("a.png", "b c.png")]
    for path in paths:
        Image.fromarray(lit(3, 3)).save(path)
    opened, into = Opened(sides(), Path("sides.safetensors"), None), tmp_path / "why"
    drawn = [each.file for each in draw_explanations(opened, paths) if not isinstance(each, Missing)]
    assert drawn == ["explained-a.png", "explained-b_c.png"]
    into.mkdir()
    for name in drawn:
        (into / name).write_bytes(b"mine")
        with pytest.raises(UsageError, match=f"{name} is there already"), claimed(opened, paths, into):
            pass
        (into / name).unlink()
    with claimed(opened, paths, into) as folder:
        assert folder == into


def test_what_is_no_image_stops_nothing_and_what_is_said_stands_beside_the_first(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "draw", lambda shown, title, pixels: ([one.target for one in shown], pixels.shape))
    (tmp_path / "left").mkdir()
    paths = [str(tmp_path / "left" / name) for name in ("a.png", "b.png", "c.png")]
    for path, place in ((paths[0], 3), (paths[2], 27)):
        Image.fromarray(lit(place, 15)).save(path)
    Path(paths[1]).write_bytes(b"no image")
    opened, asked = Opened(sides(), Path("sides.safetensors"), None), list[Explanation]()

    def tell(found: Explanation) -> Beside:
        asked.append(found)
        return Beside([f"line {len(asked)}"], {})

    right, missing, wrong = draw_explanations(opened, paths, besides=[tell, tell])
    assert isinstance(right, Drawn)
    assert isinstance(missing, Missing)
    assert isinstance(wrong, Drawn)
    assert missing.path == paths[1]
    assert [(each.file, [one.target for one in each.explanations]) for each in (right, wrong)] == [
        ("explained-a.png", ["left", right.explanations[0].runner_up[0]]),
        ("explained-c.png", ["right", "left", "right"])]
    assert [one.lines for one in wrong.explanations] == [["line 3", "line 4"], [], []]
    assert [found.path for found in asked] == [paths[0], paths[0], paths[2], paths[2]]
    assert (right.pixels == lit(3, 15)).all()
    assert wrong.canvas == (["right", "left", "right"], (24, 36, 3))


def test_an_image_that_goes_away_before_it_is_drawn_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                                 ) -> None:
    paths = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for path in paths:
        Image.fromarray(lit(3, 3)).save(path)
    real = pictures.pixels_of

    def gone(each: Explanation) -> Any:
        if each.path == paths[0]:
            raise ImageError(each.path, "it is not there")
        return real(each)

    monkeypatch.setattr(pictures, "pixels_of", gone)
    missing, drawn = draw_explanations(sides(), paths)
    assert isinstance(missing, Missing)
    assert isinstance(drawn, Drawn)
    assert (missing.path, drawn.file) == (paths[0], "explained-b.png")
    assert "it is not there" in missing.error


def test_titles_are_the_files_names_and_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    monkeypatch.setattr(pictures, "draw", lambda shown, title, pixels: titles.append(title))
    list(draw_explanations(Opened(sides(), Path("small.safetensors"), None), [lit(3, 3), lit(9, 3)]))
    assert titles == [f"images[{i}] in {Opened(sides(), Path('small.safetensors'), None).name}" for i in (0, 1)]


def test_by_default_they_go_beside_the_model_with_what_else_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                                   ) -> None:
    monkeypatch.chdir(tmp_path)
    opened, held = Opened(sides(), Path("small.safetensors"), None), list[Any]()
    monkeypatch.setattr(Opened, "claim", lambda self, kinds, **how: held.append((kinds, how)) or nullcontext())
    with claimed(opened, ["a.png", lit(3, 3), "x/a.png"], force=True, beside={"all.html": EXPLANATION}) as folder:
        assert folder.name == "small-explained"
    [(kinds, how)] = held
    assert kinds == {folder / name: EXPLANATION for name in ("explained-a.png", "explained-a-2.png", "all.html")}
    assert how == {"reads": ["a.png", "x/a.png"], "force": True, "make": True}
