"""PyTorch's side of scaling.py: one process, or several of DistributedDataParallel over gloo. The first one gets the
requests, starts the others and tells them. Runs under the peers' interpreter."""

import math
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from benchmarks.workers.protocol import Reply, Worker, answer, counted, peak_memory, serve, warm_up
from benchmarks.workers.pytorch import _training, read_images, read_network


class TorchRanks(Worker):
    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    def set_threads(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def prepare(self, folder: str, threads: int, batch: int, processes: int = 1, channels_last: bool = False,
                **options: Any) -> Reply:
        """Return the loss of the first step, the mean over all processes; and PyTorch's version."""
        if processes > self.size:
            self._start(processes)
            self._tell("prepare", folder=folder, threads=threads, batch=batch, channels_last=channels_last, **options)
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        model = read_network(Path(folder))
        images, labels = read_images(Path(folder), batch)
        part = slice(batch * self.rank // self.size, batch * (self.rank + 1) // self.size)
        images, labels = images[part].contiguous(), labels[part]
        if channels_last:
            model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
        run = model
        if self.size > 1:  # as fast as it gets: each process has batch-norm statistics of its own, as ours have
            run = DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)
        self.step = _training(run, images, labels, False, options)
        loss = torch.as_tensor(float(self.step()))
        if self.size > 1:
            dist.all_reduce(loss)
            for _ in range(5):
                self.step()
        else:
            warm_up(self.step)
        return {"version": torch.__version__, "loss": float(loss) / self.size}

    def run(self, seconds: float, threads: int | None = None) -> Reply:
        """Step for that long. Several processes agree beforehand how many steps these are."""
        if self.size == 1:
            return super().run(seconds, threads)
        if self.rank == 0:
            self._tell("run", seconds=seconds)
        began = time.perf_counter()
        self.step()
        steps = torch.as_tensor(max(2, math.ceil(seconds / (time.perf_counter() - began))))
        dist.broadcast(steps, 0)
        return {**counted(self.step, int(steps)), "peak_memory": peak_memory()}

    def _start(self, processes: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        for rank in range(1, processes):
            words = [sys.executable, "-m", "benchmarks.workers.torch_ranks", str(port), str(rank), str(processes)]
            subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        self.size = processes
        _join(port, 0, processes)

    def _tell(self, *words: Any, **arguments: Any) -> None:
        dist.broadcast_object_list([(*words, arguments)], 0)


def _join(port: int, rank: int, processes: int) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=processes)


def main(arguments: list[str]) -> None:
    if not arguments:
        serve(TorchRanks())
        return
    port, rank, processes = map(int, arguments)
    _join(port, rank, processes)
    worker = TorchRanks(rank, processes)
    while True:  # until the first one ends this process
        asked: list[Any] = [None]
        dist.broadcast_object_list(asked, 0)
        answer(worker, *asked[0])


if __name__ == "__main__":
    main(sys.argv[1:])
