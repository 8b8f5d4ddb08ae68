"""training/finetune.py: what is frozen keeps every bit, what learns does so the more slowly the nearer it is to the
stem, and options that make no sense are refused."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.architectures import architecture
from cnncli.errors import UsageError
from cnncli.loss import CrossEntropy
from cnncli.network.blocks import blocks
from cnncli.optim import SGD
from cnncli.training.finetune import frozen_blocks, rates
from cnncli.training.options import Options
from cnncli.training.trainer import PartTrainer

from ..pictures import make_folder
from .conftest import Train


def arrays(network) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in {**network.parameters(), **network.buffers()}.items()}


def test_rates_rise_from_the_stem_to_the_head() -> None:
    network = architecture("resnet8", (16, 16, 3), 4)
    found = rates(network, 0.1)
    assert found.keys() == network.gradients().keys()
    by_block = [{found[f"{name}.{key}"] for name in block.layers for key in network.node(name).layer.grads}
                for block in blocks(network)]
    assert all(len(each) == 1 for each in by_block)
    values = [each.pop() for each in by_block]
    assert values[0] == pytest.approx(0.1)
    assert values[-1] == 1
    np.testing.assert_allclose(np.diff(np.log(values)), np.log(10) / (len(values) - 1))


def test_frozen_blocks_are_counted() -> None:
    network = architecture("resnet8", (16, 16, 3), 4)  # a stem, three blocks, the head
    assert [frozen_blocks(network, freeze) for freeze in (0, 2, 4, "all")] == [0, 2, 4, 4]
    with pytest.raises(UsageError, match="has 4 blocks before its last one, and 5 cannot be frozen"):
        frozen_blocks(network, 5)


@pytest.mark.parametrize("frozen", [1, 3, 4])
def test_what_is_frozen_keeps_every_bit(frozen: int, rng: np.random.Generator, isa: str) -> None:
    network = architecture("resnet8", (16, 16, 3), 4, seed=1)
    images, before = rng.standard_normal((8, 16, 16, 3)).astype(np.float32), arrays(network)
    trainer = PartTrainer(network, frozen, SGD(lr=0.1), CrossEntropy(), rates=rates(network, 0.1))
    losses = [trainer.step(images, np.arange(8) % 4) for _ in range(6)]
    assert losses[-1] < losses[0]
    kept = {name for block in blocks(network)[:frozen] for name in block.layers}
    for name, array in arrays(network).items():
        assert np.array_equal(array, before[name]) == (name.rpartition(".")[0] in kept), name


def test_a_part_learns_by_the_rates_and_the_seed_of_all() -> None:
    network = architecture("resnet8", (16, 16, 3), 4, seed=1)
    trainer = PartTrainer(network, 2, SGD(lr=0.1), CrossEntropy(), seed=7, rates=rates(network, 0.1))
    assert int(trainer.network.clock[0]) == 7
    assert trainer.step(np.ones((2, 16, 16, 3), np.float32), np.array([0, 1])) > 0
    features = dict(trainer._features)
    trainer.step(np.zeros((2, 16, 16, 3), np.float32), np.array([0, 1]))
    assert trainer._features == features, "their place is kept"
    plain = PartTrainer(architecture("resnet8", (16, 16, 3), 4, seed=1), 2, SGD(lr=0.1), CrossEntropy())
    assert int(plain.network.clock[0]) == 0


@pytest.mark.slow
def test_a_frozen_run_resumes_to_the_same_bits(train: Train, tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data", each=12, size=16)
    first = train(data=data, arch="resnet8", epochs=1, size=16)
    given = dict(data=data, arch=None, init=first.path, freeze=2, batch_size=8)
    whole = train(**given, epochs=3, name="whole")
    model = whole.model.network.parameters()
    assert np.array_equal(model["conv1.weight"], first.model.network.parameters()["conv1.weight"])
    assert not np.array_equal(model["fc.weight"], first.model.network.parameters()["fc.weight"])
    assert whole.config["recipe"]["fixed_statistics"] is True, "batches of 8"
    assert whole.config["recipe"]["head_first"] is False, "the classes are the same"

    from cnncli.errors import Interrupted
    from cnncli.training.observer import Observer

    class Stopper(Observer):
        def epoch_done(self, row, best) -> None:
            import os
            import signal

            if row["epoch"] == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train(**given, epochs=3, name="stopped", observer=Stopper())
    resumed = train(resume="stopped")
    assert (resumed.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()
    with pytest.raises(UsageError, match=r"freeze 2, which a resumed run keeps; leave freeze out"):
        train(resume="stopped", freeze=1)


@pytest.mark.slow
def test_statistics_are_fixed_where_batches_are_small(train: Train, tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data", each=30, size=16)
    first = train(data=data, arch="resnet8", epochs=1, size=16)
    for batch, same in ((8, True), (64, False)):
        run = train(data=data, arch=None, init=first.path, epochs=1, batch_size=batch, name=f"by-{batch}")
        mean = run.model.network.buffers()["bn1.running_mean"]
        assert np.array_equal(mean, first.model.network.buffers()["bn1.running_mean"]) == same


@pytest.mark.parametrize(("options", "why"), [
    ({"freeze": "some"}, "a number of blocks, all or none, not 'some'"), ({"freeze": -1}, "not -1"),
    ({"freeze": True}, "not True"), ({"probe": True, "epochs": 3}, "probe and epochs cannot be given together"),
    ({"probe": True, "freeze": 2}, "probe and freeze cannot be given together"),
    ({"probe": True, "time": "1m"}, "probe and time cannot be given together"),
    ({"init": "efficientnet_lite0", "recipe": "fast"}, "init and the recipe fast cannot be given together"),
])
def test_options_that_make_no_sense_are_refused(options: dict, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Options(**options)


def test_what_keeps_weights_needs_some(train: Train) -> None:
    with pytest.raises(UsageError, match="freeze needs weights that were trained before; give them with init"):
        train(freeze=2)
    with pytest.raises(UsageError, match="probe needs weights"):
        train(epochs=None, batch_size=None, probe=True)
    assert Options(freeze="none").freeze == 0
