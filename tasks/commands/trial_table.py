"""What a person sees of a search: a line for each trial, a bar on a terminal, a table at the end."""

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tqdm import tqdm

from tasks.params import DatasetParams
from tasks.tuning.objective import Objective
from tasks.tuning.space import Range, Space
from tasks.tuning.trials import Trial, ranked

SHOWN_TRIALS = 10
"""Of the last table; MLflow has them all."""


class TrialTable:
    """What a person sees: a line for each trial, a bar on a terminal, a table at the end."""

    def __init__(self, objective: Objective, settings: Sequence[str], n_trials: int) -> None:
        """Show a search of `n_trials` trials in these settings."""
        self._objective, self._settings, self._n_trials = objective, settings, n_trials
        self._short = [name.partition(".")[2] for name in settings]
        self._widths = [max(9, len(name)) for name in self._short]
        self._value_width = max(9, len(objective.name))
        self._best = ""
        self._bar: tqdm[Any] | None = None

    def announce(self, dataset: str, params: DatasetParams, space: Space, sampler: str) -> None:
        """Say what is searched."""
        print(
            f"{dataset}: {params.generator}, at most {self._n_trials} trials ({sampler}) for a"
            f" {self._objective.goal} {self._objective.name} of validation rows, over"
        )
        for name, domain in space.items():
            scale = ", logarithmic" if isinstance(domain, Range) and domain.logarithmic else ""
            print(f"  {name}={domain}{scale}")
        print(flush=True)

    @contextlib.contextmanager
    def showing(self) -> Iterator[None]:
        """Draw the bar, if there is a terminal, under a head for the lines."""
        print(self._line("trial", self._objective.name, "best", self._short, "  time"), flush=True)
        with tqdm(total=self._n_trials, unit="trial", leave=False, disable=None) as self._bar:
            yield

    def watch(self, number: int, epoch: int, loss: float | None) -> None:
        """Show where the running trial is."""
        if self._bar is not None:
            shown = "" if loss is None else f", validation loss {loss:.4g}"
            text = f"trial {number}: epoch {epoch}{shown}; best {self._best or 'none yet'}"
            self._bar.set_postfix_str(text)

    def row(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """Show a trial that has ended."""
        complete = ranked(trials, self._objective.goal)
        self._best = _number(complete[0].value) if complete else ""
        result = _number(trial.value) if trial.value is not None else trial.state
        line = self._line(
            str(trial.number), result, self._best, self._cells(trial), f"{trial.seconds:5.1f} s"
        )
        tqdm.write(line)
        if trial.reason:
            tqdm.write(f"      {trial.reason.splitlines()[0]}")
        sys.stdout.flush()  # into a file or a pipe, lines would wait for many others
        if self._bar is not None:
            self._bar.update()

    def ranking(self, trials: Sequence[Trial]) -> None:
        """Show the best trials with their MLflow runs."""
        complete = ranked(trials, self._objective.goal)
        ended = Counter(trial.state for trial in trials)
        counts = ", ".join(f"{n} {state}" for state, n in ended.items())
        print(f"\n{len(trials)} trials: {counts}.\n")
        print(self._line("rank", self._objective.name, "trial", self._short, "MLflow run"))
        for rank, trial in enumerate(complete[:SHOWN_TRIALS], start=1):
            value, cells = _number(trial.value), self._cells(trial)
            print(self._line(str(rank), value, str(trial.number), cells, trial.run_id))

    def _cells(self, trial: Trial) -> list[str]:
        if not trial.settings:
            return ["as it is" for _ in self._settings]
        values = [trial.settings[name] for name in self._settings]
        return [_number(value) if isinstance(value, float) else str(value) for value in values]

    def _line(self, first: str, value: str, third: str, cells: Sequence[str], last: str) -> str:
        padded = [cell.rjust(width) for cell, width in zip(cells, self._widths, strict=True)]
        value = value.rjust(self._value_width)
        return "  ".join([first.rjust(5), value, third.rjust(9), *padded, last])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
