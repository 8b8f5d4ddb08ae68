"""benchmarks/: what of it can be tested without peers. A table that compares must compare the right way round, whoever
is not being measured must stand still, and the commands of docs/performance.md must run."""

import ast
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import accuracy, cases, layers, scale_check, tables
from benchmarks.busy import Busy
from benchmarks.cases import Case, read_network, write_case
from benchmarks.contest import Contender, Contest, Failure, Run, alone
from benchmarks.conv_layers import LAYERS, PASSES
from benchmarks.figures import Figure, compare, mean_rates, milliseconds, rates
from benchmarks.inference import disagreement
from benchmarks.options import Options
from benchmarks.pictures import write_garments, write_photographs
from benchmarks.workers.protocol import timed
from cnncli import kernels
from cnncli.data import scan
from cnncli.data.decode import decode
from tests.layers.cases import OURS

ROOT = Path(__file__).parents[1]
SMALL = Case("lenet5", (28, 28, 1), 4, 6, 1, 1, 1)
ANSWERS = [{"median": 0.5, "seconds": 4.0, "steps": 4}, {"median": 0.25, "seconds": 1.0, "steps": 2}]
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def becomes(pid: int, state: str) -> bool:
    """Whether a process gets into this state (R running, S sleeping, T stopped) in five seconds: a signal waits until
    its process is on a core again."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == state:
            return True
        time.sleep(0.01)
    return False


# ---- figures and tables ----


def test_a_figure_is_the_median_with_its_quartiles():
    figure = Figure.of([5, 1, 2, 4, 3])
    assert (figure.low, figure.median, figure.high) == (2, 3, 4)
    assert Figure.of([7.0]).json() == {"low": 7.0, "median": 7.0, "high": 7.0, "rounds": [7.0]}
    assert rates(ANSWERS, 8).rounds == (16, 32)
    assert mean_rates(ANSWERS, 8).rounds == (8, 16)
    assert milliseconds(ANSWERS).rounds == (500, 250)


@pytest.mark.parametrize(("less", "best", "ratio", "reached"), [(False, "b", 1.5, True), (True, "a", 3.0, False)])
def test_ours_is_compared_with_the_best_peer(less, best, ratio, reached):
    figures = {"ours": Figure.of([6, 6, 12]), "a": Figure.of([2, 2, 2]), "b": Figure.of([4, 4, 4])}
    comparison = compare(figures, 1.5, less)
    assert (comparison.best, comparison.ratio, comparison.reached) == (best, ratio, reached)
    assert comparison.high > comparison.ratio
    assert compare(figures, None, less).reached is None
    assert compare({"ours": figures["ours"]}, 1.5) is None


def test_a_missed_goal_is_marked():
    figures = {"ours": Figure.of([3, 3]), "peer": Figure.of([2, 2])}
    assert tables.ratio(compare(figures, 1.5).json()) == ("1.50 (1.50 to 1.50)", "1.5")
    assert tables.ratio(compare(figures, 1.6).json()) == ("1.50 (1.50 to 1.50)", "1.6 missed")
    assert tables.ratio(compare(figures, 1.4, less=True).json())[1] == "1.4 missed"
    assert tables.ratio(None) == ("-", "-")


def test_tables_are_markdown_with_aligned_columns():
    lines = tables.table(["a", "b"], [["one", 1], ["three", 1000]]).splitlines()
    assert lines == ["| a     |    b |", "|-------|-----:|", "| one   |    1 |", "| three | 1000 |"]
    assert [tables.number(x) for x in (0.04934, 4.216, 38.94, 12346)] == ["0.0493", "4.22", "38.9", "12,346"]


def test_logits_that_differ_are_told():
    ours = np.array([[1.0, -2.0]])
    assert disagreement(ours, ours + 1e-3) == ""
    assert "differ from ours by 2.0e-03" in disagreement(ours, ours + np.array([0, 4e-3]))
    assert "shape (2, 1)" in disagreement(ours, ours.T)
    assert disagreement(ours, ours * np.nan)


# ---- cases ----


def test_the_goals_are_the_issues_of_every_network():
    assert [case.name for case in cases.CASES] == ["lenet5", "classic", "resnet20", "resnet18", "efficientnet_lite0"]
    assert cases.named(["resnet20"])[0].training_goal == 3.0
    with pytest.raises(ValueError, match="'resnet' is no network"):
        cases.named(["resnet"])


def test_a_network_goes_to_the_workers_unchanged(tmp_path):
    network = write_case(SMALL, tmp_path, 6)
    with np.load(tmp_path / "data.npz") as data:
        images = data["images"]
    assert images.shape == (6, 28, 28, 1)
    assert read_network(tmp_path).forward(images).tobytes() == network.forward(images).tobytes()


def test_every_layer_is_a_convolution_with_goals():
    assert len({layer.label for layer in LAYERS}) == len(LAYERS)
    for layer in LAYERS:
        assert layer.convolution().workspace(0, 1, 2) >= 0
        assert len(layer.goals(exact=True)) == len(PASSES)
    goals = {layer.label: (layer.goals(False), layer.goals(True)) for layer in LAYERS}
    assert goals["64->64 3x3 56 (2)"] == ((2.0, 2.0, 1.5), (0.85, 0.85, 0.75))
    assert goals["3->64 7x7/2 224 (1)"][1] == (0.55, None, 0.55)


@pytest.mark.slow
def test_every_layer_is_measured_by_itself():
    options = Options([], [1], seconds=0, given_seconds=1e-9, quiet=True)
    before = kernels.threads()
    rows = layers.measure(options)
    assert kernels.threads() == before
    assert {row["type"] for row in rows} == OURS.keys()
    assert all(0 < row[which] < math.inf for row in rows for which in ("forward", "backward", "copy"))
    assert len(layers.show(rows).splitlines()) == len(rows) + 4


@pytest.mark.slow
def test_files_to_decode_are_written(tmp_path):
    write_garments(tmp_path / "garments", 4010)
    splits = scan(tmp_path / "garments")
    assert len(splits.train) + len(splits.val) + len(splits.test) == 4010
    assert len(splits.classes) == 10
    different = {path.read_bytes() for path in (tmp_path / "garments").rglob("*.png")}
    assert len(different) == 4010
    samples = write_photographs(tmp_path / "photographs", 60, 48, 64)
    assert len(samples) == 60
    assert len({Path(sample.path).read_bytes() for sample in samples}) == 50
    assert decode(samples[0].path, grey=False).shape == (48, 64, 3)


@pytest.mark.slow
def test_folders_of_any_number_of_images_and_classes_are_measured(tmp_path):
    scale_check.write(tmp_path / "data", 300, 7)
    splits = scan(tmp_path / "data")
    assert len(splits.classes) == 7
    assert len(splits.train) + len(splits.val) + len(splits.test) == 300
    rows = [row for images in (20, 40) for row in scale_check.measure(["check"], "smooth", images, 2)]
    assert [row["images"] for row in rows] == [20, 40]
    assert all(row["cpu"] > 0 and row["memory"] > 10 for row in rows)
    assert scale_check.show(rows).count(" x)") == 2


# ---- workers ----


def test_only_our_own_worker_imports_the_package():
    for path in (ROOT / "benchmarks/workers").glob("*.py"):
        nodes = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.ImportFrom)]
        modules = {node.module for node in nodes}
        ours = any(name.startswith(("cnncli", "benchmarks.cases", "benchmarks.machine")) for name in modules)
        assert ours == path.name.startswith("ours"), path.name


def test_time_is_taken_without_the_first_step():
    calls = []
    timing = timed(lambda: (calls.append(0), time.sleep(0.05 if len(calls) == 1 else 0.002)), 0.02)
    assert timing["steps"] == len(calls) - 1 >= 2
    assert timing["best"] <= timing["median"] < 0.05
    assert timing["seconds"] >= 0.02


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("task", ["training", "inference"])
def test_our_worker_takes_turns(task, tmp_path):
    network = write_case(SMALL, tmp_path, 6)
    between = []
    with Contest() as contest:
        options = {"folder": str(tmp_path), "task": task, "batch": 4, "lr": 0.01, "momentum": 0.9,
                   "logits": str(tmp_path / "logits.npy")}
        assert contest.join("ours", "ours", threads=1, **options), contest.notes
        answers = contest.rounds(2, 0.02, lambda: between.append(0), [Run({"threads": 1}), Run({"threads": 2})])["ours"]
    assert len(between) == 2
    assert [len(runs) for runs in answers] == [2, 2]
    assert all(answer["peak_memory"] > 10_000_000 for runs in answers for answer in runs)
    assert all(answer["steps"] >= 2 for runs in answers for answer in runs)
    if task == "inference":
        with np.load(tmp_path / "data.npz") as data:
            assert not disagreement(network.forward(data["images"][:4]), np.load(tmp_path / "logits.npy"))


@pytest.mark.slow
@pytest.mark.alone
def test_rivals_that_stand_no_chance_leave_after_a_round(tmp_path):
    write_case(SMALL, tmp_path, 64)
    with Contest() as contest:
        for name, batch in (("ours", 64), ("quick", 1), ("slow", 64)):
            contest.join(name, "ours", folder=str(tmp_path), task="inference", batch=batch, logits=os.devnull)
        answers = contest.rounds(3, 0.02, rivals=True)
    assert {name: len(runs[0]) for name, runs in answers.items()} == {"ours": 3, "quick": 3, "slow": 1}


@pytest.mark.slow
@pytest.mark.alone
@linux
def test_whoever_is_not_measured_stands_still(tmp_path):
    with Contender("ours", "ours") as contender:
        pid = contender._process.pid
        contender.stop()
        assert becomes(pid, "T")
        with alone(contender), pytest.raises(Failure, match="TypeError"):
            contender.ask("run", 20, seconds=0.1, nonsense=1)
        assert becomes(pid, "T")
    assert contender._process.returncode is not None


@pytest.mark.slow
def test_who_cannot_join_is_noted(tmp_path):
    with Contest() as contest:
        assert not contest.join("ours", "ours", folder=str(tmp_path), task="training", batch=1)
        assert not contest.join("nobody", "no_such_worker")
        assert contest.rounds(1, 0.01) == {}
    assert contest.notes[0].startswith("ours: FileNotFoundError")
    assert contest.notes[1].startswith("nobody: ended with 1:")


@pytest.mark.alone
@linux
def test_busy_processes_are_busy_only_when_asked():
    with Busy() as busy:
        pids = [process.pid for process in busy._processes]
        assert len(pids) == kernels.available_cpus()
        assert all(becomes(pid, "T") for pid in pids)
        with busy():
            assert all(becomes(pid, "R") for pid in pids)
        assert all(becomes(pid, "T") for pid in pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


# ---- the command ----


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True,
                          timeout=120, check=False, env={**os.environ, "CNN_THREADS": "1"})


@pytest.mark.slow
def test_a_part_prints_a_table_and_writes_json(tmp_path):
    done = run("--only", "conv", "--no-peers", "--threads", "1", "--seconds", "0.02", "--layers", "1->6", "--json",
               str(tmp_path / "out.json"))
    assert done.returncode == 0, done.stderr
    assert "| 1->6 5x5 28 (32) |" in done.stdout
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["machine"]["isa"] == kernels.isas()[-1]
    (row,) = result["parts"]["conv"]["rows"]
    assert row["passes"]["forward"]["gflops"] > 0
    assert row["machine"]["copy_gb_per_s"]["median"] > 0


@pytest.mark.alone
@pytest.mark.slow
def test_ours_alone_is_measured_without_peers():
    done = run("--only", "training", "inference", "explain", "--no-peers", "--networks", "lenet5", "--threads", "1",
               "--rounds", "1", "--seconds", "0.02")
    assert done.returncode == 0, done.stderr
    assert "| lenet5, batch 16 | hirescam |" in done.stdout
    assert "| lenet5, 28x28x1, batch 64 |       1 | " in done.stdout
    assert "| lenet5, batch 1  |    ms | " in done.stdout


@pytest.mark.slow
@pytest.mark.alone
@linux
def test_a_terminated_measurement_leaves_no_worker_behind():
    command = [sys.executable, "-m", "benchmarks", "--only", "memory", "--no-peers", "--networks", "classic"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        children, end = "", time.monotonic() + 30
        while not children and time.monotonic() < end:
            time.sleep(0.05)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        process.terminate()
        assert process.wait(30) == 143
    assert children
    end = time.monotonic() + 5  # whose parent has ended is gone as soon as init has looked
    while any(Path(f"/proc/{pid}").exists() for pid in children.split()):
        assert time.monotonic() < end, "a worker goes on"
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "words"), [
    (["--only", "nothing"], "invalid choice: 'nothing'"),
    (["--only", "conv", "--peers-python", "no/python"], "no/python is not there"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(arguments, words):
    done = run(*arguments)
    assert done.returncode
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_first_images_of_each_class_are_a_data_set_of_their_own(tmp_path):
    for split, count in (("train", accuracy.FEW + 3), ("test", 2)):
        for kind in ("bag", "coat"):
            (tmp_path / "fashion_mnist" / split / kind).mkdir(parents=True)
            for number in range(count):
                (tmp_path / "fashion_mnist" / split / kind / f"{number:05}.png").write_bytes(b"image")
    accuracy.fetch("fashion_500", tmp_path)
    few = sorted(path.name for path in (tmp_path / "fashion_500/train/coat").iterdir())
    assert few == [f"{number:05}.png" for number in range(accuracy.FEW)]
    assert len(list((tmp_path / "fashion_500/test/bag").iterdir())) == 2


def test_accuracies_are_shown_as_the_mean_of_their_seeds():
    row = {"case": "fashion-lenet5", "flags": "--arch lenet5", "network": "lenet5", "parameters": 61706, "epochs": 15,
           "seconds": 80}
    table = accuracy.show([{**row, "seed": 0, "accuracy": 0.92}, {**row, "seed": 1, "accuracy": 0.90}])
    assert "| 91.00% (seeds 0, 1: 92.00%, 90.00%) | 91.0% |" in table
    assert "missed" in accuracy.show([{**row, "seed": 0, "accuracy": 0.9}])
