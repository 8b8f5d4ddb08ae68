"""training/defaults.py and finetune.py: the numbers that a training has where nobody says."""

from dataclasses import astuple

import pytest

from cnncli.architectures import architecture
from cnncli.network import Network
from cnncli.training import defaults, finetune
from cnncli.training.defaults import Tuning


@pytest.fixture(scope="module")
def networks() -> dict[str, Network]:
    """One with batch norms, of 78,042 numbers, and one without."""
    return {"norm": architecture("resnet8", (16, 16, 3), 10, seed=None),
            "plain": architecture("lenet5", (32, 32, 1), 10, seed=None)}


@pytest.mark.parametrize(("optimizer", "norm", "plain", "decay"), [
    ("sgd", 0.1, 0.05, 5e-4), ("adam", 2e-3, 1e-3, 0.0), ("adamw", 2e-3, 1e-3, 0.01)])
def test_peaks_for_networks_that_begin_from_nothing(optimizer: str, norm: float, plain: float, decay: float,
                                                    networks: dict[str, Network]) -> None:
    assert defaults.tuning(networks["norm"], "", optimizer, 128, 1000) == Tuning(norm, decay, 0.1)
    assert defaults.tuning(networks["plain"], "", optimizer, 128, 1000) == Tuning(plain, decay, 0.0)


def test_only_sgds_peak_goes_with_the_batch(networks: dict[str, Network]) -> None:
    def peaks(optimizer: str, *batches: int, images: int = 1000, network: str = "norm") -> list[float]:
        return [defaults.tuning(networks[network], "", optimizer, batch, images).lr for batch in batches]

    sgd, adam = peaks("sgd", 32, 256, 1024, 4096), peaks("adam", 32, 4096)
    assert (sgd, adam) == (pytest.approx([0.025, 0.2, 0.8, 0.8]), [2e-3, 2e-3])
    few, many = (peaks("sgd", 128, images=images) for images in (7804, 7805))
    assert (few, many) == ([0.1], [0.2]), "ten numbers for each image"
    assert peaks("sgd", 128, images=10**6, network="plain") == [0.05]


def test_how_long_and_in_what_steps() -> None:
    fresh, taken_over = (astuple(each.DEFAULTS) for each in (defaults, finetune))
    assert fresh == (15, 128, "one-cycle", 0.25, 45_000, 100, None, "sgd", False)
    assert taken_over == (8, 32, "one-cycle", 0.25, 3_000, 15, 5, "adamw", False)


@pytest.mark.parametrize(("optimizer", "batch", "peak", "decay"), [
    ("sgd", 32, 0.003, 5e-4), ("sgd", 64, 0.006, 5e-4), ("adam", 64, 3e-4, 0.0), ("adamw", 8, 3e-4, 0.01)])
def test_smaller_steps_for_what_has_learnt_elsewhere(optimizer: str, batch: int, peak: float, decay: float,
                                                     networks: dict[str, Network]) -> None:
    assert finetune.tuning(networks["norm"], "", optimizer, batch, 100) == Tuning(
        pytest.approx(peak), decay, 0.1, stem_rate=0.1)


def test_numbers_that_learn_are_counted(networks: dict[str, Network]) -> None:
    assert [defaults.has_norm(network) for network in networks.values()] == [True, False]
    assert [defaults.parameters(network) for network in networks.values()] == [78_042, 61_706]
