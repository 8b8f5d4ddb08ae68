"""``--optuna N``: Optuna's TPE sampler (Bergstra et al. 2011) proposes the points of a sweep, by what the earlier runs
reached. The study lies in the sweep's folder as optuna.log, in Optuna's own format, so its tools read it, too. Optuna
is imported when it is asked for.
"""

from typing import Any

from ..errors import UsageError
from ..extras import install
from .sweep_plan import Plan
from .sweep_settings import Point, Setting, shown

STUDY = "optuna.log"


def library() -> Any:
    """Import Optuna. Raises UsageError if it is not installed."""
    try:
        import optuna
    except ImportError:
        raise UsageError(f"--optuna needs the package optuna; get it with: {install('optuna')}") from None
    return optuna


class Study:
    """A sweep's study. Its proposals depend only on the seed and on what it was told, so a sweep that is stopped and
    resumed is the same as one that was not.
    """

    def __init__(self, plan: Plan) -> None:
        self._optuna = optuna = library()
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        self._settings, self._seed = plan.settings, plan.options.seed or 0
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # or it says on stderr that there is a study
        try:
            storage = JournalStorage(JournalFileBackend(str(plan.path / STUDY)))
            self._study = optuna.create_study(study_name="sweep", storage=storage, direction="maximize",
                                              load_if_exists=True)
        finally:
            optuna.logging.set_verbosity(before)
        known = {each.trial for each in plan.runs}
        for trial in self._study.trials:  # proposed, and then the process was killed before that was written down
            if not trial.state.is_finished() and trial.number not in known:
                self.tell(trial.number, None)

    @property
    def asked(self) -> int:
        """How many trials there are so far."""
        return len(self._study.trials)

    def ask(self) -> tuple[int, Point]:
        """Return the number of the next trial, and what to try."""
        self._study.sampler = self._optuna.samplers.TPESampler(seed=(1_000_003 * self._seed + self.asked) % 2**32)
        trial = self._study.ask({setting.name: self._distribution(setting) for setting in self._settings})
        return trial.number, {setting.name: _meant(setting, trial.params[setting.name]) for setting in self._settings}

    def tell(self, trial: int, accuracy: float | None) -> None:
        """Tell the study what a trial reached; None if it failed."""
        state = self._optuna.trial.TrialState
        self._study.tell(trial, accuracy, state.FAIL if accuracy is None else state.COMPLETE, skip_if_finished=True)

    def _distribution(self, setting: Setting) -> Any:
        kinds = self._optuna.distributions
        if setting.values:
            return kinds.CategoricalDistribution(list(dict.fromkeys(shown(setting.name, v) for v in setting.values)))
        kind = kinds.IntDistribution if setting.whole else kinds.FloatDistribution
        return kind(setting.low, setting.high, log=setting.by_factors)


def _meant(setting: Setting, proposed: Any) -> Any:
    """Return the value that a proposal stands for."""
    if not setting.values:
        return setting.rounded(proposed)
    return {shown(setting.name, value): value for value in setting.values}[proposed]
