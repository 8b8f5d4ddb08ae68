"""The recipe fast: what it chooses, that whatever is given wins, how it divides a folder, and that a training by it
whitens its first layer, ends with the slow weights, resumes to the same bits and is tested on what it left out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.architectures import architecture
from cnncli.data import Preprocessing, Splits, load_images, scan
from cnncli.errors import Interrupted, UsageError
from cnncli.model import checkpoint
from cnncli.runs.samples import fractions
from cnncli.training import fast
from cnncli.training.options import Options
from cnncli.training.recipe import Recipe

from ..pictures import make_folder
from .choosing import chosen
from .conftest import Train
from .test_choose import of_size
from .test_resume import At, interrupt, outcome

QUICK: dict[str, Any] = {"arch": "resnet9", "recipe": "fast", "epochs": 3, "batch_size": 8, "lr": 0.02, "size": 12}


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    return scan(make_folder(tmp_path_factory.mktemp("fast") / "data", each=12, size=32), fractions("fast"))


def test_what_it_chooses(splits: Splits) -> None:
    recipe, begun, notes = chosen(Options(recipe="fast"), of_size(splits, 50_000))
    assert (recipe.recipe, recipe.arch, recipe.epochs, recipe.batch_size) == ("fast", "resnet9", 20, 1024)
    assert (recipe.lr, recipe.momentum, recipe.schedule) == (1.5, 0.85, "triangular")
    assert recipe.lookahead
    assert recipe.label_smoothing == 0.2
    rates = recipe.make_rates(begun.network)
    assert rates == {f"stage{stage}.bn{place}.bias": 64.0 for stage in (1, 2, 3) for place in (1, 2)}
    assert recipe.make_optimiser().config()["momentum"] == 0.85
    assert any("holds none out" in note for note in notes)
    assert Recipe.from_config(recipe.config()) == recipe


def test_what_is_given_wins(splits: Splits) -> None:
    given = Options(recipe="fast", epochs=3, batch_size=64, lr=0.3, schedule="cosine", weight_decay=0.1,
                    label_smoothing=0.0, augment=False)
    recipe, _, _ = chosen(given, of_size(splits, 50_000))
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.schedule) == (3, 64, 0.3, "cosine")
    assert (recipe.weight_decay, recipe.label_smoothing, recipe.augment) == (0.1, 0.0, None)


def test_another_network_or_optimiser_gets_its_usual_rates(splits: Splits) -> None:
    for options in (Options(recipe="fast", arch="resnet20"), Options(recipe="fast", optimizer="adamw")):
        recipe, _, notes = chosen(options, of_size(splits, 50_000))
        assert recipe.norm_biases is None
        assert recipe.momentum is None
        assert recipe.lr == (2e-3 if options.optimizer else 1.6)
        assert any("usual ones" in note for note in notes)


def test_fewer_images_get_smaller_batches_and_rates(splits: Splits) -> None:
    recipe, _, notes = chosen(Options(recipe="fast"), of_size(splits, 12_000))
    assert recipe.batch_size == 256
    assert recipe.lr == pytest.approx(1.5 / 4)
    assert any("Batches of 256" in note for note in notes)


def test_grey_images_are_shifted_and_not_flipped() -> None:
    grey, colour = (fast.augmentation(Preprocessing((32, 40), grey, "squash")) for grey in (True, False))
    assert (grey.shift, colour.shift) == (2, 2)
    assert not grey.flip
    assert colour.flip == "alternate"


def test_flips_alternate_from_epoch_to_epoch() -> None:
    varied, indices = fast.augmentation(Preprocessing((32, 32), False, "squash")), np.arange(1000)
    flips = [varied.moves(7, epoch, indices, (32, 32))[:, 2] for epoch in (1, 2, 3)]
    assert np.array_equal(flips[0], 1 - flips[1])
    assert np.array_equal(flips[0], flips[2])
    assert 400 < flips[0].sum() < 600


def test_nothing_is_held_out_unless_it_has_a_folder_of_its_own(tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data", each=20)
    usual, all_of_it = scan(data, fractions(None)), scan(data, fractions("fast"))
    assert len(usual.val) == 6
    assert not all_of_it.val
    assert [s.relative for s in usual.test] == [s.relative for s in all_of_it.test]
    assert len(all_of_it.train) == len(usual.train) + len(usual.val)


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no recipe 'fats'.*Did you mean 'fast'"):
        Options(recipe="fats")


@pytest.mark.slow
def test_a_training_whitens_and_resumes_to_the_same_bits(train: Train, shared: Path) -> None:
    straight = train(**QUICK)
    expected = outcome(straight)
    for step in (1, 6, 12):
        with pytest.raises(Interrupted):
            train(**QUICK, name=f"s{step}", observer=At(interrupt, steps=step))
        assert outcome(train(resume=f"s{step}")) == expected, f"after step {step}"
    model = checkpoint.load_model(straight.path)
    fresh = architecture("resnet9", model.preprocessing.shape, 3)
    samples = scan(shared / "data", fractions("fast")).train
    fresh.nodes[0].layer.fit(model.preprocessing.normalise(  # type: ignore[attr-defined]
        load_images(samples, model.preprocessing).pixels(np.arange(len(samples)))))
    trained = model.network.parameters()
    assert np.array_equal(trained["whiten.weight"], fresh.parameters()["whiten.weight"])
    slow = checkpoint.load_state(straight.path).arrays
    assert all(np.array_equal(trained[name], slow[f"slow/{name}"]) for name in trained), "it ends with the slow weights"


@pytest.mark.slow
def test_it_cannot_become_another_recipe_when_resumed(train: Train) -> None:
    with pytest.raises(Interrupted):
        train(**QUICK, name="r", observer=At(interrupt, steps=2))
    with pytest.raises(UsageError, match="leave recipe out"):
        train(resume="r", recipe="auto")
