"""evaluation/grouped.py and what intervals.py says of groups: the interval for new groups, its bounds, the warning."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import cnncli
from cnncli.data import Sample
from cnncli.evaluation import grouped
from cnncli.evaluation.grouped import GroupScore
from cnncli.evaluation.headline import TRAINED
from cnncli.evaluation.intervals import of_groups, student, wilson
from cnncli.runs import Run


@pytest.mark.parametrize(("freedom", "t"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (10, 2.228), (30, 2.042),
                                            (99, 1.984)])
def test_students_t_as_in_tables(freedom: int, t: float) -> None:
    assert student(freedom) == pytest.approx(t, abs=5e-4)


def test_the_interval_of_groups_is_wider_the_more_they_differ() -> None:
    assert of_groups([8], [10]) is None
    alike = of_groups([8] * 20, [10] * 20)
    assert alike == wilson(160, 200, student(19)), "groups that do not differ: only t in place of the normal quantile"
    apart = of_groups([10, 6] * 10, [10] * 20)
    assert apart is not None
    assert apart[0] < alike[0] < 0.8 < alike[1] < apart[1]
    share, effect = 0.8, 20 / 19 * 20 * 2**2 / 200**2 / (0.8 * 0.2 / 200)  # by hand
    assert apart == pytest.approx(wilson(160 / effect, 200 / effect, student(19)))
    assert share == (apart[0] + apart[1]) / 2 or apart[0] < share < apart[1]
    assert of_groups([10] * 12, [10] * 12) == wilson(12, 12, student(11)), "all right: as if a group were one image"
    assert of_groups([0, 0], [3, 3]) == wilson(0, 2, student(1))


def test_the_interval_holds_new_groups_as_often_as_it_says() -> None:
    rng, held, usual = np.random.default_rng(0), 0, 0
    for _ in range(400):
        chances = rng.beta(8, 2, 12)  # 0.8 on average, and it differs from group to group
        images = rng.integers(20, 40, 12)
        right = rng.binomial(images, chances)
        low, high = of_groups(right.tolist(), images.tolist()) or (1, 0)
        held += low <= 0.8 <= high
        low, high = wilson(int(right.sum()), int(images.sum()))
        usual += low <= 0.8 <= high
    assert 0.93 * 400 <= held <= 0.985 * 400
    assert usual < 0.75 * 400, "the usual interval is about images, not groups"


def test_groups_are_scored_by_name_and_images_of_none_by_themselves() -> None:
    samples = [Sample("", name, 0, group=group)
               for name, group in (("a/1", "y"), ("a/2", "x"), ("a/3", "y"), ("x", None))]
    found = grouped.scores_of(samples, np.array([True, True, False, False]))
    assert found == [GroupScore("x", 1, 1), GroupScore("y", 2, 1), GroupScore("x", 1, 0)]
    assert grouped.scores_of(samples[3:], np.array([True])) == []


COME = "The images tested come from "
HOLDS = "The 95 % interval of the accuracy holds for more images of this group, not for new groups."
LITTLE = "That is few for a statement about new groups. "
WITH = "With the options of this model, cross-validation tests "


@pytest.mark.parametrize(("groups", "by_split", "said"), [
    (0, None, None),
    (5, None, None),
    (1, None, f"{COME}1 group (g0). {HOLDS}"),
    (2, {"train": 9, "val": 1, "test": 2}, f"{COME}2 groups (g0, g1). {LITTLE}{WITH}each of the 10 groups "
                                           "of the training and validation images once: 10 folds"),
    (4, {"train": 900, "val": 1, "test": 4}, f"{COME}4 groups (g0, g1, g2, g3). {LITTLE}{WITH}more groups: 100 folds"),
    (1, {"train": "x", "val": 1}, f"{COME}1 group (g0). {HOLDS}"),
])
def test_few_groups_are_warned_of(groups: int, by_split: object, said: str | None, tmp_path: Path,
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path)
    run.write_config({"groups_by_split": by_split})
    scores = [GroupScore(f"g{i}", 1, 1) for i in range(groups)]
    with monkeypatch.context() as patched:
        patched.setattr(grouped, "folds_command", lambda run, folds: f": {folds} folds")
        assert grouped.warning(scores, run) == said
    without = grouped.warning(scores, run)
    assert without == (said and said.partition(" With the")[0]), "no advice where there is no whole command"


def test_groups_that_were_learnt_are_told_but_not_for_training_images_themselves() -> None:
    samples = [Sample("", str(i), 0, group=group) for i, group in enumerate(["x", "y", "x", None, "z"])]
    seen = np.array([True, False, False, False, False])
    found = grouped.scores_of(samples, np.ones(5, bool), {"x", "z", "3"})
    assert {each.name: each.trained_on for each in found} == {"x": True, "y": False, "z": True, "3": False}
    assert grouped.also_learnt(samples, seen, {"x", "z"}) == (
        "2 of the 3 groups tested (x, z) are called like groups of the training images. If they are the same groups, "
        "the accuracy on their 2 images says little about new groups.")
    assert "their 3 images" in (grouped.also_learnt(samples, None, {"x", "z"}) or "")
    assert "1 of the 2 groups tested (x) is called" in (grouped.also_learnt(samples[:3], seen[:3], {"x"}) or "")
    assert grouped.also_learnt(samples[:2], seen[:2], {"x"}) is None


def slides(folder: str, *numbers: int) -> None:
    """Write three images of each slide and class."""
    rng = np.random.default_rng(numbers)
    for name in (f"{label}/s{slide}_{i}.png" for label in "ab" for slide in numbers for i in range(3)):
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(rng.integers(0, 256, (12, 12), np.uint8)).save(path)


def copied(folder: str, name: str) -> str:
    """Return a copy of a folder whose images have other names, so that it is another one for a run."""
    shutil.copytree(folder, name)
    for path in Path(name).rglob("*.png"):
        path.rename(path.with_name(f"{path.stem}_copy.png"))
    return name


@pytest.mark.slow
def test_the_groups_of_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    slides("cells/train", *range(6))
    slides("cells/val", 6)
    slides("cells/test", 3, 7)
    options: dict[str, Any] = {"arch": "lenet5", "epochs": 1, "size": 16}
    run = cnncli.train("cells", group_by=r"^\w/(s\d+)_", **options)
    called = "Warning: 1 of the {} groups tested (s{}) is called like groups of the training images."
    assert any(note.startswith(called.format(2, 3)) for note in cnncli.evaluate(run).notes), "given parts share one"
    Path("cells").rename("moved")  # what it was trained on is not at hand: its list of images says the groups
    slides("other", 2, *range(20, 25))
    found = cnncli.evaluate(run, "other")
    assert [group.name for group in found.groups] == ["s2", "s20", "s21", "s22", "s23", "s24"]
    assert [group.trained_on for group in found.groups] == [True, *[False] * 5]
    assert found.as_json()["group_interval"] == list(found.group_interval or ())
    assert [note for note in found.notes if "group" in note] == [
        f"{called.format(6, 2)} If they are the same groups, the accuracy on their 6 images says little about new "
        "groups."]
    Path("other/a").rename("others_a")
    for i, path in enumerate(Path("others_a").iterdir()):
        Path("other/a").mkdir(exist_ok=True)
        path.rename(f"other/a/{i}.png")
    found = cnncli.evaluate(run, "other")
    assert len(found.groups) == 18 + 6, "images in no group are groups by themselves"
    Path("other/b").rename("others_b")
    found = cnncli.evaluate(run, "other")
    assert (found.groups, found.group_interval) == ([], None)
    assert found.notes[-1].startswith(r"group_by='^\w/(s\d+)_', which the model was trained with, finds no group in ")
    table = {f"train/a/s{slide}_{i}.png": f"g{slide}" for slide in range(6) for i in range(3)}
    Path("moved").rename("cells")
    by_table = cnncli.train("cells", group_by=table, **options)
    found = cnncli.evaluate(by_table, "other")
    assert (found.groups, found.notes[-1]) == (
        [], "The groups that the model was trained with are not known for the images tested.")


@pytest.mark.slow
def test_a_test_says_its_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    slides("cells", *range(6))
    run = cnncli.train("cells", arch="lenet5", epochs=1, size=16, group_by=r"(s\d)_", seed=0)
    assert run.config["groups_by_split"] == {"train": 4, "val": 1, "test": 1}
    found = cnncli.evaluate(run)
    assert len(found.groups) == 1
    assert found.groups[0].image_count == 6
    assert found.group_interval is None
    warned = next(note for note in found.notes if note.startswith("Warning: The images tested come from 1 group (s"))
    assert warned.endswith("each of the 5 groups of the training and validation images once: cnn train "
                           f"{tmp_path / 'cells'} --group-by='(s\\d)_' --arch lenet5 --epochs 1 --size 16 --seed 0 "
                           "--folds 5 --name lenet5-1-folds")
    cnncli.write_report(found, "report")
    page = Path("report/report.html").read_text()
    assert "The images tested come from 1 group." in page
    assert json.loads(Path("report/test.json").read_text())["groups"] == [found.groups[0].as_json()]
    assert f"{found.headline.means})" in page
    assert found.headline.means.startswith("for new images of group s")
    several = cnncli.evaluate(run, split="train")
    assert (several.as_json()["group_interval"], several.as_json()["accuracy_interval"]) == (None, None), "learnt"
    assert several.as_json()["accuracy_interval_missing"] == TRAINED
    everything = cnncli.evaluate(run, copied("cells", "everything"))
    new = [group for group in everything.groups if not group.trained_on]
    assert (len(everything.groups), len(new)) == (6, 2)
    assert everything.group_interval == of_groups([g.right for g in new], [g.image_count for g in new])
    said = everything.as_json()
    assert (said["accuracy_interval"], said["group_interval"]) == (None, list(everything.group_interval or ()))
    assert len(several.groups) == 4
    cnncli.write_report(several, "report")
    page = Path("report/report.html").read_text()
    assert several.headline.warning in page
    assert "95 % interval" not in page
    assert page.count('"whisker"') == 1, "that of the majority class"
