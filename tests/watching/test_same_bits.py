"""A training that is recorded, looked into and shown, as often as can be, is the same training: the same bits in model,
state and history, whatever it is made of."""

from pathlib import Path
from typing import Any

import pytest

from cnncli.watching import recorder
from cnncli.watching.live import Live

from ..pictures import make_folder
from ..training.conftest import Train, shared, train
from ..training.test_resume import outcome
from .test_live import lines

__all__ = ["shared", "train"]

RECIPES: dict[str, dict[str, Any]] = {
    "batch norm and an average": {"arch": "resnet8"},
    "no average": {"arch": "resnet8", "ema": 0},
    "frozen": {"arch": None, "init": True, "freeze": 2},
    "probe": {"arch": None, "init": True, "probe": True, "epochs": None},
    "fast": {"arch": "resnet9", "recipe": "fast", "lr": 0.02, "size": 12},
    "dropout, no cache": {"arch": "vgg-small", "exact": True, "cache": "none", "epochs": 2},
    "adamw, mixed images": {"arch": "lenet5", "optimizer": "adamw", "augment": "mixup=0.5,flip"},
    "ReLU6, depthwise": {"arch": "mobilenet_v2", "size": 32, "epochs": 1, "batch_size": 16},
}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_watching_changes_no_bit(recipe: str, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("SHARE_OF_STEPS", "SHARE_OF_LOOKS"):
        monkeypatch.setattr(recorder, limit, 1e9)  # there is time for everything
    data = make_folder(tmp_path / "data", each=12, size=16)
    given = {"size": 16, "batch_size": 8, "epochs": 3, "data": data, **RECIPES[recipe]}
    if given.pop("init", False):
        given["init"] = train(data=data, arch="resnet8", epochs=1, size=16, name="first").path
    plain = train(name="plain", **given)
    with Live() as live:
        watched = train(name="watched", observer=live, **given)
    assert outcome(watched) == outcome(plain)
    found = lines(watched.path)
    steps = found[0]["steps"]
    done = 0 if recipe == "probe" else steps * len(watched.history)
    assert [line["step"] for line in found if line["what"] == "step"] == list(range(1, done + 1))
    looks = [line for line in found if line["what"] == "look"]
    assert [line["step"] for line in looks] == (list(range(2, done + 1)) if done else [steps])
    validated = watched.config["images"]["val"]
    assert {len(look["probabilities"]) for look in looks} == {min(16, validated)}
    kinds = {layer["name"]: layer["kind"] for layer in found[0]["layers"]}
    for name, layer in looks[-1]["layers"].items():
        assert (layer["dead"] is None) == (not kinds[name].startswith("ReLU") or not validated)
        learns = recipe != "probe" and not (recipe == "frozen" and layer["gradients"] is None)
        assert layer["weights"] is None or (layer["update"] is not None) == (recipe != "probe")
        if learns and layer["weights"] and name != "whiten":
            assert layer["update"] > 0, name
