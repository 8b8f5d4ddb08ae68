"""training/fit.py: what stops the loop, or breaks it, and what it says and saves then; with the network of one number
of test_fit.py."""

from typing import Any

import pytest

from cnncli.errors import DataError, Interrupted, ModelError, SaveError, TrainingError
from cnncli.model import checkpoint
from cnncli.runs import Run
from cnncli.training.signals import StopFlag

from .test_fit import closed, evaluation, fit, saved

__all__ = ["saved"]


def test_a_validation_that_breaks_or_is_stopped_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    made, far = fit(), []
    made.observer.validating = lambda *how_far: far.append(how_far)
    monkeypatch.setattr("cnncli.training.fit.evaluate", lambda model, images, progress, world: progress(2, 3))
    made.validate(range(3))
    assert (far, made.validate(None)) == ([(2, 3)], None)
    made._stop.signal = 15
    with pytest.raises(Interrupted, match="stopped by SIGTERM in epoch 1, 0 of 32 steps done"):
        made.validate(range(3))

    def broken(*_: Any, **more: Any) -> None:
        raise ModelError("outputs are no numbers.")

    monkeypatch.setattr("cnncli.training.fit.evaluate", broken)
    with pytest.raises(TrainingError, match=r"epoch 1, validation: outputs are no numbers\. Training stopped; no mod"):
        made.validate(range(3))


def test_who_stops_while_strange_images_are_learnt_closes_the_epoch_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = closed(fit(epochs=2), [0.9])
    made.validation, made._stop.signal = range(3), 2
    made.observer.computing_features = lambda *how_far: None
    monkeypatch.setattr("cnncli.training.fit.fit_strangeness", lambda path, train, val, watch: watch(1, 9))
    made.batches.images = range(8)
    monkeypatch.setattr(made, "_write_validated", lambda validation: None)
    before = made.progress.best
    made.progress.count(0.3, 6, 8)
    with pytest.raises(Interrupted, match=r"stopped by Ctrl-C in epoch 2, 1 of 32 steps done, all saved"):
        made.close_epoch(evaluation(0.95))
    assert (made.progress.best, made.progress.finished, len(made.progress.history)) == (before, False, 1)


@pytest.mark.parametrize("step", [0, 1, 7])
def test_who_is_stopped_within_an_epoch_loses_no_step(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before an epoch's first step there is nothing that the last save lacks."""
    saves: list[int] = []
    monkeypatch.setattr(checkpoint, "save_state", lambda *everything: saves.append(made.progress.step))
    made = fit()
    made.observer.stopping = (causes := list[str]()).append
    made._stop_if_asked()
    assert (saves, causes) == ([], []), "nobody asked"
    made.progress.step, made._stop.signal = step, 2
    with pytest.raises(Interrupted, match=f"^stopped by Ctrl-C in epoch 1, {step} of 32 steps done, all saved; "
                                          "continue with: cnn train --resume run$") as caught:
        made._stop_if_asked()
    assert (saves, causes, caught.value.exit_code) == ([step] * (step > 0), ["Ctrl-C"], 130)


def test_weights_that_are_no_numbers_are_not_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "save_state", lambda *everything: pytest.fail("saved"))
    for name in ("weight", "mean"):
        made = fit()
        getattr(made.trainer.network, name)[0] = float("nan")
        made.progress.step, made._stop.signal = 3, 15
        with pytest.raises(TrainingError, match=f"checking the weights: {name} became infinite or NaN"):
            made._stop_if_asked()


@pytest.mark.parametrize(("fold", "name", "command"), [
    (None, "a", "cnn train --resume a"), ([2, 5], "cv-fold2", "cnn train --folds 5 --resume cv"),
    ([2, 5], "cv-fold3", "cnn train --resume cv-fold3"), ([1, 2], "x", "cnn train --resume x")])
def test_a_fold_goes_on_with_all_of_them(fold: Any, name: str, command: str) -> None:
    made = fit()
    made.summary = {"recipe": {"fold": fold}}
    made.write_into(Run(f"runs/{name}"))
    assert made.command == command


@pytest.mark.parametrize(("error", "step", "states"), [(SaveError, 2, 0), (DataError, 2, 1), (DataError, 0, 0)])
def test_what_goes_wrong_says_how_to_go_on(error: Any, step: int, states: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read is no reason to lose the steps that are done."""
    saves: list[Any] = []
    monkeypatch.setattr(checkpoint, "save_state", lambda *everything: saves.append(1))
    made = fit()

    def wrong() -> None:
        made.progress.step = step
        raise error("x is wrong.")

    made._learn = wrong
    words = {SaveError: "x is wrong. Put that right, then continue with: cnn train --resume a",
             DataError: "x is wrong. Training stopped in epoch 1, all saved; put that right, then continue with: cnn "
                        "train --resume a"}[error]
    with pytest.raises(error) as caught:
        made.run_to_the_end(Run("runs/a"), StopFlag())
    assert str(caught.value) == words
    assert len(saves) == states
