"""The words that type checkers know: each Literal has the very words of the table that it speaks for, and mypy refuses
others where the library is called."""

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

import pytest

import cnncli
from cnncli import loss, optim
from cnncli.architectures import ARCHITECTURES, ArchName
from cnncli.data import SAMPLINGS, images, order, preprocessing, splits
from cnncli.errors import UsageError
from cnncli.explain.methods import METHODS, MethodName
from cnncli.optim import optimisers, schedule
from cnncli.training import options
from cnncli.training.keywords import FoldsOptions, RateOptions, SweepOptions

ROOT = Path(__file__).parents[1]
CALLS = """
from pathlib import Path

import cnncli
from cnncli.data import Preprocessing
from cnncli.loss import loss_by_name
from cnncli.optim import Schedule, optimiser_by_name

cnncli.train("photos/", optimizer="{optimizer}", schedule="{schedule}", loss="{loss}", sampling="{sampling}",
             class_weights="{class_weights}", recipe="{recipe}", freeze="{freeze}", cache="{cache}")
cnncli.train("photos/", arch="resnet8")
cnncli.train("photos/", arch=Path("net.toml"))
cnncli.cross_validate("photos/", 3, arch="nets/my.toml")
cnncli.train("photos/", schedule=Schedule("{schedule}", ramp="{ramp}"))
cnncli.cross_validate("photos/", 3, loss="{loss}", {option}=3)
cnncli.sweep("photos/", {{}}, optimizer="{optimizer}", {option}=3)
cnncli.find_lr("photos/", recipe="{recipe}", {option}=3)
cnncli.train(((), ()), schedule=lambda step: 0.1)
cnncli.evaluate(split="{split}")
cnncli.explain("runs/latest", "a.png", method="{method}")
cnncli.{name}("runs/latest")
cnncli.predict("runs/latest", [b"", bytearray(), memoryview(b""), "a.png"])
Preprocessing((32, 32), resize="{resize}")
optimiser_by_name("{optimizer}")
loss_by_name("{loss}")
"""
RIGHT = {"optimizer": "sgd", "schedule": "cosine", "loss": "cross-entropy", "sampling": "balanced",
         "class_weights": "balanced", "recipe": "fast", "freeze": "all", "cache": "none", "ramp": "linear",
         "split": "val", "method": "gradcam", "resize": "crop", "name": "load", "option": "epochs"}  # fmt: skip


ARRAYS = {"cnncli.load().logits(array)": "float32", "cnncli.load().probabilities(array)": "float64",
          "cnncli.load().network.forward(array)": "float32", "cnncli.features(None, []).values": "float32",
          "cnncli.explain(None, '').map": "float32", "cnncli.evaluate().logits": "float32"}


@pytest.mark.parametrize(("literal", "table"), [
    (optim.OptimiserName, optim.OPTIMISERS), (optim.OptimiserName, optim.RECIPES), (schedule.Kind, optim.SCHEDULES),
    (schedule.Kind, schedule._OPTIONS), (schedule.Ramp, schedule.RAMPS), (loss.LossName, loss.LOSSES),
    (order.Sampling, SAMPLINGS), (images.Cache, images.CACHES), (preprocessing.Resize, preprocessing.RESIZES),
    (splits.Split, ("train", "val", "test")), (options.RecipeName, options.NAMED),
    (ArchName, ARCHITECTURES), (MethodName, sorted(METHODS)), (options.Freeze, ("all", "none"))])
def test_a_literal_has_the_words_of_its_table(literal: Any, table: Iterable[str]) -> None:
    assert get_args(literal) == tuple(table)


def test_names_in_tables_are_those_of_their_classes() -> None:
    for name, kind in [*optimisers.OPTIMISERS.items(), *loss.LOSSES.items()]:
        assert kind().name == name


def test_the_tables_of_options_have_those_of_train() -> None:
    own, tables = {"data", "name", "resume", "runs"}, (FoldsOptions, SweepOptions, RateOptions)
    taken = {name: each.annotation for name, each in inspect.signature(cnncli.train).parameters.items()}
    assert {name: kind for table in tables for name, kind in table.__annotations__.items()} == {
        name: kind for name, kind in taken.items() if name not in own}


@pytest.mark.parametrize("call", [
    lambda **given: cnncli.cross_validate("gone", 3, **given), lambda **given: cnncli.find_lr("gone", **given),
    lambda **given: cnncli.sweep("gone", {}, **given)])
def test_a_misspelt_option_is_named(call: Callable[..., object]) -> None:
    with pytest.raises(UsageError, match=r"^there is no option 'epochz'; give one of arch, epochs, .*mean 'epochs'\?$"):
        call(epochz=3)


@pytest.mark.slow
def test_mypy_refuses_a_wrong_word(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    path = tmp_path / "calls.py"
    path.write_text(CALLS.format(**RIGHT) + CALLS.format(**{what: f"{word}s" for what, word in RIGHT.items()})
                    + "import numpy\narray = numpy.zeros(3)\n" + "".join(f"reveal_type({each})\n" for each in ARRAYS))
    done = subprocess.run([sys.executable, "-m", "mypy", "--config-file=", "--ignore-missing-imports",
                           "--follow-imports=silent", str(path)], capture_output=True, text=True, cwd=ROOT,
                          env={"PATH": "", "MYPYPATH": str(ROOT), "MYPY_CACHE_DIR": str(tmp_path)}, check=False)
    refused = [line for line in done.stdout.splitlines() if ": error:" in line]
    half = CALLS.count("\n")
    right = [line for line in refused if int(line.split(":")[1]) <= half]
    assert len(right) == 1, done.stdout + done.stderr  # the bare function, which no run could resume
    assert "lambda" in right[0] or "Callable" in right[0]
    revealed = [line for line in done.stdout.splitlines() if "Revealed type" in line]
    for line, kind in zip(revealed, ARRAYS.values(), strict=True):
        assert kind.removeprefix("float") in line, line
    for word in RIGHT.values():
        assert any(f'"{word}s"' in line or f"'{word}s'" in line for line in refused), (word, done.stdout)
