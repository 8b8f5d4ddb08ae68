"""What is chosen where nothing is asked for, that what is asked for wins, and that a recipe survives its JSON."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli import architecture
from cnncli.data import Augmentation, Preprocessing, Sample, Splits, scan
from cnncli.errors import NetworkError, UsageError
from cnncli.training.choose import Facts, choose
from cnncli.training.options import Options
from cnncli.training.recipe import Recipe
from cnncli.training.resume import differences
from cnncli.training.start import Start, begin

from ..pictures import NETWORK, make_folder, make_network
from .choosing import chosen


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    return scan(make_folder(tmp_path_factory.mktemp("recipe") / "data", each=6, size=16))


def of_size(splits: Splits, count: int) -> Splits:
    """The same images again and again."""
    samples: list[Sample] = [splits.train[i % len(splits.train)] for i in range(count)]
    return Splits(splits.classes, samples, splits.val, splits.test)


@pytest.mark.slow
@pytest.mark.parametrize(("images", "batch"), [(7000, 128), (5120, 128), (5119, 64), (2400, 32), (700, 16), (20, 8)])
def test_small_sets_get_small_batches_and_rates_to_match(splits: Splits, images: int, batch: int) -> None:
    recipe, _, notes = chosen(Options(arch="resnet8"), of_size(splits, images))
    assert recipe.batch_size == batch
    assert recipe.lr == pytest.approx(0.1 * batch / 128)
    assert any("Batches of" in note for note in notes) == (batch < 128)


def resnet8(source: str | None = None, size: tuple[int, int] = (16, 16), **options: Any) -> Start:
    """What a training of resnet8 begins with: a stem, three blocks, the head."""
    preprocessing = Preprocessing(size, False, "squash")
    return Start("resnet8", architecture("resnet8", (16, 16, 3), 2, seed=None), preprocessing, source, **options)


@pytest.mark.parametrize(("images", "epochs"), [(60000, 15), (3000, 15), (2999, 16), (1000, 45), (451, 100), (20, 100)])
def test_small_sets_are_seen_more_often(images: int, epochs: int) -> None:
    facts = Facts((images,), 9, None)
    choice = choose(Options(), facts, resnet8())
    assert choice.recipe.epochs == epochs
    few = f"{epochs} epochs, because there are only {images:,} training images."
    assert (choice.notes[0] == few) == (epochs > 15)
    assert choose(Options(epochs=3), facts, resnet8()).recipe.epochs == 3
    assert few not in choose(Options(time=60.0), facts, resnet8()).notes, "these are chosen by the time"


def test_the_rate_does_not_grow_with_the_batch_for_ever(splits: Splits) -> None:
    many = of_size(splits, 6000)
    assert chosen(Options(arch="resnet8", batch_size=256), many)[0].lr == pytest.approx(0.2)
    assert chosen(Options(arch="resnet8", batch_size=3000), many)[0].lr == pytest.approx(0.8)


@pytest.mark.slow
def test_few_parameters_for_each_image_need_no_smoothing_and_take_larger_steps(splits: Splits) -> None:
    for images, lr, smoothing in ((7000, 0.1, 0.1), (8000, 0.2, 0.0)):  # resnet8 has 77,000 to 78,000
        recipe = chosen(Options(arch="resnet8"), of_size(splits, images))[0]
        assert (recipe.lr, recipe.label_smoothing) == (lr, smoothing)
    adam = chosen(Options(arch="resnet8", optimizer="adam"), of_size(splits, 8000))[0]
    assert (adam.lr, adam.label_smoothing) == (2e-3, 0.0)
    assert chosen(Options(arch="lenet5", size=32), of_size(splits, 60000))[0].lr == 0.05  # has no batch norm


@pytest.mark.slow
def test_defaults_suit_the_network(splits: Splits, tmp_path: Path) -> None:
    many = of_size(splits, 6000)
    with_norm, _, _ = chosen(Options(arch="resnet8"), many)
    plain, _, _ = chosen(Options(arch="lenet5", size=32), many)
    assert (with_norm.lr, with_norm.label_smoothing) == (0.1, 0.1)
    assert (plain.lr, plain.label_smoothing) == (0.05, 0.0)
    by_hand, begun, _ = chosen(Options(arch=make_network(tmp_path / "net.toml", NETWORK)), many)
    assert by_hand.arch == "net.toml"
    assert by_hand.lr == 0.2  # so small a network
    assert begun.network.output_shape == (3,)
    assert (with_norm.epochs, with_norm.weight_decay, with_norm.schedule) == (15, 5e-4, "one-cycle")
    assert chosen(Options(arch="resnet8", optimizer="adam"), many)[0].lr == 2e-3


@pytest.mark.slow
def test_images_are_not_varied_for_a_network_too_small_to_learn_them_by_heart(splits: Splits) -> None:
    lenet5 = Options(arch="lenet5", size=32)
    recipe, _, notes = chosen(lenet5, of_size(splits, 60000))
    assert recipe.augmentation is None
    assert any("--augment photo changes them all the same" in note for note in notes)
    grey = Options(arch="lenet5", size=32, grey=True)
    assert any("--augment digits changes them all the same" in note for note in chosen(grey, of_size(splits, 60000))[2])
    assert chosen(lenet5, of_size(splits, 3000))[0].augmentation is not None
    assert chosen(Options(arch="resnet8"), of_size(splits, 60000))[0].augmentation is not None
    asked, _, _ = chosen(Options(arch="lenet5", size=32, augment=True), of_size(splits, 60000))
    assert asked.augmentation is not None


def test_the_automatic_choice_is_explained(splits: Splits) -> None:
    recipe, _, notes = chosen(Options(arch="auto"), splits)
    assert any(note.startswith(f"Architecture: {recipe.arch}, because") for note in notes)
    assert not any("Architecture" in note for note in chosen(Options(arch="resnet8"), splits)[2])


@pytest.mark.slow
def test_what_is_asked_for_wins(splits: Splits) -> None:
    asked: dict[str, Any] = {
        "arch": "resnet20", "epochs": 2, "batch_size": 5, "lr": 0.7, "optimizer": "adamw", "schedule": "cosine",
        "warmup": 0.5, "weight_decay": 0.25, "loss": "cross-entropy", "label_smoothing": 0.2,
        "class_weights": (1.0, 2.0, 3.0), "size": (20, 24), "grey": True, "seed": 9, "patience": 4}
    recipe, begun, _ = chosen(Options(**asked), splits)
    assert {name: getattr(recipe, name) for name in asked} == asked
    assert begun.network.input_shape == (20, 24, 1)
    assert recipe.make_optimiser().config() | {"lr": 0.7, "weight_decay": 0.25} == recipe.make_optimiser().config()
    assert recipe.make_schedule(10).warmup_steps == 5
    assert recipe.make_loss().config()["class_weights"] == [1.0, 2.0, 3.0]
    assert chosen(Options(augment=False), splits)[0].augmentation is None
    assert chosen(Options(augment="none"), splits)[0].augmentation is None
    many = of_size(splits, 60000)
    asked_for = chosen(Options(arch="lenet5", size=32, augment="shift=1,rotate=7"), many)[0]
    assert asked_for.augmentation == Augmentation(1, rotate=7)
    assert chosen(Options(augment=Augmentation(1)), splits)[0].augmentation == Augmentation(1)


def test_how_images_are_varied_is_said(splits: Splits) -> None:
    def said(**options: Any) -> str:
        notes = chosen(Options(arch="resnet8", **options), splits)[2]
        return " ".join(note for note in notes if "in training" in note)

    assert said() == "Images are shifted by up to 2 pixels and flipped half of the time in training."
    assert "not flipped: grey ones are often digits" in said(grey=True)
    assert "not flipped" not in said(grey=True, augment="shift=2,flip=off"), "asked for, so not explained"
    assert said(augment="none") == "Images are not changed in training."
    assert "mixed in pairs (mixup 0.2)" in said(augment="auto,mixup")


@pytest.mark.parametrize("augment", ["rotat=3", "rotate=999", "photo,digits"])
def test_augmentation_that_makes_no_sense_is_refused_at_once(augment: str) -> None:
    with pytest.raises(UsageError, match=r"augment|rotate"):
        Options(augment=augment)


def test_an_augmentation_too_strong_for_the_images_is_refused(splits: Splits) -> None:
    with pytest.raises(UsageError, match=r"shift=9 would move images of 16 pixels by more than half; give at most 8\."):
        chosen(Options(arch="resnet8", augment="shift=9"), splits)


def test_a_recipe_survives_its_json_and_knows_what_differs(splits: Splits) -> None:
    recipe, _, _ = chosen(Options(arch="resnet8", class_weights="balanced"), splits)
    assert Recipe.from_config(json.loads(json.dumps(recipe.config()))) == recipe
    assert differences(Options(arch="resnet8", class_weights="balanced", size=16, augment=True), recipe) == []
    assert differences(Options(lr=0.5, size=20, augment=False, grey=True), recipe) == ["lr", "augment", "size", "grey"]
    varied, _, _ = chosen(Options(arch="resnet8", augment="photo,mixup=0.3,flip=alternate"), splits)
    assert Recipe.from_config(json.loads(json.dumps(varied.config()))) == varied
    same = ("photo,flip=alternate,mixup=0.3", varied.augmentation, True)
    assert [differences(Options(augment=augment), varied) for augment in same] == [[], [], []]
    others = ("photo,mixup=0.3", "none", False, "auto,shift=3")
    assert [differences(Options(augment=augment), varied) for augment in others] == [["augment"]] * 4


def test_balanced_weights_let_every_class_count_the_same(splits: Splits) -> None:
    samples = [s for i, s in enumerate(splits.train) if s.label != 1 or i % 2]
    recipe, _, _ = chosen(Options(arch="resnet8", class_weights="balanced"),
                           Splits(splits.classes, samples, splits.val, splits.test))
    assert recipe.class_weights is not None
    counts = [sum(s.label == k for s in samples) for k in range(3)]
    assert len(set(counts)) > 1
    shares = [weight * count for weight, count in zip(recipe.class_weights, counts, strict=True)]
    assert shares == pytest.approx([len(samples) / 3] * 3)


def test_balanced_sampling_is_kept_and_not_mixed_with_weights(splits: Splits) -> None:
    recipe, _, _ = chosen(Options(arch="resnet8", sampling="balanced"), splits)
    assert recipe.sampling == "balanced"
    assert Recipe.from_config(json.loads(json.dumps(recipe.config()))) == recipe
    assert chosen(Options(arch="resnet8"), splits)[0].sampling == "shuffled"
    for weights in ("balanced", (1.0, 2.0, 3.0)):
        with pytest.raises(UsageError, match="twice"):
            Options(sampling="balanced", class_weights=weights)
    with pytest.raises(UsageError, match="Did you mean 'balanced'"):
        Options(sampling="balancd")


def test_a_batch_larger_than_the_set_has_the_rate_of_the_set(splits: Splits) -> None:
    assert chosen(Options(arch="resnet8", batch_size=10**11), splits)[0].lr == 0.1 * len(splits.train) / 128


def test_an_architecture_that_is_too_large_for_the_images_is_told_with_the_flags_that_help(splits: Splits) -> None:
    with pytest.raises(NetworkError, match=r"^classic does not suit images of 1 x 1 pixels; give a larger size"):
        chosen(Options(arch="classic", size=1), splits)


@pytest.mark.parametrize(("freeze", "layers"), [
    (0, "all layers learn, the first ones more slowly, down to 0.1 times the learning rate"),
    (1, "blocks 2 to 5 of 5 learn, the first ones more slowly, down to 0.1 times the learning rate"),
    (4, "blocks 5 to 5 of 5 learn"), ("all", "blocks 5 to 5 of 5 learn")])
def test_what_becomes_of_others_weights_is_said(freeze: Any, layers: str) -> None:
    facts = Facts((50, 50), 9, None)
    small = " Batch norms keep their statistics, because batches are small."
    for new in (False, True):
        said = f"First the last layer is fitted to features, then {layers}" if new else layers.capitalize()
        for size, fixed in ((63, small), (64, "")):
            choice = choose(Options(freeze=freeze, batch_size=size), facts, resnet8("another run", new_head=new))
            assert choice.notes[-1] == f"{said}.{fixed}"
            recipe = choice.recipe
            assert (recipe.init, recipe.freeze, recipe.head_first, recipe.fixed_statistics, recipe.stem_rate) == (
                "another run", freeze, new, bool(fixed), 0.1)
    fresh = choose(Options(batch_size=8), facts, resnet8()).recipe
    assert (fresh.init, fresh.freeze, fresh.head_first, fresh.fixed_statistics, fresh.stem_rate) == (
        None, 0, False, False, None)


def test_a_probe_sees_every_image_once_as_it_is() -> None:
    choice = choose(Options(probe=True), Facts((50, 50), 9, None), resnet8("another run"))
    recipe = choice.recipe
    assert (recipe.epochs, recipe.augment, recipe.label_smoothing, recipe.probe, recipe.head_first, recipe.freeze) == (
        1, None, 0.0, True, True, "all")
    assert choice.notes == ["Only the last layer learns. It is fitted to features that are computed once."]
    assert choose(Options(probe=True, label_smoothing=0.3), Facts((50, 50), 9, None), resnet8("x")
                  ).recipe.label_smoothing == 0.3


def test_what_the_recipe_fast_suits_is_said() -> None:
    def notes(size: tuple[int, int], val: int) -> list[str]:
        return [note.split(";")[0] for note in choose(Options(recipe="fast"), Facts((5000,), val, None), replace(
            resnet8(size=size), arch="resnet9")).notes[-2:]]

    large, nothing = "The recipe fast is made for pictures of about 32 pixels", (
        "The recipe fast trains on every image of train/ and holds none out")
    assert notes((64, 64), 0)[1:] == [nothing]
    assert notes((64, 65), 0) == [large, nothing]
    assert notes((65, 65), 1)[1:] == [large]


def test_what_nobody_asked_for_is_as_it_always_was() -> None:
    recipe = choose(Options(), Facts((30, 10), 4, "excluded"), resnet8()).recipe
    assert (recipe.ema, recipe.warmup, recipe.exact, recipe.sampling, recipe.seed, recipe.split_seed) == (
        0.25, None, False, "shuffled", 0, None)
    assert (recipe.loss, recipe.class_weights, recipe.exclude, recipe.fold, recipe.time, recipe.recipe) == (
        "cross-entropy", None, "excluded", None, None, "auto")
    assert (recipe.range, recipe.float_range, recipe.momentum, recipe.lookahead) == (None, None, None, False)
    asked = choose(Options(ema=0, warmup=0, exact=True, seed=5, split_seed=0, range="0:4095", time=60.0, fold=(1, 3)),
                   Facts((30, 10), 4, None), resnet8()).recipe
    assert (asked.ema, asked.warmup, asked.exact, asked.seed, asked.split_seed) == (0.0, 0.0, True, 5, 0)
    assert (asked.range, asked.time, asked.fold) == ((0.0, 4095.0), 60.0, (1, 3))
    deep = replace(resnet8(), preprocessing=Preprocessing((16, 16), False, range=(1.0, 9.0), float_range=(0.0, 2.0)))
    kept = choose(Options(), Facts((30, 10), 4, None), deep).recipe
    assert (kept.range, kept.float_range) == ((1.0, 9.0), (0.0, 2.0))
    given = choose(Options(range=(0, 5)), Facts((30, 10), 4, None), deep).recipe
    assert (given.range, given.float_range) == ((0.0, 5.0), None)
    squared = choose(Options(loss="squared-error"), Facts((30, 10), 4, None), resnet8()).recipe
    assert (squared.loss, squared.label_smoothing) == ("squared-error", None)
    facts = Facts((30, 10), 4, None, ("cat", "dog"))
    assert choose(Options(class_weights={"dog": 3}), facts, resnet8()).recipe.class_weights == (1.0, 3.0)
    with pytest.raises(UsageError, match="there are 3 class weights for 2 classes"):
        choose(Options(class_weights=[1, 2, 3]), Facts((30, 10), 4, None), resnet8())


def test_choosing_reads_and_changes_nothing() -> None:
    """Options, facts and a start are all it knows: no folder is there, and the network's numbers stay as they are."""
    preprocessing = Preprocessing((16, 16), False, "squash")
    network = architecture("resnet8", (16, 16, 3), 2, seed=1)
    beginning = Start("resnet8", network, preprocessing)
    before = {name: array.copy() for name, array in network.parameters().items()}
    opened: list[Any] = []
    sys.addaudithook(lambda event, arguments: opened.append(arguments) if event == "open" and watching else None)
    watching = True
    first, again = (choose(Options(class_weights="balanced"), Facts((30, 10), 4, None), beginning) for _ in range(2))
    watching = False
    assert first == again
    assert not opened
    assert first.recipe.class_weights == pytest.approx((40 / 60, 2.0))
    assert (first.recipe.epochs, first.recipe.batch_size) == (100, 8)
    assert all(np.array_equal(array, before[name]) for name, array in network.parameters().items())


@pytest.mark.parametrize(("images", "epochs"), [(86, 15), (270, 12), (900, 8), (60000, 8)])
def test_fine_tuning_is_short_and_stops_where_nothing_is_gained(splits: Splits, images: int, epochs: int) -> None:
    tuned = replace(begin(Options(arch="resnet8"), splits), source="another run")
    facts = Facts((images // 2, images - images // 2), val=10, excluded=None)

    def recipe(val: int = 10, **options: Any) -> Recipe:
        return choose(Options(**options), replace(facts, val=val), tuned).recipe

    assert (recipe().epochs, recipe().patience) == (epochs, 5)
    assert any("5 epochs in a row" in note for note in choose(Options(), facts, tuned).notes)
    assert recipe(patience=3).patience == 3
    for given in ({"epochs": 20}, {"time": 60.0}, {"probe": True}, {"val": 0}):  # the user's, or nothing to judge by
        assert recipe(**given).patience is None
    assert choose(Options(), facts, replace(tuned, source=None)).recipe.patience is None
