"""benchmarks/scaling.py and cluster.py: the simulator at its limits, where the right answer is known; and tables."""

import math
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import cluster, scaling
from benchmarks.cases import Case, write_case
from benchmarks.cluster import NODES, Link, Node, exchanged, sent, step, strong, weak
from benchmarks.contest import Contest
from benchmarks.figures import Figure

from .mpi import MPIEXEC, needs_mpi

NODE = Node((2, 8, 32), (0.1, 0.2, 0.8), (0.4, 0.7, 0.95), (4_000_000, 4_000_000, 1_000_000), 0.0)
FREE = Link(math.inf, 0.0)
TCP = Link(1e9 / 8, 25e-6)
ROW = {"network": "resnet18", "batch": 32, "images_per_second": {}, "comparisons": {}, "notes": ["DDP: left"],
       "machine": {"gflops": {"median": 1}, "copy_gb_per_s": {"median": 1}, "threads": 2},
       "node": {"images": [2, 4, 16, 32], "seconds": [0.1, 0.2, 0.8, 1.6], "ready": [0.5, 0.95],
                "sizes": [4_000_000, 1_000_000], "handling": 0.01},
       "communication": {"two": {"step": 1.0, "span": 0.5, "waited": 0.02, "longest": 0.1, "alone": 0.05,
                                 "hidden": 0.6}},
       "check": {"step": 0.9, "apart": 0.8, "alone": 0.05, "message": 0.001}}


def test_steps_between_measured_sizes_lie_on_a_line() -> None:
    assert [NODE.compute(images) for images in (1, 2, 8, 20, 32, 64)] == pytest.approx([0.1, 0.1, 0.2, 0.5, 0.8, 1.6])


@pytest.mark.parametrize("nodes", NODES)
def test_without_bounds_only_computing_takes_time(nodes: int) -> None:
    assert step(NODE, FREE, nodes, 32) == pytest.approx(NODE.compute(32))
    assert weak(NODE, FREE, nodes, 32) == pytest.approx(1)
    handled = replace(NODE, handling=0.1)
    assert step(handled, FREE, nodes, 32) == pytest.approx(0.8 + 0.1 * (nodes > 1))


def test_one_node_sends_nothing() -> None:
    assert step(replace(NODE, handling=1.0), Link(1.0, 1.0), 1, 32) == NODE.compute(32)
    assert sent(1000, 1) == 0
    assert [sent(1000, nodes) for nodes in (2, 4, 10)] == [1000, 1500, 1800]


@pytest.mark.parametrize("nodes", NODES[1:])
def test_what_is_ready_at_once_takes_its_bytes_over_the_bandwidth(nodes: int) -> None:
    ready = replace(NODE, ready=(0.0, 0.0, 0.0))
    size = sum(NODE.sizes)
    assert exchanged(ready, Link(1e6, 0.0), nodes, 1.0) == pytest.approx(sent(size, nodes) / 1e6)
    assert exchanged(ready, Link(math.inf, 1e-3), nodes, 1.0) == pytest.approx(3 * 2 * (nodes - 1) * 1e-3)


def test_what_fits_beside_computing_is_hidden() -> None:
    early = replace(NODE, ready=(0.1, 0.2, 0.3))
    small = 6 * 25e-6
    assert step(early, TCP, 2, 32) == pytest.approx(0.8 + small)
    last = replace(NODE, ready=(0.1, 0.2, 1.0))  # which nothing is left to hide behind
    assert step(last, TCP, 2, 32) == pytest.approx(0.8 + 2 * TCP.half(1_000_000, 2) + small)


@pytest.mark.parametrize("efficiency", [weak, strong])
def test_more_bandwidth_is_never_slower(efficiency: cluster.Efficiency) -> None:
    for nodes in (2, 16, 64):
        found = [efficiency(NODE, replace(TCP, bandwidth=bandwidth), nodes, 256) for bandwidth in (1e5, 1e6, 1e7, 1e9)]
        assert found == sorted(found)
        assert found[0] < found[-1] <= (1 if efficiency is weak else math.inf)


def test_parts_of_a_single_image_are_no_parts() -> None:
    assert strong(NODE, FREE, 128, 256) is not None
    assert strong(NODE, FREE, 256, 256) is None
    assert cluster.stops([1.0, 0.9, 0.8, 0.7, *[0.9] * 5]) == "4"
    assert cluster.stops([1.0, *[None] * 8]) == "1"
    assert cluster.stops([1.0] * 9) == "256 or more"


def test_the_model_is_checked_against_what_it_was_not_told() -> None:
    found = cluster.check(ROW)
    assert found["one"] == found["one measured"] == pytest.approx(0.8)
    assert found["two measured"] == 0.9
    # of the last bucket a fifth of the exchange, which begins when 5 % of the step are left; then handling and messages
    assert found["two"] == pytest.approx(max(0.8, 0.95 * 0.8 + 0.01) + 0.01 + 2 * 0.001)


def test_tables_hold_every_network_bandwidth_and_missed_goal() -> None:
    told = " ".join(scaling.show([ROW]).split())
    assert "| 0.60 | 0.7 missed |" in told
    assert "| resnet18 | weak: 32 a node | 1 | " in told
    assert "| resnet18 | strong: 256 in all | 100 | " in told
    assert "resnet18: DDP: left" in told
    assert "resnet18: a node alone computes 20.0 images a second, and the nodes exchange 4.8 MiB" in told


def test_two_processes_are_compared_with_the_best_of_each() -> None:
    speeds = {scaling.ONE: 100, scaling.PARTS: 99, scaling.TWO: 98, f"{scaling.DDP}, eager": 40,
              f"{scaling.DDP}, channels_last": 50, f"{scaling.TORCH}, eager": 45}
    found = scaling._compared({name: Figure.of([speed]) for name, speed in speeds.items()})
    assert [(each["ratio"], each["goal"], each["reached"]) for each in found.values()] == [
        (0.98, 0.97, True), (0.9899, None, None), (1.96, 2.0, False), (2.222, None, None)]
    assert found["2 processes / DDP"]["best"].endswith("channels_last")
    assert scaling._compared({scaling.ONE: Figure.of([1.0])}) == {}


@needs_mpi
@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_two_processes_take_turns_with_one(tmp_path: Path) -> None:
    write_case(Case("lenet5", (28, 28, 1), 4, 6, 1, 1, 1), tmp_path, 16)
    task = {"folder": str(tmp_path), "batch": 16, "lr": 0.01, "momentum": 0.9, "shards": 2}
    with Contest() as contest:
        assert contest.join("one", "ours_ranks", **task), contest.notes
        assert contest.join("two", "ours_ranks", starter=(str(MPIEXEC), "-n", "2"), **task), contest.notes
        assert contest.prepared["one"] == contest.prepared["two"]  # the loss to the last bit
        groups = contest._contenders[1]._groups()
        answers = contest.rounds(2, 0.02)
        assert [len(runs[0]) for runs in answers.values()] == [2, 2]
        found = contest.ask("two", "communication", seconds=0.02)
        assert len(found["starts"]) == len(contest.prepared["two"]["bucket_bytes"]) == 1
        assert 0 < found["starts"][0] < found["step"]
        assert 0 <= found["waited"] <= found["longest"] < found["step"]
        assert min(found[what] for what in ("span", "alone", "message")) > 0
        assert contest.ask("two", "apart", seconds=0.02)["step"] > 0
        assert len(contest.ask("one", "batches", sizes=[2, 16], seconds=0.02)["seconds"]) == 2
    assert len(groups) >= 4  # mpiexec, what it starts the processes with, and these
    assert not [group for group in groups if _lives(group)]


def _lives(group: int) -> bool:
    """Whether a process of this group runs, or sleeps: one that has ended may not have been waited for yet."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _, of = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(of) == group and state not in "ZX":
            return True
    return False


def test_without_mpiexec_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="there is no mpiexec; install it: pip install 'mpi4py>=4'"):
        scaling.mpiexec()
    monkeypatch.setattr(shutil, "which", lambda name: f"{os.sep}usr{os.sep}{name}")
    assert scaling.mpiexec().endswith("mpiexec")
