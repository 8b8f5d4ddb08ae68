"""Fine-tuning and a linear probe in PyTorch: the EfficientNet-Lite0 of its publisher (efficientnet_lite_pytorch), with
the batches, loss and optimiser of ``cnn train --init efficientnet_lite0`` (cnncli/training/finetune.py), and the
features of image files, decoded by Pillow. benchmarks/finetune.py runs it under the peers' interpreter; it prints JSON.

    python -m benchmarks.workers.torch_finetune WEIGHTS FOLDER --steps 8 --images 256
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torch import nn
from torch.nn import functional

from benchmarks.contest import TORCH_MODES

BATCH, SIZE, SHORTER, CLASSES = 32, 224, 256, 10
LR, WEIGHT_DECAY, SMOOTHING = 3e-4, 1e-2, 0.1
WORKERS = (0, 2)  # processes that decode


class Photographs(torch.utils.data.Dataset):
    """Image files, each scaled and cropped."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as image:
            image.draft("RGB", (SHORTER, SHORTER))
            scale = SHORTER / min(image.size)
            size = tuple(max(SHORTER, round(side * scale)) for side in image.size)
            image = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
        pixels = np.asarray(image.crop((left, top, left + SIZE, top + SIZE)), np.float32)
        return torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)


def network(weights: str, mode: str) -> tuple[nn.Module, Any, torch.memory_format]:
    """Return the pretrained network with another head, what runs it in that mode, and its memory format."""
    layout = torch.channels_last if "channels_last" in mode else torch.contiguous_format
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights, num_classes=CLASSES)
    model = model.to(memory_format=layout)
    return model, torch.compile(model) if "compiled" in mode else model, layout


def steps(weights: str, mode: str, count: int) -> float:
    """Return images a second in fine-tuning, batch norms' statistics fixed; the first two steps are left out."""
    model, run, layout = network(weights, mode)
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    optimiser = torch.optim.AdamW(model.parameters(), LR, weight_decay=WEIGHT_DECAY, fused=True)
    x = torch.randn(BATCH, 3, SIZE, SIZE).contiguous(memory_format=layout)
    labels, times = torch.arange(BATCH) % CLASSES, []
    for _ in range(count + 2):
        mark = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        functional.cross_entropy(run(x), labels, label_smoothing=SMOOTHING).backward()
        optimiser.step()
        times.append(time.perf_counter() - mark)
    return BATCH / statistics.median(times[2:])


def features(weights: str, mode: str, paths: list[Path], workers: int) -> tuple[float, float]:
    """Return the seconds of the first batch, in which things are compiled, and images a second afterwards, from files
    to what the last layer gets."""
    model, _, layout = network(weights, mode)
    model.eval()
    extract = model.extract_features
    run = torch.compile(extract) if "compiled" in mode else extract
    loader = torch.utils.data.DataLoader(Photographs(paths), batch_size=BATCH, num_workers=workers)
    with torch.inference_mode():
        mark = time.perf_counter()
        run(torch.randn(BATCH, 3, SIZE, SIZE).contiguous(memory_format=layout))
        began = time.perf_counter()
        for batch in loader:
            run(batch.contiguous(memory_format=layout)).mean((2, 3))
        return began - mark, len(paths) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="the .pth file of the publisher")
    parser.add_argument("folder", type=Path, help="of photographs, in sub-folders")
    parser.add_argument("--modes", nargs="+", choices=TORCH_MODES, default=list(TORCH_MODES))
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--images", type=int, default=256, help="whose features are computed")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    paths = sorted(path for path in given.folder.rglob("*") if path.is_file())
    paths = paths[:: max(1, len(paths) // given.images)][: given.images]
    found: dict[str, Any] = {"version": torch.__version__, "fine-tuning": {}, "features": {}}
    for mode in given.modes:
        found["fine-tuning"][mode] = steps(given.weights, mode, given.steps)
        # Only the first time is anything compiled.
        measured = [features(given.weights, mode, paths, workers) for workers in WORKERS]
        found["features"][mode] = {"first": measured[0][0], "images_per_second": max(speed for _, speed in measured)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
