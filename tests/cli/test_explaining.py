"""``cnn explain``: a picture for each image, JSON, and one sentence for everything that cannot be explained."""

import json

import numpy as np
import pytest
from PIL import Image

from .looking import Place

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
    assert len(out.splitlines()) == len(list((place.path / "why").iterdir())) == 24 + 1
    assert out.endswith("why/explain.html\n")
    assert "broken.png cannot be used" in err


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
    ((IMAGE, "--class", "strype"), 2, "the model has no class 'strype'. Did you mean 'stripe'?"),
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
    assert said["page"] == "runs/small/explained/explain.html"
    assert place.json("explain", IMAGE)["page"] is None
