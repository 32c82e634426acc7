"""Optuna: what to try next, and whether to go on with it. The one module that imports Optuna.

Each trial's randomness comes from (seed, number of the trial) alone. So what is proposed depends
on nothing but the seed and the trials before, and a search that was interrupted proposes what it
would have proposed.

Source:
    Akiba et al. 2019, Optuna, arXiv:1907.10902. Tree-structured Parzen estimators: Bergstra et al.
    2011, Algorithms for hyper-parameter optimization, NeurIPS 24; as of Watanabe 2023,
    arXiv:2304.11127. Asynchronous successive halving: Li et al. 2020, arXiv:1810.05934. Median
    rule: Golovin et al. 2017, Google Vizier, section 3.2.2, doi:10.1145/3097983.3098043.
    Importances: Watanabe et al. 2023, PED-ANOVA, arXiv:2304.10255.
"""

import itertools
import json
import math
from collections.abc import Mapping
from typing import Any, Literal

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from tasks.errors import DataError, ParamsError
from tasks.metrics import Goal
from tasks.seeding import derive_seed, rng_for
from tasks.tuning.space import Range, Space
from tasks.tuning.trials import Trial

Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["median", "halving", "none"]

VERSION = optuna.__version__
"""Another one may propose other trials."""

STARTUP_TRIALS = 8
"""Drawn at random before TPE has seen enough to go by."""

PRUNER_TRIALS = 4
"""Complete trials before another is held against their median."""

PRUNER_EPOCHS = 2
"""The first epoch after which a trial may be pruned: the first losses say little."""

HALVING_FACTOR = 3
"""One of so many trials goes on from 2 epochs to 6, to 18 ...; the paper's eta."""

MAX_GRID = 10_000
"""Points of a grid: nobody waits for more trials."""


class Search:
    """A search through a space; it knows neither what is trained nor what is measured."""

    def __init__(
        self, space: Space, sampler: Sampler, pruner: Pruner, *, goal: Goal, seed: int
    ) -> None:
        """Begin with no trial made.

        Args:
            space: what each setting may be.
            sampler: how trials are chosen.
            pruner: when one is given up.
            goal: whether the objective's value shall be low or high.
            seed: of all that is drawn.

        Raises:
            ParamsError: the grid has too many points.
        """
        # It would print tracebacks of trials that failed, and a line for each trial.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space = dict(sorted(space.items()))
        self._sampler, self._seed = sampler, seed
        self._sign = 1 if goal == "lower" else -1
        # Always to be minimised, because validation losses, which the pruner sees, always are.
        self._study = optuna.create_study(direction="minimize", pruner=_pruner(pruner))
        self._running: optuna.Trial
        self._n_proposed = 0
        self.n_points = self._lay_grid() if sampler == "grid" else None

    def replay(self, trial: Trial) -> None:
        """Take up a trial of this search that was made before.

        Raises:
            DataError: this search would not have made it.
        """
        if (proposed := self.propose()) != trial.settings:
            raise DataError(
                f"expected trial {trial.number} to have the settings {proposed}, found"
                f" {trial.settings}: its file was changed; remove it and those after it"
            )
        self.take(trial)

    def take(self, trial: Trial) -> None:
        """Learn a trial, that was proposed last, from what is remembered of it."""
        for epoch, loss in trial.validation_losses:
            self.report(epoch, loss)
        self.finish(trial)

    def propose(self) -> dict[str, Any]:
        """The settings of the next trial."""
        self._study.sampler = self._make_sampler(derive_seed(self._seed, "tune", self._n_proposed))
        self._n_proposed += 1
        self._running = trial = self._study.ask()
        settings: dict[str, Any] = {}
        for name, domain in self.space.items():
            if not isinstance(domain, Range):
                texts = [json.dumps(value) for value in domain.values]
                settings[name] = json.loads(trial.suggest_categorical(name, texts))
            elif domain.whole:
                ends = int(domain.low), int(domain.high)
                settings[name] = trial.suggest_int(name, *ends, log=domain.logarithmic)
            else:
                value = trial.suggest_float(name, domain.low, domain.high, log=domain.logarithmic)
                settings[name] = domain.rounded(value)
        return settings

    def report(self, epoch: int, loss: float) -> bool:
        """Note the validation loss of an epoch; whether the trial is not worth going on with."""
        self._running.report(loss, epoch)
        return self._running.should_prune()

    def finish(self, trial: Trial) -> None:
        """Note how the trial that was proposed last has ended."""
        if trial.value is not None:
            self._study.tell(self._running, self._sign * trial.value)
        else:
            state = TrialState.PRUNED if trial.state == "pruned" else TrialState.FAIL
            self._study.tell(self._running, state=state)

    def importances(self) -> Mapping[str, float]:
        """How much each setting matters, in sum 1, largest first; empty while that is unknown."""
        complete = self._study.get_trials(states=[TrialState.COMPLETE])
        if len({trial.value for trial in complete}) < 3:
            return {}
        return optuna.importance.get_param_importances(self._study)

    def _make_sampler(self, seed: int) -> BaseSampler:
        seed %= 2**32  # what NumPy's old generator takes
        if self._sampler == "tpe":
            return TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed)
        return RandomSampler(seed=seed)

    def _lay_grid(self) -> int:
        """Queue all points, in a random order, so that any part of the grid is spread over it.

        Optuna's GridSampler works inside of its own loop only.
        """
        axes = [domain.points() for domain in self.space.values()]
        n_points = math.prod(map(len, axes))
        if n_points > MAX_GRID:
            raise ParamsError(
                f"expected a grid of at most {MAX_GRID:,} points, found {n_points:,} of"
                f" {len(axes)} settings; search fewer of them (--search), or take --sampler tpe"
            )
        points = list(itertools.product(*axes))
        for place in rng_for(self._seed, "tune", "grid").permutation(len(points)):
            values = {
                name: value if isinstance(domain, Range) else json.dumps(value)
                for (name, domain), value in zip(self.space.items(), points[place], strict=True)
            }
            self._study.enqueue_trial(values)
        return len(points)


def _pruner(name: Pruner) -> BasePruner:
    match name:
        case "median":
            return MedianPruner(n_startup_trials=PRUNER_TRIALS, n_warmup_steps=PRUNER_EPOCHS)
        case "halving":
            return SuccessiveHalvingPruner(
                min_resource=PRUNER_EPOCHS, reduction_factor=HALVING_FACTOR
            )
        case "none":
            return NopPruner()
