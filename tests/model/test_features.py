"""features.py: the numbers before the head are those that the head decides by, for an image alone and among others."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.architectures import architecture
from cnncli.data import Preprocessing
from cnncli.data.finding import Missing
from cnncli.errors import NetworkError, UsageError
from cnncli.model import Model
from cnncli.model.features import FEATURES, body, features
from cnncli.network import Network

from ..pictures import make_folder


def model_of(name: str) -> Model:
    network = architecture(name, (32, 32, 3), 3, seed=4)
    return Model(network, ["a", "b", "c"], Preprocessing((32, 32), mean=(0.5,) * 3, std=(0.25,) * 3))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [str(path) for path in sorted(make_folder(tmp_path_factory.mktemp("pictures") / "data").rglob("*.png"))]


def test_the_head_decides_by_them(paths: list[str]) -> None:
    model = model_of("resnet8")
    made = features(model, paths)
    assert made.paths == paths
    assert made.values.shape == (len(paths), 64)
    images = np.stack([model.preprocessing.prepare(path) for path in paths])
    arrays = model.network.parameters()
    expected = made.values @ arrays["fc.weight"].T + arrays["fc.bias"]
    np.testing.assert_allclose(model.logits(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "squeezenet1_1", "efficientnet_lite0"])
def test_an_image_has_the_same_alone(name: str, paths: list[str]) -> None:
    model = model_of(name)
    together = features(model, paths).values
    assert together.shape == (len(paths), {"lenet5": 84, "squeezenet1_1": 512, "efficientnet_lite0": 1280}[name])
    for place in (0, 5):
        assert np.array_equal(features(model, [paths[place]]).values[0], together[place])


def test_one_name_may_stand_for_several(paths: list[str]) -> None:
    model, folder = model_of("resnet8"), Path(paths[0]).parent
    whole = features(model, folder)
    assert whole.paths == sorted(str(path) for path in folder.iterdir())
    assert features(model, paths[0]).paths == [paths[0]], "a path, not its letters"


def test_arrays_have_those_of_their_files(paths: list[str]) -> None:
    model = model_of("resnet8")
    made = features(model, [np.asarray(Image.open(path)) for path in paths])
    assert np.array_equal(made.values, features(model, paths).values)
    assert made.paths[1] == "images[1]"


def test_what_cannot_be_read_is_left_out(paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnncli.model.preparing._IMAGES_AT_ONCE", 1)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    done: list[tuple[int, int]] = []
    found = [Missing("nothing", "no such thing"), paths[0], str(broken), paths[1]]
    made = features(model_of("resnet8"), found, lambda *how_far: done.append(how_far))
    assert made.paths == paths[:2]
    assert [path for path, _ in made.skipped] == ["nothing", str(broken)]
    assert "broken.png" not in made.skipped[1][1], "a reason without the name, as a training tells it"
    assert done == [(2, 4), (3, 4), (4, 4)]
    none = features(model_of("resnet8"), [str(broken)])
    assert none.values.shape == (0, 64)


def test_the_file(paths: list[str], tmp_path: Path) -> None:
    made = features(model_of("resnet8"), paths[:3])
    made.write(str(tmp_path / "f.npz"))
    with np.load(tmp_path / "f.npz") as file:
        assert np.array_equal(file["features"], made.values)
        assert file["paths"].tolist() == paths[:3]
    assert FEATURES.ours(str(tmp_path / "f.npz"))
    made.write(str(tmp_path / "f.npz"))
    np.savez(tmp_path / "mine.npz", features=made.values)
    with pytest.raises(UsageError, match=r"mine\.npz"):
        made.write(str(tmp_path / "mine.npz"))


def test_a_network_of_one_layer_has_none() -> None:
    with pytest.raises(NetworkError, match="no features"):
        body(Network([{"type": "Flatten"}, {"type": "Linear", "out_features": 2}], (2, 2, 1)))
