"""``--log wandb|trackio|mlflow``: what a training tells, handed on to a library that keeps track of experiments. One
adapter each says how it is spoken to; the library is imported when it is named, and nothing else here knows of it.
"""

import contextlib
import io
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..errors import CnnError, UsageError, no_such, printable
from ..extras import install
from ..runs import Run
from ..training.inside import Inside
from ..training.observer import TrainingSummary
from ..values import as_hinted
from .forwarding import Forwarded, Scalars, guarded, label_of, of_epoch, of_look, of_step, settings_of
from .lines import Line
from .recorder import Recorder, sparing

PROJECT = "cnn"  # what the libraries file runs under, unless their own environment says otherwise
FINISHED, AN_ERROR = "finished", "an error"  # of a training's ends
_STDOUT = contextlib.redirect_stdout  # some libraries print to stdout, which is for data


@dataclass(frozen=True)
class Adapter:
    """How a library is spoken to: begin(library, run's name, settings) returns what log(…, numbers, step) and end(…,
    cause) take. where says where it keeps what it is told."""

    begin: Callable[[Any, str, Mapping[str, Any]], Any]
    log: Callable[[Any, Scalars, int], Any]
    end: Callable[[Any, str], Any]
    where: str


def _wandb(wandb: Any, name: str, settings: Mapping[str, Any]) -> Any:
    mode = os.environ.get("WANDB_MODE", "offline")  # else it would ask for an account
    return wandb.init(project=os.environ.get("WANDB_PROJECT", PROJECT), name=name, config=dict(settings), mode=mode,
                      settings=wandb.Settings(console="off", silent=True))


def _trackio(trackio: Any, name: str, settings: Mapping[str, Any]) -> Any:
    trackio.init(project=PROJECT, name=name, config=dict(settings))
    return trackio


def _mlflow(mlflow: Any, name: str, settings: Mapping[str, Any]) -> Any:
    """Begin a run by a client of its own, which leaves alone a run that somebody else has begun in this process."""
    client, project = mlflow.MlflowClient(), os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
    experiment = client.get_experiment_by_name(project)
    number = experiment.experiment_id if experiment else client.create_experiment(project)
    run = client.create_run(number, run_name=name).info.run_id
    client.log_batch(run, params=[mlflow.entities.Param(key, str(value)) for key, value in settings.items()])
    return mlflow, client, run


def _log_mlflow(begun: Any, numbers: Scalars, step: int) -> None:
    mlflow, client, run = begun
    when = int(1000 * time.time())
    client.log_batch(run, metrics=[mlflow.entities.Metric(key, value, when, step) for key, value in numbers.items()])


def _end_mlflow(begun: Any, cause: str) -> None:
    _, client, run = begun
    client.set_terminated(run, {FINISHED: "FINISHED", AN_ERROR: "FAILED"}.get(cause, "KILLED"))


ADAPTERS = {
    "wandb": Adapter(_wandb, lambda run, numbers, step: run.log(numbers, step=step),
                     lambda run, cause: run.finish(exit_code=int(cause != FINISHED)),
                     "wandb/, offline unless WANDB_MODE says otherwise; 'wandb sync' sends it to an account"),
    "trackio": Adapter(_trackio, lambda trackio, numbers, step: trackio.log(numbers, step=step),
                       lambda trackio, cause: trackio.finish(),
                       f"trackio's files on this machine; 'trackio show --project {PROJECT}' shows them"),
    "mlflow": Adapter(_mlflow, _log_mlflow, _end_mlflow,
                      "this folder, unless MLFLOW_TRACKING_URI says otherwise; 'mlflow ui' shows it"),
}


class Tracker(Recorder):
    """An observer that sends each run to a library that keeps track of experiments.

    It sends loss, accuracy and images per second of each step, the columns of history.csv of each epoch, the norms of
    layers, and the settings. A run that is resumed is a new run there, of the same name, with the earlier epochs. If
    the library fails, it is told nothing more and the training goes on.

    Args:
        library: "wandb", "trackio" or "mlflow".
        say: Is called with a sentence on where everything goes, and if the library failed. None: nobody is told.
        clock: Returns the time in seconds, for the images per second.

    Raises:
        UsageError: There is no such library, or it is not installed.
    """

    @as_hinted
    def __init__(self, library: str, say: Callable[[str], None] | None = None,
                 clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(say, clock)
        if library not in ADAPTERS:
            raise UsageError(no_such("tracker", library, ADAPTERS))
        self.library, self.ends = library, f"The training is not told to {library} any more"
        self._adapter, self._module, self._said = ADAPTERS[library], _imported(library), False
        self._begun: _Tracked | None = None

    def started(self, run: Run, summary: TrainingSummary) -> None:
        super().started(run, summary)
        if not self._said:
            self._say(f"{self.library}: goes to {self._adapter.where}.")
            self._said = True

    @sparing
    def looking_inside(self, inside: Inside) -> None:
        assert self._run is not None
        # Here, where no clock of the training's runs: some libraries take seconds.
        self._begun = guarded(_Tracked, self._adapter, self._module, label_of(self._run), settings_of(self._summary))
        super().looking_inside(inside)

    def open(self, run: Run) -> Forwarded:
        assert self._begun is not None
        return self._begun

    def ended(self, cause: str) -> None:
        super().ended(cause)
        begun, self._begun = self._begun, None
        if begun:
            with contextlib.suppress(CnnError):
                begun.close()  # where it was begun, and no epoch was


def _imported(library: str) -> Any:
    try:
        with _STDOUT(io.StringIO()):
            return import_module(library)
    except ImportError:
        raise UsageError(f"--log {library} needs the package {library}; get it with: "
                         f"{install(library)}") from None
    except Exception as error:  # whatever is wrong with what somebody else wrote
        why = f"{type(error).__name__}: {printable(error)}"
        raise UsageError(f"{library} is installed, but cannot be imported ({why}); install it again, or leave --log "
                         "out.") from None


class _Tracked(Forwarded):
    """One run of a library's."""

    def __init__(self, adapter: Adapter, module: Any, name: str, settings: Mapping[str, Any]) -> None:
        self._adapter, self._steps = adapter, 0  # of an epoch
        with _STDOUT(io.StringIO()):
            self._begun = adapter.begin(module, name, settings)

    def begin(self, line: Line) -> None:
        self._steps = line["steps"]

    def step(self, line: Line) -> None:
        self._log(of_step(line), line["step"])

    def look(self, line: Line) -> None:
        self._log(of_look(line), line["step"])

    def epoch(self, line: Line) -> None:
        self._log({**of_epoch(line), "epoch/number": float(line["epoch"])}, line["epoch"] * self._steps)

    def end(self, line: Line) -> None:
        begun, self._begun = self._begun, None
        with _STDOUT(io.StringIO()):
            self._adapter.end(begun, line["cause"])

    def close(self) -> None:
        if self._begun is not None:  # it is given up; the library may still want to hear of it
            guarded(self.end, {"cause": AN_ERROR})

    def _log(self, numbers: Scalars, step: int) -> None:
        with _STDOUT(io.StringIO()):
            self._adapter.log(self._begun, numbers, step)
