"""training/resume.py, its rules alone: which options are other than a run's, what is said of a run that goes on, and
when one is finished."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cnncli.data import Augmentation, scan
from cnncli.errors import DataError, UsageError
from cnncli.optim import Schedule
from cnncli.runs import Run
from cnncli.runs.samples import fingerprint
from cnncli.training import resume
from cnncli.training.options import Options
from cnncli.training.progress import Progress
from cnncli.training.recipe import Recipe
from cnncli.training.resume import differences, extension

from .test_recipe import PLAIN

RUN = Run("runs/a")
RECIPE = Recipe(**{**PLAIN, "patience": 3, "augment": Augmentation(shift=2, flip=True).config()})


@pytest.mark.parametrize(("given", "different"), [
    ({}, []), ({"arch": "resnet8", "size": (16, 12), "seed": 3, "lr": 0.2, "schedule": "cosine", "patience": 3}, []),
    ({"arch": "x/resnet8.toml"}, ["arch"]), ({"size": 16}, ["size"]), ({"size": [16, 12]}, []),
    ({"augment": True}, []), ({"augment": False}, ["augment"]), ({"augment": "shift=2,flip"}, []),
    ({"augment": Augmentation(shift=2, flip=True)}, []), ({"augment": Augmentation(shift=2)}, ["augment"]),
    ({"class_weights": "balanced"}, ["class_weights"]), ({"class_weights": [1, 2]}, ["class_weights"]),
    ({"schedule": Schedule("cosine", 0.2)}, []), ({"schedule": Schedule("cosine", min_lr=0.1)}, ["schedule"]),
    ({"exclude": ["a/b.png"]}, ["exclude"]), ({"exclude": []}, []), ({"split_seed": 3}, []),
    ({"split_seed": 4}, ["split_seed"]), ({"seed": 4}, ["seed"]), ({"init": "none"}, []),
    ({"fit": "squash"}, []), ({"fit": "pad"}, ["fit"]),
    ({"init": "efficientnet_lite0"}, ["init"]), ({"epochs": 5, "patience": 4}, ["epochs", "patience"]),
])
def test_options_that_are_others_are_found(given: dict[str, Any], different: list[str]) -> None:
    assert differences(Options(**given), RECIPE) == different


def test_options_of_a_run_that_has_them_itself() -> None:
    recipe = replace(RECIPE, class_weights=(1.0, 2.0), split_seed=5, augment=None, init="efficientnet_lite0")
    for given, different in (({"class_weights": [1, 2]}, []), ({"class_weights": [1, 3]}, ["class_weights"]),
                             ({"class_weights": "balanced"}, ["class_weights"]), ({"split_seed": 5}, []),
                             ({"split_seed": 3}, ["split_seed"]), ({"augment": False}, []),
                             ({"augment": True}, ["augment"]),
                             ({"init": "efficientnet_lite0"}, []), ({"init": "none"}, ["init"])):
        assert differences(Options(**given), recipe) == different, given


@pytest.mark.parametrize(("weights", "balanced"), [
    ((40 / 60, 40 / 20), True), ((1.0, 1.0, 1.0), True), ((0.5, 1.0), False), ((0.0, 1.0), False), (None, False)])
def test_balanced_weights_are_known_by_their_numbers(weights: Any, balanced: bool) -> None:
    """Of 30 and 10 images, of as many each, and those that somebody chose."""
    recipe = replace(RECIPE, class_weights=weights)
    assert differences(Options(class_weights="balanced"), recipe) == ([] if balanced else ["class_weights"])


def test_what_may_change_is_changed() -> None:
    found = resume._changed(replace(RECIPE, time=60.0), Options(epochs=9, patience=4, seed=3), RUN)
    assert found == replace(RECIPE, epochs=9, patience=4, time=None), "the time no longer chooses the epochs"
    assert resume._changed(replace(RECIPE, time=60.0), Options(patience=4), RUN).time == 60.0
    for given, words in (
            ({"lr": 0.5, "batch_size": 9}, ("batch size 8, lr 0.2", "batch_size, lr")),
            ({"fit": "pad"}, ("fit squash", "fit")),
            ({"augment": False}, ("augment shift=2,flip=True,magnitude=9.0", "augment")),
            ({"size": 5, "class_weights": [1, 2]}, ("class weights off, size 16x12", "class_weights, size"))):
        with pytest.raises(UsageError) as caught:
            resume._changed(RECIPE, Options(**given), RUN)
        assert str(caught.value) == (
            f"runs/a began with {words[0]}, which a resumed run keeps; leave {words[1]} out, or start a new "
            "run.")
    with pytest.raises(UsageError, match=r"^runs/a keeps its number of epochs when it is resumed, and time would "
                                         "change it; to"):
        resume._changed(RECIPE, Options(time="5m"), RUN)
    with pytest.raises(UsageError, match="with exclude another list, which a resumed run keeps"):
        resume._changed(replace(RECIPE, exclude="x"), Options(exclude=["b"]), RUN)


def test_what_goes_on_otherwise_is_said() -> None:
    """Of 4 epochs of 5 steps, after 20 steps of a cosine of 0.2 and before: the rate is that of the new length."""
    assert extension(RECIPE, RECIPE, 20, 5) == []
    assert extension(RECIPE, replace(RECIPE, patience=5), 20, 5) == [
        "The patience is 5 epochs from now on, not 3 as before."]
    longer = replace(RECIPE, epochs=8)
    said = extension(RECIPE, longer, 20, 5)
    assert said[0] == "The epochs are 8 from now on, not 4 as before."
    old, new = RECIPE.make_schedule(5), longer.make_schedule(5)
    assert said[1:] == [
        f"The learning rate is raised again, from {old(19):.2g} to {new(20):.2g}, where a cosine schedule of 8 epochs "
        f"is by now, and ends at {new(39):.2g}. The result is not that of an uninterrupted run. The best model is kept "
        "until an epoch is as good."]
    assert [f"{rate:.1g}" for rate in (old(18), old(19), new(38), new(39))] == ["0.005", "0.001", "0.001", "0.0003"]
    assert f"from {old(0):.2g} to {new(0):.2g}, where" in extension(RECIPE, longer, 0, 5)[1]
    assert "The learning rate goes on, from 0.2 to 0.2" in extension(RECIPE, longer, 1, 5)[1]
    constant = replace(RECIPE, schedule="constant")
    assert extension(constant, replace(constant, epochs=8), 20, 5)[1:] == ["The learning rate stays at 0.2."]


def test_a_rate_is_raised_where_it_grows_by_half() -> None:
    """A step schedule: 0.2 until the fourth epoch ends, or a part of it."""
    for gamma, how in ((0.65, "is raised again"), (0.7, "goes on")):
        before = replace(RECIPE, schedule={"kind": "step", "milestones": [19], "gamma": gamma})
        longer = replace(before, schedule={"kind": "step", "milestones": [99], "gamma": gamma}, epochs=8)
        assert f"The learning rate {how}, from {0.2 * gamma:.2g} to 0.2" in extension(before, longer, 20, 5)[1]


def history(count: int, best: int) -> list[Any]:
    return [{"epoch": epoch, "val_accuracy": 0.9 if epoch == best else 0.5, "val_loss": 1.0}
            for epoch in range(1, count + 1)]


@pytest.mark.parametrize(("done", "best", "step", "finished"), [
    (0, 0, 0, False), (3, 3, 0, False), (4, 4, 0, True), (3, 1, 0, False), (3, 1, 2, False)])
def test_a_run_is_finished_by_its_recipe(done: int, best: int, step: int, finished: bool) -> None:
    progress = Progress(epoch=done + 1, step=step, history=history(done, best), finished=not finished)
    assert resume._extended(progress, RECIPE, RUN) == replace(progress, finished=finished)


def test_patience_ends_a_run_by_what_it_is_now() -> None:
    progress = Progress(epoch=4, history=history(3, 1))
    for patience, finished in ((2, True), (3, False), (None, False)):
        assert resume._extended(progress, replace(RECIPE, patience=patience), RUN).finished == finished


@pytest.mark.parametrize(("done", "step", "words"), [(5, 0, "5 epochs"), (4, 2, "5 epochs"), (6, 3, "7 epochs")])
def test_fewer_epochs_than_are_done_are_refused(done: int, step: int, words: str) -> None:
    with pytest.raises(UsageError, match=rf"^runs/a has done {words} already; give a larger epochs\.$"):
        resume._extended(Progress(epoch=done + 1, step=step, history=history(done, 1)), RECIPE, RUN)


def test_why_nothing_is_left_to_do() -> None:
    early = Progress(epoch=4, history=history(3, 1))
    assert resume._why_finished(early, RECIPE, RUN) == (
        "runs/a is finished already: it stopped early after 3 of 4 epochs, 3 of them no better. To continue: cnn train "
        "--resume a --patience 6")
    whole = Progress(epoch=5, history=history(4, 1))
    for recipe in (RECIPE, replace(RECIPE, patience=None)):
        assert resume._why_finished(whole, recipe, RUN) == (
            "runs/a is finished already, after 4 epochs; there is nothing to resume. For more of them: cnn train "
            "--resume a --epochs 8")


def test_other_images_are_told_by_what_differs(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = scan(shared / "data")
    then = fingerprint(splits)
    config = {"classes": ["ant", "bee", "cat"], "samples": then}
    resume._check_data(str(shared / "data"), splits, config, RUN)
    monkeypatch.setattr(resume, "have_changed", lambda run, splits: False)  # as where a folder around them has
    resume._check_data("data", splits, {**config, "samples": {**then, "fingerprint": "x"}}, RUN)
    monkeypatch.setattr(resume, "have_changed", lambda run, splits: True)
    arrays: Any = ([], [])
    for data, samples, classes, words in (
            ("data", {**then, "fingerprint": "x"}, config["classes"], "as many, but with other names or sizes"),
            (arrays, {**then, "fingerprint": "x"}, config["classes"], "as many, but with other labels or pixels"),
            ("data", {**then, "fingerprint": "x", "val": 4}, config["classes"],
             "36 for training and 4 for validation then, 36 for training and 3 for validation now"),
            ("data", then, ["ant", "bee", "dog", "eel"],
             "when runs/a began (new: cat; gone: dog, eel); name them as before, or start a new run."),
            ("data", then, ["ant", "bee"], "(new: cat)")):
        with pytest.raises(DataError) as caught:
            resume._check_data(data, splits, {"classes": classes, "samples": samples}, RUN)
        assert words in str(caught.value)
