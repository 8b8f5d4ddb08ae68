"""The page of real trainings in a real browser: one that was recorded with --live, one that was not, and one that is
stopped by the page's button."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cnncli
from cnncli.training import train as training
from cnncli.watching import recorder
from cnncli.watching.rendering import SCRIPTS, SHARED
from cnncli.watching.watch import watch

from ..report.browser import browser
from ..trained import CLASSES, write_images
from .test_watch_page import WIDE, text

__all__ = ["browser"]
ROOT = Path(__file__).parents[2]
EPOCHS = 6
CLASS = "<i>check"  # a class whose name is not to be HTML


def test_every_file_of_the_script_is_checked_and_joined() -> None:
    project = json.loads("\n".join((ROOT / ".ci/tsconfig.watching.json").read_text(encoding="utf-8").splitlines()[1:]))
    assert project["files"] == [f"../cnncli/{name}" for name in (SHARED, *(f"watching/{name}" for name in SCRIPTS))]
    assert set(SCRIPTS) == {path.name for path in (ROOT / "cnncli/watching").glob("*.js")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/ and runs/recorded and runs/plain, trained on it."""
    folder = tmp_path_factory.mktemp("watched")
    write_images(folder / "photos", [CLASS, CLASSES[3]], 16, seed=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "_draw", lambda run, observer: None)
        patched.setattr(recorder, "SHARE_OF_STEPS", 0.5)  # of so short a training, or nothing could be afforded
        patched.setattr(recorder, "SHARE_OF_LOOKS", 0.5)
        for name, observer in (("recorded", recorder.Recorder()), ("plain", None)):
            cnncli.train(folder / "photos", arch="lenet5", epochs=EPOCHS, batch_size=8, name=name,
                         runs=folder / "runs", observer=observer)
    return folder


@pytest.mark.slow
def test_a_recorded_training_shows_all_its_parts(browser: Any, trained: Path) -> None:
    with watch("recorded", runs=trained / "runs") as server:
        browser.open(server.address)
        text(browser, "state", "Finished")
        assert text(browser, "place", f"epoch {EPOCHS} of {EPOCHS}").endswith(f"of {3 * EPOCHS}")
        assert browser.run("return byId('progress').value") == 1
        for chart in ("loss", "accuracy", "rate"):
            line = "return document.querySelector(`#${arguments[0]} .line`).getAttribute('d')"
            assert "L" in browser.run(line, chart)
        assert "are right." in text(browser, "examples-right", "of ")
        figures = browser.driver.find_elements("css selector", "#examples figure")
        assert len(figures) == browser.run("return chosenRun().begin.examples.length") > 0
        assert any(CLASS in figure.text for figure in figures)
        assert browser.run("return [...document.images].every((image) => image.complete && image.naturalWidth > 0)")
        assert "conv1" in text(browser, "filters-said", "Each square")
        layers = [row.text.split("\n")[0] for row in browser.driver.find_elements("css selector", "#layer-rows tr")]
        assert layers == ["conv1", "conv2", "fc1", "fc2", "fc3"]
        assert text(browser, "layers-health", "healthy")
        assert browser.run("return byId('layers-lack').textContent") == ""
        assert browser.run("return chosenRun().notes.length") == len(
            browser.driver.find_elements("css selector", "#notes li")) > 0
        assert browser.run("return document.querySelectorAll('main i').length") == 0
        assert browser.run("return byId('stop-part').hidden")
        assert {url.removeprefix(server.address) for url in browser.requests()} == {"", "events"}
        assert not browser.errors()


@pytest.mark.slow
def test_runs_with_and_without_a_record(browser: Any, trained: Path) -> None:
    with watch(["plain", "recorded"], runs=trained / "runs") as server:
        browser.open(server.address, size=(360, 740))
        assert text(browser, "several-rows", "recorded").count("Finished") == 2
        assert "cnn train --live" in text(browser, "examples-lack", "not recorded")
        assert "conv1" in text(browser, "layer-rows", "fc3"), "its model has norms of weights"
        assert text(browser, "filters-said", "Each square")
        browser.find("#several input[value=recorded]").click()
        text(browser, "examples-right", "are right.")
        assert browser.run(WIDE) <= 0
        assert not browser.errors()


@pytest.mark.slow
def test_the_button_stops_a_training_that_is_saved(browser: Any, trained: Path) -> None:
    command = [sys.executable, "-m", "cnncli", "train", "photos", "--arch", "lenet5", "--epochs", "5000", "--name",
               "stopped", "--live"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(command, cwd=trained, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        address = next(word for line in process.stderr for word in line.split() if word.startswith("http://127"))
        browser.open(address)
        text(browser, "state", "Training")
        browser.find("#stop").click()
        assert browser.run("return document.activeElement.id") == "stop-no", "it asks"
        browser.press("\ue00c")
        assert browser.run("return document.activeElement.id") == "stop"
        assert process.poll() is None
        browser.press("\ue007")
        browser.find("#stop-yes").click()
        words = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130
    assert "train --resume stopped" in words
    assert text(browser, "stop-said", "everything is saved")
    text(browser, "state", "Stopped from this page and saved")
    text(browser, "connection", "The training has ended")
    assert (trained / "runs/stopped/last.safetensors").exists()
