"""A search, one trial after the other; each is a run of MLflow below the run of the search.

    .proofmint/tune/adult/<fingerprint>/
        run.key              the MLflow run of the search, which a later command continues
        trials/00000.json    a trial that has ended
        work/                checkpoint of the running trial, rows; removed with the last trial

The folder's name is the fingerprint of all that decides what is tried and measured, but not of how
many trials are asked for: asking for more continues the search.
"""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasks.errors import DataError, TrainingError
from tasks.tracking import Run, Tracker, Training
from tasks.training.checkpoint import Checkpoint
from tasks.tuning.objective import VALIDATION_LOSS, Work
from tasks.tuning.search import Search
from tasks.tuning.trials import Trial, read_trials, write_trial

KEY_FILE = "run.key"
WORK_FOLDER = "work"

Watch = Callable[[int, int, float | None], None]
"""Takes the number of a trial, an epoch that it has finished, and its validation loss."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuning:
    """A search with all that it needs.

    Attributes:
        search: proposes the trials.
        work: what a trial does.
        folder: of the search.
        tracker: MLflow.
        about: the run of the search; trials are described by it and by their settings.
        by_loss: whether validation losses say which trials are not worth going on with.
        watch: called after each epoch.
    """

    search: Search
    work: Work
    folder: Path
    tracker: Tracker
    about: Training
    by_loss: bool
    watch: Watch

    def run(self, parent: Run, n_trials: int, deadline: float | None) -> Iterator[Trial]:
        """The trials up to `n_trials`, those of earlier commands first.

        Args:
            parent: the run of the search.
            n_trials: of the whole search.
            deadline: by `time.monotonic`, when to stop; the trial that is running then is continued
                by the next command.

        Raises:
            ParamsError: the objective does not apply.
            TrackingUnavailable: MLflow does not answer.
        """
        trials = read_trials(self.folder)[:n_trials]
        for trial in trials:
            if trial.number > 0:
                self.search.replay(trial)
            yield trial
        for number in range(len(trials), n_trials):
            if deadline is not None and time.monotonic() >= deadline:
                return
            # The first trial is what params.yaml says, which the others have to beat.
            settings = self.search.propose() if number else {}
            if known := _equal(trials, settings):
                trial = known.model_copy(
                    update={"number": number, "repeats": known.number, "seconds": 0.0}
                )
                write_trial(self.folder, trial)
                self.search.take(trial)
            else:
                try:
                    trial = self._run_trial(parent, number, settings, deadline)
                except _OutOfTime:
                    return
                if number:
                    self.search.finish(trial)
            trials.append(trial)
            self._log_history(parent, trial)
            yield trial

    def _run_trial(
        self, parent: Run, number: int, settings: Mapping[str, Any], deadline: float | None
    ) -> Trial:
        """One trial, from its checkpoint if it was interrupted."""
        began = time.monotonic()
        losses: list[tuple[int, float]] = []
        place = self.folder / WORK_FOLDER / f"trial-{number:05d}"
        with Checkpoint.locked(place) as checkpoint:
            measured, reason, state = None, None, "complete"
            about = self._describe(number, settings, parent)
            try:
                with self.tracker.run(about, checkpoint.folder / KEY_FILE) as run:
                    try:
                        report = self._reporter(number, run, losses, deadline)
                        measured = self.work.run(settings, checkpoint, report)
                        # A name of its own: the loop logs its validation loss by epoch.
                        run.log(0, {f"objective.{self.work.objective.name}": measured.value})
                    except _Pruned:
                        state = "pruned"
                    run.tag("trial.state", state)
            except (TrainingError, DataError) as error:
                state, reason = "failed", str(error)
            trial = Trial(
                number=number,
                state=state,
                settings=dict(settings),
                value=measured.value if measured else None,
                interval=measured.interval if measured else None,
                validation_losses=losses,
                reason=reason,
                run_id=run.id,
                seconds=round(time.monotonic() - began, 3),
            )
            write_trial(self.folder, trial)
            checkpoint.remove()
        return trial

    def _reporter(
        self, number: int, run: Run, losses: list[tuple[int, float]], deadline: float | None
    ) -> Callable[[int, Mapping[str, float]], None]:
        """What the training loop calls with its metrics: logs them, and stops it where it must."""

        def report(step: int, metrics: Mapping[str, float]) -> None:
            run.log(step, metrics)
            if deadline is not None and time.monotonic() >= deadline:
                raise _OutOfTime
            if "epoch" not in metrics:
                return
            epoch, loss = int(metrics["epoch"]), metrics.get(VALIDATION_LOSS)
            self.watch(number, epoch, loss)
            if loss is not None and self.by_loss:
                losses.append((epoch, loss))
                if number and self.search.report(epoch, loss):
                    raise _Pruned

        return report

    def _describe(self, number: int, settings: Mapping[str, Any], parent: Run) -> Training:
        changed = self.work.settings(settings)
        return replace(
            self.about,
            params={
                "seed": changed.seed,
                "generator": changed.generator,
                "generator_params": changed.generator_params,
                "train": changed.train.model_dump(mode="json"),
            },
            tags={**self.about.tags, "trial": str(number)},
            name=f"trial {number}",
            parent=parent.id,
        )

    def _log_history(self, parent: Run, trial: Trial) -> None:
        if trial.value is not None:
            parent.log(trial.number, {self.work.objective.name: trial.value})

    def clean(self) -> None:
        """Remove what only running trials need."""
        shutil.rmtree(self.folder / WORK_FOLDER, ignore_errors=True)


def _equal(trials: Sequence[Trial], settings: Mapping[str, Any]) -> Trial | None:
    """The first trial with these settings: with the same seed, another would end the same."""
    return next((trial for trial in trials if trial.number and trial.settings == settings), None)


class _Pruned(Exception):
    """The trial is not worth going on with."""


class _OutOfTime(BaseException):
    """The time of the command is over; as KeyboardInterrupt, it is no fault of the trial."""
