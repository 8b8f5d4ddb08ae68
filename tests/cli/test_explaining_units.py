"""``cnn explain --units``: a sheet and a page of what a layer's filters look for, JSON, and one sentence for what
cannot be."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.explain import explained_units
from cnncli.network import Network

from .looking import Place

IMAGE = "photos/stripe/s 0.png"


FILES = "runs/small/explained/units-conv1.png\nruns/small/explained/units-conv1.html\n"
OF_PHOTOS = FILES.replace("explained/", "explained-photos/")


@pytest.mark.slow
def test_a_sheet_beside_the_run(place: Place) -> None:
    out, err = place.cnn("explain", "--units", "conv1:0,3")
    assert out == FILES
    assert err.startswith("Model: runs/small, trained ")
    assert "network. To see that: cnn explain --units relu1" in err
    with Image.open(place.run / "explained" / "units-conv1.png") as image:
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    assert (np.ptp(colours, axis=1) > 60).any(), "there is no colour on it"
    page = (place.run / "explained" / "units-conv1.html").read_text()
    assert [part in page for part in ('id="filter-0"', 'id="filter-1"', 'id="filter-3"')] == [True, False, True]
    assert place.cnn("explain", "--units", "conv1:0,3")[0] == out, "its own is written again"


def test_json_of_the_runs_own_held_out_images(place: Place) -> None:
    said = place.json("explain", "--units", "conv2:1-2", "--top", "2", "--out", "why")
    tested = place.json("test", "--out", "report")
    assert (said["layer"], said["images"], said["labels"]) == ("conv2", tested["images"], "given")
    assert [unit["channel"] for unit in said["units"]] == [1, 2]
    for unit in said["units"]:
        assert len(unit["top"]) == 2
        assert unit["top"][0]["value"] >= unit["top"][1]["value"]
        assert all("/photos/" in each["image"] or each["image"].startswith("photos/") for each in unit["top"])
    assert (said["file"], said["page"]) == ("why/units-conv2.png", "why/units-conv2.html")
    assert sorted(path.name for path in (place.path / "why").iterdir()) == ["units-conv2.html", "units-conv2.png"]
    assert (said["type"], said["activation"]) == ("Conv2d", "relu2")


@pytest.mark.slow
def test_the_same_for_the_same_seed(place: Place) -> None:
    files = []
    for out, options in (("a", ()), ("b", ("--threads", "2")), ("c", ("--seed", "1"))):
        place.cnn("explain", "--units", "conv1:0", "--out", out, *options)
        files.append([(place.path / out / f"units-conv1.{suffix}").read_bytes() for suffix in ("png", "html")])
    assert files[0] == files[1]
    assert files[0][0] != files[2][0]
    assert files[0][1] != files[2][1]


@pytest.mark.slow
def test_several_layers_and_all(place: Place) -> None:
    out = place.cnn("explain", "--units", "conv1:0", "--units", "relu2:1,2", "--units", "conv1:2", "--out", "why")[0]
    assert out.split() == [f"why/units-{layer}.{suffix}" for layer in ("conv1", "relu2") for suffix in ("png", "html")]
    assert (place.path / "why" / "units-conv1.html").read_text().count('class="filter"') == 2
    said = place.json("explain", "--units", "all", "--top", "1", "--out", "all")
    named = [each["name"] for each in place.json("inspect")["layers"] if each["type"] == "ReLU"]
    assert [each["layer"] for each in said["layers"]][:-1] == named
    assert said["layers"][-1]["type"] == "Linear"
    assert said["skipped"] == []
    assert len([*(place.path / "all").iterdir()]) == 2 * len(said["layers"])


@pytest.mark.slow
def test_a_stop_in_the_second_of_three_layers(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = explained_units.pleasing, list[int]()

    def second(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(explained_units, "pleasing", second)
    three = [part for layer in ("relu1:0", "relu2:0,1", "conv1:0") for part in ("--units", layer)]
    out, err = place.cnn("explain", *three, "--out", "why", code=130)
    assert out.split() == [f"why/units-{layer}.{suffix}" for layer in ("relu1", "relu2") for suffix in ("png", "html")]
    assert "stopped after 0 of 2 filters of relu2, layer 2 of 3; why/units-relu2.html shows what was found by" in err
    written = [Path(each).name for each in out.split()]
    assert sorted(path.name for path in (place.path / "why").iterdir()) == sorted(written)


@pytest.mark.slow
def test_other_images(place: Place) -> None:
    everything = place.json("explain", "--units", "conv1:0", "photos", "--out", "w1")
    assert (everything["images"], everything["labels"]) == (4 * 24, "given")
    (place.path / "loose").mkdir()
    for i in range(3):
        Image.new("RGB", (20, 20), (80 * i, 0, 0)).save(place.path / "loose" / f"{i}.png")
    (place.path / "loose" / "broken.png").write_bytes(b"no image")
    out, err = place.cnn("explain", "--units", "conv1:0", "loose", "--out", "w2", code=3)
    assert out == "w2/units-conv1.png\nw2/units-conv1.html\n"
    assert "loose has no folders called like the model's classes: its answers stand for labels." in err
    assert "1 image could not be used and was skipped:\n  loose/broken.png: its content is not PNG" in err
    said = place.json("explain", "--units", "conv1:0", "loose/0.png", "loose/1.png", "--out", "w3")
    assert (said["images"], said["labels"]) == (2, "the model's answers")


@pytest.mark.parametrize(("options", "words"), [
    (("--units", "conv22"), "Did you mean 'conv2'?"),
    (("--units", "conv2:77"), "layer conv2 has no channel 77"),
    (("--units", "conv2:x"), "names no channels; give them like conv2:5"),
    (("--units", "conv2", "--class", "check"), "leave --class out"),
    (("--units", "conv2", "--method", "gradcam", "--layer", "conv1"), "leave --method and --layer out"),
    (("--units", "conv2", "--trust", "--boxes"), "leave --trust and --boxes out"),
    (("--units", "conv2", "--sanity"), "leave --sanity out"),
    (("--units", "conv2", "--top", "101"), "--units shows 100 images of each filter at most, not 101"),
    (("--units", "conv2", "--top", "0"), "--top"),
    (("--units", "conv2", "--out", "photos/check"), "photos"),
])
def test_what_cannot_be_explained(place: Place, options: tuple[str, ...], words: str) -> None:
    assert words in place.fails(2, "explain", *options)
    assert not (place.run / "explained").exists()


def test_images_that_are_none(place: Place) -> None:
    assert "no.png" in place.fails(1, "explain", "--units", "conv2", "no.png")
    assert not (place.run / "explained").exists()


def in_part(real: Callable[..., object]) -> Callable[..., object]:
    """Return a search that somebody stops after 64 of nine times as many images."""

    def stopped(model, items, *rest):
        def stop(what: str, done: int, total: int) -> None:
            raise KeyboardInterrupt

        return real(model, [*items] * 9, *rest[:2], [0] * 9 * len(items), stop, *rest[4:])

    return stopped


@pytest.mark.slow
def test_a_stop_draws_what_is_done(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explained_units, "top_patches", in_part(explained_units.top_patches))
    out, err = place.cnn("explain", "--units", "conv1:0", "photos", code=130)
    assert out == OF_PHOTOS
    assert "stopped after 64 of 864 images; runs/small/explained-photos/units-conv1.html shows what was found" in err
    assert "64 of 864 images were looked at" in (place.run / "explained-photos" / "units-conv1.html").read_text()


@pytest.mark.slow
def test_a_stop_behind_the_search(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filters that are done are drawn; none is, where somebody has asked to stop before."""
    calls, real = list[int](), explained_units.projections

    def second(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(explained_units, "projections", second)
    out, err = place.cnn("explain", "--units", "conv1:0,3", code=130)
    assert out == FILES
    assert "Stopped: what has been found by now is drawn; Ctrl-C again ends it at once.\n" in err
    assert "stopped after 0 of 2 filters; runs/small/explained/units-conv1.html shows" in err
    assert (place.run / "explained" / "units-conv1.html").read_text().count('class="filter"') == 1
    calls[:] = [1]
    monkeypatch.setattr(explained_units, "top_patches", in_part(explained_units.top_patches))
    assert place.cnn("explain", "--units", "conv1:0,3", "photos", code=130)[1].endswith("interrupted.\n")
    assert not (place.run / "explained-photos").exists(), "a second time ends it at once"


@pytest.mark.slow
def test_a_stop_while_pictures_are_made(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explained_units, "_AT_ONCE", 1)
    real, made = explained_units.pleasing, list[int]()

    def stopped(look, preprocessing, channels, *, told, **options):
        def stop(done: int, steps: int) -> None:
            told(done, steps)
            if len(made) == 3:
                raise KeyboardInterrupt

        made.extend(channels)
        return real(look, preprocessing, channels, told=stop, **options)

    monkeypatch.setattr(explained_units, "pleasing", stopped)
    out, err = place.cnn("explain", "--units", "conv1", "photos", code=130)
    assert out == OF_PHOTOS
    assert "stopped after 2 of 6 filters; runs/small/explained-photos/units-conv1.html shows what was found" in err
    page = (place.run / "explained-photos" / "units-conv1.html").read_text()
    assert page.count('class="filter"') == 3
    assert page.count("not made") == 1


def test_a_stop_before_the_first_image(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Network, "forward", stop)
    assert place.cnn("explain", "--units", "conv1:0", code=130)[1].endswith("interrupted.\n")
    assert not (place.run / "explained").exists()


@pytest.mark.slow
def test_a_model_without_convolutions_has_units_all_the_same(place: Place) -> None:
    (place.path / "flat.toml").write_text('[[layers]]\ntype = "Flatten"\n[[layers]]\ntype = "Linear"\nname = "out"\n'
                                          'out_features = "classes"\n')
    place.cnn("train", "photos", "--arch", "flat.toml", "--epochs", "1", "--name", "flat")
    said = place.json("explain", "--units", "out", "-m", "runs/flat")
    assert said["sees"] is None
    assert len(said["units"]) == 4
