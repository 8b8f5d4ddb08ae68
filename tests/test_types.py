"""The words that type checkers know: each Literal has the very words of the table that it speaks for, and mypy refuses
others where the library is called."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import pytest

from cnncli import loss, optim
from cnncli.data import SAMPLINGS, images, order, preprocessing, splits
from cnncli.optim import optimisers, schedule
from cnncli.training import options

ROOT = Path(__file__).parents[1]
CALLS = """
import cnncli
from cnncli.data import Preprocessing
from cnncli.loss import loss_by_name
from cnncli.optim import Schedule, optimiser_by_name

cnncli.train("photos/", optimizer="{optimizer}", schedule="{schedule}", loss="{loss}", sampling="{sampling}",
             class_weights="{class_weights}", recipe="{recipe}", freeze="{freeze}", cache="{cache}")
cnncli.train("photos/", schedule=Schedule("{schedule}", ramp="{ramp}"))
cnncli.train(((), ()), schedule=lambda step: 0.1)
cnncli.evaluate(split="{split}")
cnncli.{name}("runs/latest")
cnncli.predict("runs/latest", [b"", "a.png"])
Preprocessing((32, 32), resize="{resize}")
optimiser_by_name("{optimizer}")
loss_by_name("{loss}")
"""
RIGHT = {"optimizer": "sgd", "schedule": "cosine", "loss": "cross-entropy", "sampling": "balanced",
         "class_weights": "balanced", "recipe": "fast", "freeze": "all", "cache": "none", "ramp": "linear",
         "split": "val", "resize": "crop", "name": "load"}  # fmt: skip


@pytest.mark.parametrize(("literal", "table"), [
    (optim.OptimiserName, optim.OPTIMISERS), (optim.OptimiserName, optim.RECIPES), (schedule.Kind, optim.SCHEDULES),
    (schedule.Kind, schedule._OPTIONS), (schedule.Ramp, schedule.RAMPS), (loss.LossName, loss.LOSSES),
    (order.Sampling, SAMPLINGS), (images.Cache, images.CACHES), (preprocessing.Resize, preprocessing.RESIZES),
    (splits.Split, ("train", "val", "test")), (options.RecipeName, options.NAMED), (options.Freeze, ("all", "none"))])
def test_a_literal_has_the_words_of_its_table(literal: Any, table: Iterable[str]) -> None:
    assert get_args(literal) == tuple(table)


def test_names_in_tables_are_those_of_their_classes() -> None:
    for name, kind in [*optimisers.OPTIMISERS.items(), *loss.LOSSES.items()]:
        assert kind().name == name


@pytest.mark.slow
def test_mypy_refuses_a_wrong_word(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    path = tmp_path / "calls.py"
    path.write_text(CALLS.format(**RIGHT) + CALLS.format(**{what: f"{word}s" for what, word in RIGHT.items()}))
    done = subprocess.run([sys.executable, "-m", "mypy", "--config-file=", "--ignore-missing-imports",
                           "--follow-imports=silent", str(path)], capture_output=True, text=True, cwd=ROOT,
                          env={"PATH": "", "MYPYPATH": str(ROOT), "MYPY_CACHE_DIR": str(tmp_path)}, check=False)
    refused = [line for line in done.stdout.splitlines() if ": error:" in line]
    half = CALLS.count("\n")
    right = [line for line in refused if int(line.split(":")[1]) <= half]
    assert len(right) == 1, done.stdout + done.stderr  # the bare function, which no run could resume
    assert "lambda" in right[0] or "Callable" in right[0]
    for word in RIGHT.values():
        assert any(f'"{word}s"' in line or f"'{word}s'" in line for line in refused), (word, done.stdout)
