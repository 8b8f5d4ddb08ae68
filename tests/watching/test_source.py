"""watching/source.py: the lines of a recording as they come, whatever has become of it, and what is made of the folder
of a run that was not recorded."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cnncli.runs import Run
from cnncli.runs.kept import judged
from cnncli.watching.source import Place, Source

from ..trained import home, trained

__all__ = ["home", "trained"]


def said(source: Source, place: Place) -> list[str]:
    return [str(line.get("n", line["what"])) for line in source.lines(place)]


def test_lines_come_as_they_are_written_and_broken_ones_are_left_out(tmp_path: Path) -> None:
    file, source, place = tmp_path / "watched.jsonl", Source(Run(tmp_path)), Place()
    assert said(source, place) == []
    with file.open("ab", buffering=0) as out:
        out.write(b'{"what":"begin","n":1}\n{"what":"step","n":')
        assert said(source, place) == ["1"]
        assert said(source, place) == []
        out.write(b'2}\n\n[1]\nno\xff\n{"n":0}\n{"what":3}\n{"what":"step","n":NaN}\n')
        out.write(b'{"what":' + b"[" * 100_000 + b"\n" + b'{"what":"step","n":3}\r\n')
        assert said(source, place) == ["2", "None", "3"]
        again = Place.parsed(str(place))
        out.write(b'{"what":"end","n":4}\n')
        assert (said(source, place), said(source, again)) == (["4"], ["4"])
    late = Place()
    assert said(source, late) == ["1", "2", "None", "3", "4"], "who comes in the middle gets all"
    file.write_bytes(b'{"what":"begin","n":5}\n')
    assert said(source, place) == ["5"], "it is another file"
    file.unlink()
    assert said(source, place) == []


def test_a_line_without_an_end_does_not_stay_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnncli.watching.source._AT_ONCE", 100)
    (tmp_path / "watched.jsonl").write_bytes(b"x" * 250 + b'\n{"what":"step","n":1}\n')
    source, place = Source(Run(tmp_path)), Place()
    assert [word for _ in range(5) for word in said(source, place)] == ["1"]


@pytest.mark.parametrize(("text", "place"), [("12.3", (12, 3)), ("", (0, 0)), ("a.b", (0, 0)), ("-1.2", (0, 0)),
                                             ("1", (0, 0)), ("9" * 5000 + ".1", (0, 0)), ("²·³.1", (0, 0))])
def test_places_are_read_back(text: str, place: tuple[int, int]) -> None:
    found = Place.parsed(text)
    assert (found.bytes, found.lines) == place


@pytest.mark.slow
def test_of_a_run_that_was_not_recorded_there_is_what_its_folder_has(home: Path) -> None:
    run, place = Run(home / "runs" / "small"), Place()
    source = Source(run)
    found: list[Any] = list(source.lines(place))
    assert [line["what"] for line in found] == ["begin", "epoch", "epoch", "look", "end"]
    begin, look = found[0], found[3]
    config = run.config
    assert (begin["run"], begin["architecture"], begin["epochs"]) == ("small", "lenet5", 2)
    assert begin["steps"] == -(-config["images"]["train"] // config["recipe"]["batch_size"])
    assert begin["classes"][1] == "new\\nline"
    assert begin["images"]["test"] == config["samples"]["test"]
    assert begin["layers"][0]["name"] == "conv1"
    assert look["step"] == run.model.training["epoch"] * begin["steps"]
    assert look["layers"]["conv1"]["weights"] > 0
    assert look["filters"]["layer"] == "conv1"
    assert json.dumps(found, allow_nan=False)
    assert list(source.lines(place)) == []
    assert [line["what"] for line in Source(run).lines(Place())] == [line["what"] for line in found]
    waiting, late = Source(run), Place()
    waiting.waits = True
    assert said(waiting, late) == []
    (run.path / "watched.jsonl").write_bytes(b'{"what":"begin","n":1}\n')
    assert said(source, place) == said(waiting, late) == ["1"], "it goes on and is recorded now"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["config.json", "history.csv", "model.safetensors", "all"])
def test_what_is_damaged_or_gone_is_left_out(what: str, home: Path) -> None:
    run = Run(home / "runs" / "small")
    source, place = Source(run), Place()
    assert source.is_there
    if what == "all":
        shutil.rmtree(run.path)
    else:
        (run.path / what).write_bytes(b"{")
    assert list(source.lines(place)) == []
    assert source.is_there == (what != "all")


def test_the_best_so_far_is_as_the_training_said_it() -> None:
    rows = [{"epoch": i + 1, "val_accuracy": a, "val_loss": 1.0} for i, a in enumerate([0.5, 0.9, 0.89, 0.5])]
    assert [best for _, best in judged(rows, 100)] == [True, True, True, False]
    assert [best for _, best in judged([{**row, "val_accuracy": None} for row in rows], 0)] == [True] * 4
