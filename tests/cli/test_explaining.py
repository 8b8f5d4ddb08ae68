"""``cnn explain``: a picture for each image, JSON, and one sentence for everything that cannot be explained."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from cnncli.errors import printable

from .looking import Place, snapshot

IMAGE = "photos/stripe/s 0.png"


@pytest.mark.slow
def test_a_picture_beside_the_run(place: Place) -> None:
    out, err = place.cnn("explain", IMAGE)
    assert out == "runs/small/explained/explained-s_0.png\n"
    assert err.startswith("Model: runs/small, trained ")
    with Image.open(place.run / "explained" / "explained-s_0.png") as image:
        assert image.size[0] > 600
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    assert (np.ptp(colours, axis=1) > 60).any(), "there is no colour on it"
    assert place.cnn("explain", IMAGE)[0] == out, "its own is written again"


@pytest.mark.slow
def test_a_folder_with_what_is_no_image(place: Place) -> None:
    (place.path / "photos/stripe/broken.png").write_bytes(b"no image")
    out, err = place.cnn("explain", "photos/stripe", "--out", "why", code=3)
    files = [line for line in out.splitlines() if not line.startswith("said ")]
    assert len(files) == len(list((place.path / "why").iterdir())) == 24 + 1
    assert out.endswith("why/explain.html\n")
    assert "broken.png cannot be used" in err


@pytest.mark.slow
def test_json(place: Place) -> None:
    said = place.json("explain", IMAGE, "--class", "check", "--method", "gradcam", "--layer", "conv2", "--out", "why")
    [one] = said["explained"]
    predicted = place.json("predict", IMAGE, "-m", "runs/small")
    assert one["label"] == json.loads(json.dumps(predicted))[0]["label"]
    assert (one["target"], one["method"], one["layer"]) == ("check", "gradcam", "conv2")
    assert np.array(one["map"]).ndim == 2
    assert one["file"] == "why/explained-s_0.png"
    assert said["skipped"] == []


@pytest.mark.parametrize(("options", "code", "words"), [
    (("no.png",), 1, "no.png"),
    ((IMAGE, "--class", "strype"), 2, "there is no class 'strype'; give one of check, "),
    ((IMAGE, "--method", "gradcm"), 2, "Did you mean 'gradcam'?"),
    ((IMAGE, "--layer", "conv22"), 2, "Did you mean 'conv2'?"),
    ((IMAGE, "--layer", "fc3"), 2, "layer fc3 has no positions"),
    ((IMAGE, "-m", "runs/none"), 4, "no model runs/none"),
    ((IMAGE, "--out", "photos/check"), 2, "photos"),
])
def test_what_cannot_be_explained(place: Place, options: tuple[str, ...], code: int, words: str) -> None:
    out, err = place.cnn("explain", *options, code=code)
    assert out == ""
    assert words in err
    assert not (place.run / "explained").exists()


@pytest.mark.slow
def test_a_model_without_convolutions(place: Place) -> None:
    (place.path / "flat.toml").write_text('[[layers]]\ntype = "Flatten"\n[[layers]]\ntype = "Linear"\n'
                                          'out_features = "classes"\n')
    place.cnn("train", "photos", "--arch", "flat.toml", "--epochs", "1", "--name", "flat")
    assert "no layer of the network has positions" in place.cnn("explain", IMAGE, "-m", "runs/flat", code=2)[1]
    for command in (("predict", IMAGE), ("test",)):
        assert "cnn explain" not in place.cnn(*command, "-m", "runs/flat")[1], "what is refused is not advised"


@pytest.mark.slow
def test_an_image_twice(place: Place) -> None:
    out, _ = place.cnn("explain", IMAGE, IMAGE)
    assert [line.rsplit("/", 1)[-1] for line in out.splitlines()] == [
        "explained-s_0.png", "explained-s_0-2.png", "explain.html"]
    said = place.json("explain", IMAGE, IMAGE, IMAGE.replace("0", "1"))
    assert [each["image"] for each in said["explained"]] == [IMAGE, IMAGE, IMAGE.replace("0", "1")], "not the page"
    assert said["page"] == "runs/small/explained-stripe/explain.html"
    assert place.json("explain", IMAGE)["page"] is None


@pytest.mark.slow
def test_a_folder_has_its_own_explanation_beside_that_of_the_images_held_out(place: Place) -> None:
    place.cnn("explain", "--top", "2")
    before = snapshot(place.run / "explained")
    out, _ = place.cnn("explain", "photos/stripe", "--boxes")
    assert {line.rpartition("/")[0] for line in out.splitlines() if line.endswith((".png", ".html"))} == {
        "runs/small/explained-stripe"}
    page = (place.run / "explained-stripe" / "explain.html").read_text()
    assert "<h1>Why small gives its answers for the images of stripe/</h1>" in page
    assert "<h1>Why small gives its answers</h1>" in (place.run / "explained" / "explain.html").read_text()
    assert place.json("explain", "--units", "conv1:0", "photos")["file"].startswith("runs/small/explained-photos/")
    assert snapshot(place.run / "explained") == before


@pytest.mark.slow
def test_without_images_some_of_the_runs_are_explained(place: Place) -> None:
    tested = place.json("test", "--out", "report")["images"]
    out, err = place.cnn("explain", "--top", "5", "--out", "why")
    files = [line for line in out.splitlines() if not line.startswith("said ")]
    assert len(files) == 5 + 1
    assert files[-1] == "why/explain.html"
    assert f"\n5 of the {tested} images held out of the training of small" in err
    said = place.json("explain", "--top", "5")
    assert [one["file"].rpartition("/")[2] for one in said["explained"]] == [file[4:] for file in files[:-1]]
    assert said["page"] == "runs/small/explained/explain.html"
    assert {one["truth"] for one in said["explained"]} <= {"check", "new\nline", "帽子 $x$", "stripe"}
    for one in said["explained"]:
        assert f"/{one['truth']}/" in one["image"]
    assert place.json("explain", "--top", "5", "--seed", "1")["explained"] != said["explained"]
    everything = place.json("explain")
    assert len(everything["explained"]) == min(tested, 24)


@pytest.mark.slow
def test_a_wrong_answer_is_said_and_shown(place: Place) -> None:
    """Stripes in a folder called like another class."""
    label = place.json("predict", IMAGE)[0]["label"]
    other = next(name for name in ("check", "stripe") if name != label)
    for folder in ("DATA/test", label):
        (place.path / folder / other).mkdir(parents=True)
        (place.path / folder / other / "a.png").write_bytes((place.path / IMAGE).read_bytes())
    sentence = f"said {printable(label)}, is {other}"
    for i, named in enumerate(("DATA", f"DATA/test/{other}/a.png", label, f"DATA/test/{other}")):
        out, _ = place.cnn("explain", named, "--out", f"why{i}")
        assert out == f"why{i}/explained-a.png\n{sentence}\n"
    said = place.json("explain", "DATA", "--out", "why")
    [one] = said["explained"]
    assert (one["truth"], one["label"], said["page"]) == (other, label, None)
    right = place.json("explain", IMAGE, "--out", "right")["explained"][0]
    assert right["truth"] == "stripe"
    with Image.open(place.path / "why" / "explained-a.png") as image:
        assert image.size[0] == 4 * 420 + 3 * 20 + 48, "the image and three maps"
    asked = place.cnn("explain", "DATA", "--class", other, "--out", "asked")[0]
    assert asked == f"asked/explained-a.png\n{sentence}\n"


@pytest.mark.slow
def test_a_set_without_labels_and_what_is_no_image(place: Place) -> None:
    (place.path / "loose" / "deeper").mkdir(parents=True)
    for i, file in enumerate(sorted((place.path / "photos/stripe").iterdir())[:3]):
        (place.path / "loose" / "deeper" / f"{i}.png").write_bytes(file.read_bytes())
    (place.path / "loose" / "broken.png").write_bytes(b"no image")
    said = place.json("explain", "loose", "--out", "why", code=3)
    assert [one["truth"] for one in said["explained"]] == [None] * 3
    assert [one["path"] for one in said["skipped"]] == ["loose/broken.png"]
    assert said["page"] == "why/explain.html"
    page = (place.path / said["page"]).read_text()
    assert "wrong" not in page.partition("</style>")[2]
    (place.path / "none").mkdir()
    (place.path / "none" / "broken.png").write_bytes(b"no image")
    assert place.json("explain", "none/broken.png", "none", "--out", "none-why", code=1)["page"] is None


def test_without_images_and_without_a_run(place: Place) -> None:
    before = snapshot(place.path)
    (place.path / "alone.safetensors").write_bytes((place.run / "model.safetensors").read_bytes())
    said = place.fails(2, "explain", "-m", "alone.safetensors")
    assert "alone.safetensors lies in no run's folder" in said
    assert said.endswith("name them: cnn explain IMAGE -m alone.safetensors")
    assert place.fails(2, "explain", "--top", "3", IMAGE).endswith(
        "because --top is for the images of the run; leave one of them out.")
    assert place.fails(2, "explain", "--sanity", "--top", "3").endswith("leave --top out.")
    os.rename(place.path / "photos", place.path / "gone")
    assert "are no longer in" in place.fails(2, "explain")
    os.rename(place.path / "gone", place.path / "photos")
    (place.path / "alone.safetensors").unlink()
    assert snapshot(place.path) == before


@pytest.mark.slow
def test_a_page_that_is_somebody_elses_stays(place: Place) -> None:
    (place.path / "why").mkdir()
    (place.path / "why" / "explain.html").write_text("mine")
    assert "explain.html is there already" in place.cnn("explain", "--top", "2", "--out", "why", code=2)[1]
    assert [path.name for path in (place.path / "why").iterdir()] == ["explain.html"]
    assert (place.path / "why" / "explain.html").read_text() == "mine"
    assert place.cnn("explain", "--top", "2", "--out", "why", "--force")[0].endswith("why/explain.html\n")
