"""A hundred thousand predictions and ten thousand steps in one process: memory and open files stay what they were after
the first thousand. `make soak` runs it, in some minutes; CNN_SOAK=0.05 a twentieth of it. pytest does not collect it by
itself."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.architectures import architecture
from cnncli.loss import CrossEntropy
from cnncli.optim import SGD
from cnncli.training.trainer import Trainer

from .small_model import small_model

SHARE = float(os.environ.get("CNN_SOAK", "1"))
ROUNDS = 20  # after each of which it is measured
GROWTH = 3 << 20  # bytes that may be more at the end than after the first rounds: what allocators keep


def resident() -> int:
    """Return the bytes of memory that the process has, after everything is collected."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def flat(work: "object", rounds: int = ROUNDS) -> None:
    """Assert that neither memory nor open files grow from one call of work to the next, after the first few."""
    sizes, files = [], []
    for _ in range(rounds):
        work()  # type: ignore[operator]
        sizes.append(resident())
        files.append(len(os.listdir("/proc/self/fd")))
    settled = rounds // 4
    assert len(set(files[settled:])) == 1, files
    assert max(sizes[settled:]) - sizes[settled] < GROWTH, [f"{size / 2**20:.1f}" for size in sizes]


@pytest.mark.linux
@pytest.mark.alone
@pytest.mark.slow
def test_predictions(tmp_path: Path, rng: np.random.Generator) -> None:
    for i in range(40):
        image = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
        image.save(tmp_path / f"{i}.{('png', 'jpg', 'gif', 'webp', 'bmp', 'tif')[i % 6]}")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "1.jpg").read_bytes()[:-2])
    Image.fromarray(rng.integers(0, 4096, (9, 12), np.uint16)).save(tmp_path / "deep.png")
    files = sorted(map(str, tmp_path.iterdir()))
    model, each = small_model(), round(100_000 * SHARE / ROUNDS / len(files))

    def work() -> None:
        for answer in model.predictions(files * each):
            assert (answer.error is None) != answer.path.endswith("text.png")

    flat(work)


@pytest.mark.linux
@pytest.mark.alone
@pytest.mark.slow
def test_steps(rng: np.random.Generator) -> None:
    network = architecture("lenet5", (28, 28, 1), 10)
    trainer = Trainer(network, SGD(lr=0.01), CrossEntropy())
    # Few images: what a step keeps has nothing to do with their number, what it takes has.
    images, labels = rng.random((8, 28, 28, 1), np.float32), rng.integers(0, 10, 8)

    def work() -> None:
        for _ in range(round(10_000 * SHARE / ROUNDS)):
            trainer.step(images, labels)
        network.forward(images[:7])

    flat(work)
