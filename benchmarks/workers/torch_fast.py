"""The recipe ``fast`` in PyTorch: the same network, batches, augmentation, schedule and update as ``cnn train --recipe
fast`` (cnncli/training/fast.py), written for the fastest that PyTorch does on a CPU in float32. benchmarks/fast.py runs
it under the peers' interpreter; it takes the images as uint8 arrays and prints a JSON object.

    python -m benchmarks.workers.torch_fast images.npz --steps 30 --modes channels_last
    python -m benchmarks.workers.torch_fast images.npz --epochs 16 --modes channels_last
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.contest import TORCH_MODES

WIDTHS = (64, 256, 256)
BATCH, LR, MOMENTUM, WEIGHT_DECAY, SMOOTHING = 1024, 1.5, 0.85, 0.00133, 0.2
NORM_BIASES = 64.0  # the learning rate of batch norms' biases as a multiple of LR
SCALE = 1 / 9  # of the logits
START, TOP, END = 0.2, 0.23, 0.07  # the triangle's corners: heights at both ends, and where the peak is
EVERY, LAST_DECAY = 5, 0.95**5  # Lookahead's
WHITENING_IMAGES, EPSILON = 5_000, 5e-4
SHIFT = 2


class Net(nn.Module):
    """resnet9: a frozen whitening layer, three stages of two convolutions that begin as the identity, a linear one."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad_(False)
        nn.init.zeros_(self.whiten.bias)
        channels = 24
        for number, width in enumerate(WIDTHS, start=1):
            for place in (1, 2):
                conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
                nn.init.dirac_(conv.weight[: conv.in_channels].data)
                norm = nn.BatchNorm2d(width, momentum=0.4)
                norm.weight.requires_grad_(False)
                setattr(self, f"conv{number}_{place}", conv)
                setattr(self, f"norm{number}_{place}", norm)
                channels = width
        self.fc = nn.Linear(channels, classes, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.whiten(functional.pad(x, (0, 1, 0, 1))), inplace=True)
        for number in range(1, len(WIDTHS) + 1):
            x = functional.max_pool2d(getattr(self, f"conv{number}_1")(x), 2)
            x = functional.relu(getattr(self, f"norm{number}_1")(x), inplace=True)
            x = getattr(self, f"norm{number}_2")(getattr(self, f"conv{number}_2")(x))
            x = functional.relu(x, inplace=True)
        return self.fc(functional.max_pool2d(x, x.shape[-1]).flatten(1)) * SCALE

    def fit_whitening(self, images: torch.Tensor) -> None:
        """Set the first layer's filters from normalised images."""
        patches = functional.unfold(images, 2).transpose(1, 2).reshape(-1, 12).double()
        variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (directions / (variances + EPSILON).sqrt()).T.flip(0).reshape(12, 3, 2, 2)
        self.whiten.weight.data[...] = torch.cat([filters, -filters])

    def groups(self) -> list[dict[str, Any]]:
        """Return the parameters with their learning rates; decay takes the same part of all but the first bias."""
        named = dict(self.named_parameters())
        norms = [p for name, p in named.items() if name.startswith("norm") and name.endswith("bias")]
        weights = [p for name, p in named.items() if name.startswith(("conv", "fc"))]
        return [{"params": weights, "lr": LR, "weight_decay": WEIGHT_DECAY},
                {"params": norms, "lr": LR * NORM_BIASES, "weight_decay": WEIGHT_DECAY / NORM_BIASES},
                {"params": [self.whiten.bias], "lr": LR, "weight_decay": 0.0}]


class Data:
    """Images in memory, normalised and padded once; an epoch's are shifted, flipped and shuffled together."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, layout: torch.memory_format) -> None:
        x = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255
        self.mean, self.std = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True, correction=0)
        self.images = (x - self.mean) / self.std
        self.labels = torch.from_numpy(labels)
        self.padded = functional.pad(self.images, (SHIFT,) * 4, "reflect")
        self.flipped = torch.rand(len(labels)) < 0.5
        self.layout = layout

    def epoch(self, number: int) -> Any:
        """Yield batches of images and labels."""
        size, places = self.images.shape[-1], torch.randint(0, 2 * SHIFT + 1, (2, len(self.labels)))
        varied = torch.empty_like(self.images)
        for dy in range(2 * SHIFT + 1):
            for dx in range(2 * SHIFT + 1):
                rows = (places[0] == dy) & (places[1] == dx)
                varied[rows] = self.padded[rows, :, dy : dy + size, dx : dx + size]
        flip = self.flipped ^ bool(number % 2)
        varied[flip] = varied[flip].flip(-1)
        for rows in torch.randperm(len(self.labels)).split(BATCH):
            yield varied[rows].contiguous(memory_format=self.layout), self.labels[rows]


class Lookahead:
    """Slow copies of all floating-point state, which the fast one restarts from every few steps."""

    def __init__(self, model: nn.Module) -> None:
        self.fast = [v for v in model.state_dict().values() if v.dtype == torch.float32]
        self.slow = [v.clone() for v in self.fast]

    def after(self, steps: int, total: int) -> None:
        last = steps == total
        if steps % EVERY and not last:
            return
        decay = 1.0 if last and steps % EVERY else LAST_DECAY * (steps / total) ** 3
        torch._foreach_lerp_(self.slow, self.fast, 1 - decay)
        torch._foreach_copy_(self.fast, self.slow)


def rate(step: int, total: int) -> float:
    """Return the learning rate of a step as a part of its peak."""
    top = int(TOP * total)
    if step < top:
        return START + (1 - START) * step / top
    return 1 + (END - 1) * (step - top) / max(total - top, 1)


def train(arrays: dict[str, np.ndarray], mode: str, epochs: int, steps: int | None, seed: int) -> dict[str, Any]:
    """Train and test; return what was measured. steps ends the training early: then only its speed says something."""
    torch.manual_seed(seed)
    layout = torch.channels_last if "channels_last" in mode else torch.contiguous_format
    began = time.perf_counter()
    data = Data(arrays["train_images"], arrays["train_labels"], layout)
    model = Net(int(data.labels.max()) + 1).to(memory_format=layout)
    some = torch.linspace(0, len(data.labels) - 1, min(WHITENING_IMAGES, len(data.labels))).long()
    model.fit_whitening(data.images[some])
    run = torch.compile(model) if "compiled" in mode else model
    optimiser = torch.optim.SGD(model.groups(), LR, momentum=MOMENTUM, nesterov=True, fused=True)
    peaks = [group["lr"] for group in optimiser.param_groups]
    lookahead, total, done, times = Lookahead(model), epochs * -(-len(data.labels) // BATCH), 0, []
    for number in range(1, epochs + 1):
        model.train()
        mark = time.perf_counter()
        for images, labels in data.epoch(number):
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * rate(done, total)
            optimiser.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(run(images), labels, label_smoothing=SMOOTHING)
            loss.backward()
            optimiser.step()
            done += 1
            lookahead.after(done, total)
            now = time.perf_counter()
            times.append((now - mark, len(labels)))
            mark = now
            if done == steps:
                return summary(mode, times, began, float(loss))
        print(f"{mode}, epoch {number}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return {**summary(mode, times, began, float(loss)), "accuracy": test(model, data, arrays, layout)}


def summary(mode: str, times: list[tuple[float, int]], began: float, loss: float) -> dict[str, Any]:
    """Return the median speed of whole batches, the first ones, in which things are compiled, left out."""
    speeds = [count / seconds for seconds, count in times[3:] if count == BATCH]
    return {"mode": mode, "version": torch.__version__, "steps": len(times), "loss": loss,
            "images_per_second": statistics.median(speeds), "seconds": time.perf_counter() - began}


def test(model: Net, data: Data, arrays: dict[str, np.ndarray], layout: torch.memory_format) -> float:
    """Return the accuracy on the test images, each looked at together with its mirror image."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(arrays["test_labels"]), 500):
            pixels = torch.from_numpy(arrays["test_images"][start : start + 500])
            x = ((pixels.permute(0, 3, 1, 2).float() / 255 - data.mean) / data.std).contiguous(memory_format=layout)
            guesses = (model(x) + model(x.flip(-1))).argmax(1).numpy()
            right += int((guesses == arrays["test_labels"][start : start + 500]).sum())
    return right / len(arrays["test_labels"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="train_images, train_labels, test_images, test_labels, as .npz")
    parser.add_argument("--modes", nargs="+", choices=TORCH_MODES, default=list(TORCH_MODES))
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--steps", type=int, help="stop after so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    with np.load(given.images) as file:
        arrays = dict(file)
    results = [train(arrays, mode, given.epochs, given.steps, given.seed) for mode in given.modes]
    print(json.dumps(results))


if __name__ == "__main__":
    main()
