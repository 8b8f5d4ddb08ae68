"""explain/where.py: which folder the explanations of which images go to, so that none takes the place of others."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cnncli.errors import UsageError
from cnncli.explain import where
from cnncli.explain.shortcut_sheet import SHORTCUTS
from cnncli.explain.where import HELD_OUT, subject_of
from cnncli.runs.opened import Opened
from cnncli.runs.run import Run
from cnncli.visualize.canvas import Canvas

from .test_explanation import lit, sides


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    monkeypatch.chdir(tmp_path)
    for name in ("a/photos", "b/photos", "runs/one"):
        (tmp_path / name).mkdir(parents=True)
    return Opened(sides(), Path("runs/one/model.safetensors"), Run("runs/one"))


def explain(opened: Opened, data: Any, folder: str | None = None) -> Path:
    """Write a picture of that name about images, as explanations are; return the folder."""
    with where.claimed(opened, {"s.png": SHORTCUTS}, subject_of(data), folder) as into:
        Canvas(4, 4).save(into / "s.png", SHORTCUTS)
    return into


def test_images_held_out_and_others_have_folders_of_their_own(opened: Opened) -> None:
    run = Path("runs/one")
    assert explain(opened, None) == run / "explained"
    other = Opened(opened.model, run / "model-int8.safetensors", opened.run)
    assert explain(other, None) == run / "explained-model-int8"
    assert explain(other, "a/photos") == run / "explained-model-int8-photos"
    assert explain(opened, "a/photos") == run / "explained-photos"
    assert explain(opened, "b/photos") == run / "explained-photos-2"
    assert explain(opened, ["b/photos/x.png", "b/photos/more/y.png"]) == run / "explained-photos-2"
    assert explain(opened, Path("a/photos/")) == run / "explained-photos", "the same images, the same folder"
    assert explain(opened, "a/photos/x.png") == run / "explained-photos"
    assert explain(opened, ["a/photos/x.png", "b/photos/x.png"]) == run / f"explained-{Path.cwd().name}"
    assert explain(opened, (lit(3, 3)[None], [0])) == run / "explained-arrays"
    assert explain(opened, [lit(3, 3)]) == run / "explained-arrays"
    assert explain(opened, "b/photos", "why") == Path("why")
    assert not [*run.glob("explained/*.json"), *Path("why").glob("*.json")]
    assert json.loads((run / "explained-photos-2" / "images.json").read_bytes()) == {
        "explained": str(Path("b/photos").absolute())}


def test_a_model_in_no_run(opened: Opened) -> None:
    loose = Opened(opened.model, Path("m.safetensors"), None)
    assert [explain(loose, data) for data in (None, "a/photos", "b/photos", "a/photos", None)] == [
        Path(name) for name in ("m-explained", "m-explained", "m-explained-photos", "m-explained", "m-explained")]


@pytest.mark.parametrize("damage", [
    lambda note: note.unlink(), lambda note: note.write_bytes(b'{\n  "explained": "'),
])
def test_a_folder_that_does_not_say_whose_it_is_is_taken(opened: Opened, damage: Callable[[Path], None]) -> None:
    damage(explain(opened, "a/photos") / where.SOURCE)
    assert explain(opened, "b/photos") == Path("runs/one/explained-photos")


def test_nothing_is_left_where_nothing_was_written(opened: Opened) -> None:
    with (pytest.raises(KeyboardInterrupt),
          where.claimed(opened, {"s.png": SHORTCUTS}, subject_of("a/photos"))):
        raise KeyboardInterrupt
    assert [*Path("runs/one").iterdir()] == []


def test_what_was_written_before_it_was_stopped_says_whose_it_is(opened: Opened) -> None:
    with (suppress(KeyboardInterrupt),
          where.claimed(opened, {"s.png": SHORTCUTS, "t.png": SHORTCUTS}, subject_of("a/photos")) as into):
        Canvas(4, 4).save(into / "t.png", SHORTCUTS)
        raise KeyboardInterrupt
    assert sorted(path.name for path in into.iterdir()) == ["images.json", "t.png"]


def test_another_file_called_like_the_note_is_kept(opened: Opened) -> None:
    mine = Path("runs/one/explained-photos/images.json")
    mine.parent.mkdir()
    mine.write_text('{"mine": 1}')
    assert explain(opened, "a/photos") == Path("runs/one/explained-photos-2")
    mine.write_text("mine")
    with pytest.raises(UsageError, match=r"images\.json is there already and is not a note on which images"):
        explain(opened, "b/photos")
    assert mine.read_text() == "mine"


def test_what_is_held_out_is_so_whoever_says_it() -> None:
    assert subject_of(None) == HELD_OUT
    assert HELD_OUT.held_out
