"""training/recipe.py: what a recipe is written as, and the optimiser, rates, loss and schedule that it makes."""

from dataclasses import replace
from typing import Any

import pytest

from cnncli.architectures import architecture
from cnncli.errors import UsageError
from cnncli.loss import CrossEntropy
from cnncli.optim import SGD, Adam, Schedule
from cnncli.training import fast, finetune
from cnncli.training.recipe import Recipe

PLAIN: dict[str, Any] = {
    "arch": "resnet8", "epochs": 4, "batch_size": 8, "lr": 0.2, "optimizer": "sgd", "schedule": "cosine",
    "warmup": None, "weight_decay": 0.01, "loss": "cross-entropy", "label_smoothing": 0.1, "class_weights": None,
    "augment": None, "size": (16, 12), "grey": False, "resize": "squash", "seed": 3, "patience": None, "ema": 0.25,
    "exact": False, "sampling": "shuffled", "time": None, "fold": None, "exclude": None, "recipe": "auto",
    "momentum": None, "norm_biases": None, "lookahead": False, "init": None, "freeze": 0, "probe": False,
    "head_first": False, "stem_rate": None, "fixed_statistics": False}
LATER: dict[str, Any] = {"split_seed": 5, "group_by": "x", "labels": "y", "range": (0.0, 4095.0),
                         "float_range": (0.0, 2.0)}


def test_what_later_versions_added_is_written_only_where_it_is_used() -> None:
    recipe = Recipe(**PLAIN)
    assert recipe.config() == {**PLAIN, "size": [16, 12]}
    assert Recipe.from_config(recipe.config()) == recipe
    for name, value in LATER.items():
        later = Recipe(**PLAIN, **{name: value})
        assert later.config() == {**recipe.config(), name: list(value) if isinstance(value, tuple) else value}
        assert Recipe.from_config(later.config()) == later


@pytest.mark.parametrize(("name", "values"), [
    ("epochs", [None, "x", -1, 0, 1.5, True]), ("batch_size", [0, [], {}]), ("lr", [None, "x", -1, float("nan")]),
    ("optimizer", ["x", {}]), ("schedule", ["x", {}, {"kind": "x"}, {"a": None}]), ("warmup", ["x", [1]]),
    ("label_smoothing", ["x", [], 7]), ("class_weights", [3, "x", [None], [[1]]]), ("augment", [3, {"a": None}]),
    ("size", [None, 5, [5], [5, 0], ["5", 5], [5, 5, 5]]), ("seed", ["x", -1, 10**30]), ("patience", [0, "x"]),
    ("ema", [None, 2, "x"]), ("fold", ["x", 3, [[1]], [9, 2]]), ("init", [3]), ("freeze", [None, 3.5, {}]),
    ("probe", [{}, None]), ("stem_rate", ["x", {}]), ("exact", [2]), ("split_seed", ["x"]), ("range", [[1], "x"])])
def test_a_recipe_of_wrong_values_is_refused_with_the_entry(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(UsageError, match=r"^the run's recipe .*put config\.json back as it was"):
            Recipe.from_config({**Recipe(**PLAIN).config(), name: value})


@pytest.mark.parametrize("wrong", [[], None, {}, {**PLAIN, "more": 1}, {k: v for k, v in PLAIN.items() if k != "seed"}])
def test_what_is_no_recipe_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="recipe is of another version of cnn; train again"):
        Recipe.from_config(wrong)


def test_preprocessing_and_augmentation() -> None:
    recipe = Recipe(**{**PLAIN, "range": (1.0, 9.0), "float_range": (0.0, 2.0), "augment": {"shift": 2}})
    made = recipe.preprocessing
    assert (made.size, made.grey, made.resize, made.range, made.float_range) == (
        (16, 12), False, "squash", (1.0, 9.0), (0.0, 2.0))
    assert recipe.augmentation is not None
    assert recipe.augmentation.shift == 2
    assert Recipe(**PLAIN).augmentation is None


def test_a_warm_up_may_be_as_long_as_the_training() -> None:
    for warmup in (None, 0.0, 4.0):
        Recipe(**{**PLAIN, "warmup": warmup}).check_warmup()
    with pytest.raises(UsageError, match=r"4\.5 epochs does not fit into 4"):
        Recipe(**{**PLAIN, "warmup": 4.5}).check_warmup()


def test_optimisers() -> None:
    made = Recipe(**PLAIN).make_optimiser()
    assert isinstance(made, SGD)
    assert made.config() == SGD(lr=0.2, momentum=0.9, nesterov=True, weight_decay=0.01).config()
    assert Recipe(**{**PLAIN, "momentum": 0.5}).make_optimiser().config()["momentum"] == 0.5
    assert isinstance(Recipe(**{**PLAIN, "optimizer": "adam"}).make_optimiser(), Adam)


def test_rates_of_single_parameters() -> None:
    network = architecture("resnet9", (32, 32, 3), 3, seed=None)
    assert Recipe(**PLAIN).make_rates(network) is None
    assert Recipe(**{**PLAIN, "norm_biases": 64.0}).make_rates(network) == fast.rates(network, 64.0)
    assert Recipe(**{**PLAIN, "stem_rate": 0.1}).make_rates(network) == finetune.rates(network, 0.1)


def test_losses() -> None:
    made = Recipe(**PLAIN).make_loss()
    assert isinstance(made, CrossEntropy)
    assert made.config() == CrossEntropy(label_smoothing=0.1).config()
    weighted = Recipe(**{**PLAIN, "class_weights": (1.0, 2.0)}).make_loss()
    assert weighted.config()["class_weights"] == [1.0, 2.0]


def test_a_schedule_goes_over_all_steps_with_the_warm_up_in_epochs() -> None:
    made = Recipe(**{**PLAIN, "warmup": 0.55}).make_schedule(10)
    assert made == Schedule("cosine", 0.2, 40, 6)
    assert Recipe(**PLAIN).make_schedule(10) == Schedule("cosine", 0.2, 40, 0)
    given = Recipe(**{**PLAIN, "schedule": {"kind": "cosine", "min_lr": 0.04}})
    assert (Recipe(**PLAIN).schedule_kind, given.schedule_kind) == ("cosine", "cosine")
    assert given.make_schedule(10) == Schedule("cosine", 0.2, 40, 0, min_lr=0.04)
    assert replace(given, lr=0.5).make_schedule(10)(0) == 0.5
