"""report/predictions.py: a Prediction as an item of JSON and as a row of CSV."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from cnncli.model import Prediction
from cnncli.report.predictions import Table, as_item, labelled

SURE = Prediction("a.png", "ant", 0.75, [("ant", 0.75), ("bee", 0.25)])
UNSURE = Prediction("b\udce9.png", "unknown", 0.5, [("bee", 0.5), ("ant", 0.5)], rejected=True)
BROKEN = Prediction("c.png", error="c.png cannot be used.")


def test_items() -> None:
    assert as_item(SURE) == {"path": "a.png", "label": "ant", "probability": 0.75, "error": None,
                             "top": [{"label": "ant", "probability": 0.75}, {"label": "bee", "probability": 0.25}]}
    assert as_item(BROKEN) == {"path": "c.png", "label": None, "probability": None, "top": [],
                               "error": "c.png cannot be used."}
    assert [as_item(one, rejecting=True)["rejected"] for one in (SURE, UNSURE, BROKEN)] == [False, True, False]
    assert labelled(UNSURE) == [("unknown", 0.5), ("ant", 0.5)]
    assert as_item(SURE, model="m.safetensors") == {**as_item(SURE), "model": "m.safetensors"}
    assert as_item(replace(SURE, note="an end is missing"))["note"] == "an end is missing"
    assert [as_item(replace(SURE, trained_on=known))["trained_on"] for known in (True, False)] == [True, False]


def test_why_an_answer_is_withheld_is_said_where_it_may_be(tmp_path: Path) -> None:
    both = replace(UNSURE, withheld=("unsure", "strange"), strangeness=0.5)
    item = as_item(both, rejecting=True)
    assert (item["withheld"], item["strangeness"]) == (["unsure", "strange"], 0.5)
    assert "withheld" not in as_item(both)
    for rejecting, rows in (
            (False, "path,label,probability,error\nb\udce9.png,unknown,0.500000,\na.png,ant,0.750000,\n"),
            (True, "path,label,probability,error,withheld\nb\udce9.png,unknown,0.500000,,unsure and strange\n"
                   "a.png,ant,0.750000,,\n")):
        table = Table(rejecting=rejecting)
        table.add(both)
        table.add(SURE)
        assert table.encoded().decode("utf-8", "surrogateescape") == rows
        path = str(tmp_path / f"{rejecting}.csv")
        for _ in range(2):
            table.write(path)  # it is known as ours
    by_model = Table(2, rejecting=True, model="runs/a b/model.safetensors")
    by_model.add(SURE)
    assert by_model.encoded() == (b"path,label,probability,label_2,probability_2,error,withheld,model\n"
                                  b"a.png,ant,0.750000,bee,0.250000,,,runs/a b/model.safetensors\n")
    many = Table(3000)  # a heading that is longer than what is looked at of a file
    many.write(str(tmp_path / "many.csv"))
    many.write(str(tmp_path / "many.csv"))
    shown = Table(shown=True)
    shown.add(replace(SURE, path="\x1b[2J\udce9.png"))
    assert shown.encoded() == b"path,label,probability,error\n\\x1b[2J\\xe9.png,ant,0.750000,\n"


@pytest.mark.parametrize("top", [1, 2, 3])
def test_rows(top: int, tmp_path: Path) -> None:
    table = Table(top)
    for one in (SURE, UNSURE, BROKEN):
        table.add(one)
    table.write(str(tmp_path / "t.csv"))
    data = (tmp_path / "t.csv").read_bytes()
    assert data == table.encoded()
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8", "surrogateescape"))))
    assert table.rows == len(rows) == 3
    assert [row["path"] for row in rows] == ["a.png", "b\udce9.png", "c.png"]
    assert [row["label"] for row in rows] == ["ant", "unknown", ""]
    assert [row["probability"] for row in rows] == ["0.750000", "0.500000", ""]
    assert [row["error"] for row in rows] == ["", "", "c.png cannot be used."]
    if top > 1:
        assert [row["label_2"] for row in rows] == ["bee", "ant", ""]
    if top > 2:
        assert [row["label_3"] for row in rows] == ["", "", ""]
