"""A folder of tiny images, a network, and a way to train on them in a tenth of a second."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnncli.runs import Run
from cnncli.training import sweep_picture
from cnncli.training import train as training

from ..pictures import make_folder, make_network

Train = Callable[..., Run]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ with three classes of 14 images, net.toml; not to be changed."""
    folder = tmp_path_factory.mktemp("shared")
    make_folder(folder / "data")
    make_network(folder / "net.toml")
    return folder


@pytest.fixture
def train(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Train with few epochs into tmp_path/runs; to resume, pass nothing but what resuming takes. No pictures, and no
    waiting for the disk (tests of atomic.py see to that), which would take most of the time."""
    monkeypatch.setattr(training, "_draw", lambda run, observer: None)
    monkeypatch.setattr(sweep_picture, "draw", lambda *given: None)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)

    def run(**options: Any) -> Run:
        options.setdefault("runs", tmp_path / "runs")
        if "resume" not in options:
            fresh = {"data": shared / "data", "arch": str(shared / "net.toml"), "epochs": 3, "batch_size": 8}
            options = {**fresh, **options}
        return training.train(**options)

    return run
