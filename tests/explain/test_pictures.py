"""explain/pictures.py: which files the pictures of images go to, held before anything is drawn."""

from pathlib import Path

import pytest
from PIL import Image

from cnncli.data.finding import Missing
from cnncli.errors import UsageError
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
