"""``cnn explain --trust``, ``--sanity``, ``--boxes`` and ``--truth``: what is printed, drawn and refused."""

import numpy as np
import pytest
from PIL import Image

from .looking import Place, snapshot

IMAGE = "photos/stripe/s 0.png"


def boxes(place: Place, *names: str) -> str:
    """Write a table of boxes of some images of a class."""
    lines = [f"stripe/{name},2,2,18,18,stripe" for name in names or [f"s {i}.png" for i in range(6)]]
    (place.path / "boxes.csv").write_text("\n".join(["file,xmin,ymin,xmax,ymax,label", *lines]))
    return "boxes.csv"


@pytest.mark.slow
def test_trust_in_words_and_numbers(place: Place) -> None:
    out, err = place.cnn("explain", IMAGE, "--trust")
    file, verdict, figures = out.splitlines()
    assert file.endswith("explained-s_0.png")
    assert verdict.startswith(("This map is ", "How far to trust this map "))
    assert figures.startswith("Of the map / the middle / noise: ROAD ")
    assert "--trust: up to 254 forward passes for each of 1 image." in err
    [one] = place.json("explain", IMAGE, "--trust")["explained"]
    assert f"{one['trust']['verdict']}." == verdict
    assert set(one["trust"]["map"]) == {"road", "deletion", "insertion", "curves"}
    assert len(one["trust"]["noise"]["curves"]["morf"]) == 9


@pytest.mark.slow
def test_a_box_is_drawn_and_printed(place: Place) -> None:
    place.cnn("explain", IMAGE, "--out", "without")
    out, _ = place.cnn("explain", IMAGE, "--boxes", "--out", "with")
    assert out.splitlines()[1].startswith(("A coarse box round ", "No box: "))
    pictures = [np.asarray(Image.open(place.path / folder / "explained-s_0.png").convert("L"))[84:484]
                for folder in ("without", "with")]
    assert (pictures[0] != pictures[1][: len(pictures[0])]).sum() > 100
    [one] = place.json("explain", IMAGE, "--boxes")["explained"]
    assert one["box"]["share"] == 0.2
    assert 0 <= one["box"]["xmin"] < one["box"]["xmax"] <= 20


@pytest.mark.slow
def test_boxes_beside_those_drawn(place: Place) -> None:
    out, err = place.cnn("explain", "photos/stripe", "--boxes", "--truth", boxes(place), code=0)
    assert "fitted on 3 images, judged on 3 others:" in out
    assert "CorLoc" in out
    assert "MaxBoxAccV2" in out
    assert "there is no box of it in boxes.csv" in err
    said = place.json("explain", "photos/stripe", "--boxes", "--truth", "boxes.csv")
    assert said["boxes"]["judged_on"] == 3
    assert {one["box"]["share"] for one in said["explained"] if one.get("box")} == {said["boxes"]["share"]}


@pytest.mark.slow
def test_annotations_that_cannot_be_used(place: Place) -> None:
    (place.path / "truth").mkdir()
    for name, text in (("s 0", "<annotation><object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
                               "</bndbox></object></annotation>"), ("s 1", "<!DOCTYPE a><a/>")):
        (place.path / "truth" / f"{name}.xml").write_text(text)
    before = snapshot(place.path / "truth")
    out, err = place.cnn("explain", IMAGE, "--boxes", "--truth", "truth")
    assert "judged on 1 images" in out
    assert "truth/s 1.xml cannot be used: it declares a document type" in err
    assert snapshot(place.path / "truth") == before


@pytest.mark.slow
def test_sanity_on_what_was_held_out(place: Place) -> None:
    out, _ = place.cnn("explain", "--sanity")
    assert "HiResCAM on " in out
    assert "conv1" in out
    assert "HiResCAM d" in out
    assert not (place.run / "explained").exists()
    said = place.json("explain", IMAGE, "--sanity", "--method", "gradcam", "--layer", "conv2")
    assert (said["method"], said["layer"], said["images"], said["skipped"]) == ("gradcam", "conv2", 1, [])
    assert [stage["layer"] for stage in said["stages"]] == ["fc3", "fc2", "fc1", "conv2", "conv1"]


@pytest.mark.slow
@pytest.mark.parametrize(("options", "code", "words"), [
    ((IMAGE, "--truth", "boxes.csv"), 2, "--truth needs --boxes"),
    ((IMAGE, "--sanity", "--trust", "--class", "stripe"), 2, "leave --class and --trust out"),
    ((IMAGE, "--sanity", "--out", "why"), 2, "leave --out out"),
    ((IMAGE, "--sanity", "--method", "gradcm"), 2, "Did you mean 'gradcam'?"),
    ((IMAGE, "--sanity", "--layer", "fc3"), 2, "layer fc3 has no positions"),
    ((IMAGE, "--boxes", "--truth", "boxes.csv", "--out", "photos/check"), 2, "photos/check"),
    (("no.png", "--sanity"), 1, "no.png cannot be used"),
    ((IMAGE, "--boxes", "--truth", "none.csv"), 2, "there is no file none.csv"),
    ((IMAGE, "--boxes", "--truth", "photos"), 1, "photos holds no annotation"),
    (("photos/check", "--boxes", "--truth", "boxes.csv"), 1, "none of the images has a box in boxes.csv"),
])
def test_what_is_refused(place: Place, options: tuple[str, ...], code: int, words: str) -> None:
    boxes(place)
    before = snapshot(place.path)
    assert words in place.fails(code, "explain", *options)
    assert snapshot(place.path) == before


def test_nothing_is_compared_where_pictures_cannot_be_written(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*arguments: object, **options: object) -> None:
        raise AssertionError("work has begun")

    monkeypatch.setattr("cnncli.explain.boxes.locate", work)
    refused = place.fails(2, "explain", IMAGE, "--boxes", "--truth", boxes(place), "--out", "photos/check")
    assert "photos/check" in refused
