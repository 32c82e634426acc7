"""What a trial does: train with some settings, and measure the result on validation rows.

The objective is either the lowest validation loss of the training itself, or a metric of
tasks/evaluation. Such a metric compares rows drawn from the model with *validation rows* that are
set aside from the training data and that no trial trains on. The holdout that judges a release has
no part in it: a search that looked at it would choose the settings that happen to suit it, and the
release's proof would be worth less than it says.
"""

import contextlib
import io
import logging
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import ParamsError
from tasks.evaluation import comparison
from tasks.evaluation.base import Metric, measure, metrics_of
from tasks.generators.base import DataGenerator
from tasks.metrics import Goal
from tasks.params import DatasetParams, SampleParams, SplitParams
from tasks.schema import DatasetSchema, Kind
from tasks.seeding import derive_seed
from tasks.splits.record import BalanceRecord
from tasks.stages.sample import sample
from tasks.stages.split import split
from tasks.storage import new_folder, read_batches
from tasks.training.checkpoint import Checkpoint
from tasks.training.loop import fit
from tasks.training.model import generator_params, save_model
from tasks.training.trainer import Report
from tasks.training.transfer import Parent
from tasks.tuning.space import apply

VALIDATION_LOSS = "validation_loss"
"""The objective that is no metric of tasks/evaluation: the training's own."""

VALIDATION_FRACTION = 0.2
"""Share of the training rows that a metric compares with; no trial trains on them."""

_FLOORS = {"c2st_auc": 0.5, "dcr_share": 0.5}
"""Values below which lower is not better, but chance: a search would go where luck is."""


@dataclass(frozen=True)
class Objective:
    """What is to be made low or high.

    Attributes:
        metric: None for the training's own validation loss.
    """

    metric: Metric | None

    @property
    def name(self) -> str:
        """As on the command line."""
        return self.metric.name if self.metric else VALIDATION_LOSS

    @property
    def goal(self) -> Goal:
        """Whether low or high is good."""
        return self.metric.goal if self.metric else "lower"


@dataclass(frozen=True)
class Measured:
    """The objective of one trial, and its 95 % interval where the metric has one."""

    value: float
    interval: tuple[float, float] | None


def choose_objective(kind: Kind, name: str) -> Objective:
    """The objective that a person names.

    Raises:
        ParamsError: there is none of this name for data of this kind.
    """
    if name == VALIDATION_LOSS:
        return Objective(None)
    known = metrics_of(kind)
    if name not in known:
        choices = ", ".join([VALIDATION_LOSS, *known])
        raise ParamsError(f"--metric {name!r} is unknown for kind {kind}; choose of: {choices}")
    return Objective(known[name])


def loss_tells(cls: type[DataGenerator], n_rows: int, schema: DatasetSchema) -> bool:
    """Whether the validation losses of a generator say how good it is; those of a GAN do not.

    A generator says so itself: where they mean nothing, its recipe does not stop early by them.
    """
    return cls.recipe(n_rows, schema).patience is not None


@dataclass(frozen=True)
class Work:
    """What is the same in all trials of a search.

    Attributes:
        params: of the dataset, as in params.yaml.
        generator_class: what is trained.
        objective: what is measured.
        balanced: the training data of the dataset.
        folder: for files that are not kept; whole parts of it are made once and used by all trials.
        parent: the model that every trial starts from; None: from random weights.
    """

    params: DatasetParams
    generator_class: type[DataGenerator]
    objective: Objective
    balanced: Path
    folder: Path
    parent: Parent | None = None

    def run(self, settings: Mapping[str, Any], checkpoint: Checkpoint, report: Report) -> Measured:
        """Train with these settings and measure.

        Args:
            settings: what differs from params.yaml, by name.
            checkpoint: where the training continues if it was interrupted.
            report: called with the metrics of the training; may raise to give the trial up.

        Raises:
            TrainingError: the training failed.
            ParamsError: the objective does not apply to this data.
            DataError: the rows cannot be learned or compared.
        """
        params = self.settings(settings)
        record = generator_params(
            self.generator_class, params.generator_params, "the trial: generator_params"
        )
        rows = self._rows()
        schema = DatasetSchema.load(rows)
        table = schema.main.name
        with _quiet():
            fitted = fit(
                self.generator_class,
                record,
                schema,
                lambda: read_batches(rows, table),
                params.train,
                seed=params.seed,
                checkpoint=checkpoint,
                report=report,
                parent=self.parent,
            )
            if self.objective.metric is None:
                return Measured(float(fitted.summary["best_validation_loss"]), None)
            model = checkpoint.folder / "model"
            with new_folder(model) as draft:
                save_model(draft, params.kind, params.generator, record, fitted)
            synthetic = checkpoint.folder / "synthetic"
            # As many rows as were trained on, none of them with values that are asked for.
            drawn = params.model_copy(update={"sample": SampleParams()})
            sample(model, synthetic, drawn)
        return self._measure(self.objective.metric, synthetic)

    def settings(self, changes: Mapping[str, Any]) -> DatasetParams:
        """The settings of the dataset with those of a trial."""
        return apply(self.params, changes, self.generator_class, where="the trial")

    def _rows(self) -> Path:
        """The dataset that trials train on."""
        if (record := BalanceRecord.load(self.balanced)) and record.added_rows:
            raise ParamsError(
                f"balance.method {record.method!r} has added rows to the real ones, and a search"
                " would find the settings that repeat them best: set it to none or class_weights,"
                " tune, and set it back"
            )
        if self.objective.metric is None:
            return self.balanced  # the training sets its own validation rows aside
        parts = self.folder / "rows"
        if not parts.exists():
            params = self.params.model_copy(
                update={
                    # Another seed than that of the holdout's split, so that it draws other rows.
                    "seed": derive_seed(self.params.seed, "tune"),
                    "split": SplitParams(holdout_fraction=VALIDATION_FRACTION),
                }
            )
            with _quiet():
                split(self.balanced, parts, params)
        return parts / "train"

    def _measure(self, metric: Metric, synthetic: Path) -> Measured:
        # What `split` has called the holdout of these rows are our validation rows.
        rows = comparison.load(self.folder / "rows", synthetic, self.params.seed)
        (found,), _ = measure([metric], rows)
        shutil.rmtree(synthetic)
        if found.value is None:
            raise ParamsError(
                f"--metric {metric.name} does not apply to this data: {found.not_applicable}"
            )
        return Measured(max(found.value, _FLOORS.get(metric.name, found.value)), found.interval)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let one training after the other say no more than its warnings: no bars, no summaries."""
    logger = logging.getLogger("tasks")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with contextlib.redirect_stderr(_NoTerminal(sys.stderr)):
            yield
    finally:
        logger.setLevel(before)


class _NoTerminal(io.TextIOBase):
    """Passes on what is written, but is no terminal, so tqdm draws no bar on it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return int(self._stream.write(text))

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return False
