"""What is to be predicted, from which rows: one problem per dataset, shared by all its metrics.

Source: train on synthetic, test on real: Esteban, Hyland and Rätsch 2017, arXiv:1706.02633.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.rows import Rows
from tasks.evaluation.utility.scores import Score, accuracy, class_auc, macro_f1, r2
from tasks.schema import Kind

MAX_ROWS = 100_000
"""Rows that a model learns from at most."""

MAX_WORK = 30_000_000
"""Rows x columns x classes that a model learns from at most."""

MAX_TEST = 200_000
"""Holdout rows x classes that models are tested on at most, and a tenth of it of rows."""

MIN_ROWS = 20
"""Rows with a value in the target that each set must have."""

MAX_CLASSES = 50

MAX_CATEGORIES = 100
"""Categories of a column that are told apart: the most frequent of the real rows."""

MIN_CATEGORY_ROWS = 5
"""Real rows that a category of a column with more than `MAX_CATEGORIES` must have."""

_SCORES: dict[Kind, tuple[Score, str]] = {
    "tabular": (class_auc, "AUC"),
    "image": (accuracy, "accuracy"),
    "text": (macro_f1, "F1"),
    "multimodal": (accuracy, "accuracy"),
}
"""How the prediction of classes is judged, and how people call it."""

_FARTHEST = 1e6
"""Standard deviations beyond which a target is as good as infinite."""


@dataclass(frozen=True)
class Labelled:
    """Rows with a target.

    Shape:
        numbers: (N, C) float64, NaN where missing.
        codes: (N, D) int32, -1 where missing.
        target: (N,) int32 a class from 0, the number of classes where no real row has it; or
            float64 in standard deviations of the real target.
        contents: as of `Rows`.
    """

    numbers: np.ndarray
    codes: np.ndarray
    target: np.ndarray
    contents: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.target)

    def take(self, index: np.ndarray) -> "Labelled":
        """The rows at these positions, or where a mask is true."""
        contents = None if self.contents is None else self.contents[index]
        return Labelled(self.numbers[index], self.codes[index], self.target[index], contents)

    def and_also(self, other: "Labelled") -> "Labelled":
        """These rows, then the others."""
        both = None
        if self.contents is not None and other.contents is not None:
            both = np.concatenate([self.contents, other.contents])
        return Labelled(
            np.concatenate([self.numbers, other.numbers]),
            np.concatenate([self.codes, other.codes]),
            np.concatenate([self.target, other.target]),
            both,
        )

    def coded(self, codes: np.ndarray, target: np.ndarray) -> "Labelled":
        """The same rows with other codes and targets."""
        return Labelled(self.numbers, codes, target, self.contents)


@dataclass(frozen=True)
class Problem:
    """A target and the rows that it is learned from and tested on.

    Attributes:
        target: the column.
        kind: of the dataset.
        classes: codes of the target that real rows have, in order; None where it is a number.
        real: training rows, in the number that a model learns from.
        synthetic: as many synthetic rows; empty where they lack the target that real rows have.
        test: holdout rows.
        places: (N,) where the test rows are in the holdout of the comparison.
    """

    target: str
    kind: Kind
    classes: np.ndarray | None
    real: Labelled
    synthetic: Labelled
    test: Labelled
    places: np.ndarray

    @property
    def n_classes(self) -> int | None:
        """None where the target is a number."""
        return None if self.classes is None else len(self.classes)

    @property
    def n_inputs(self) -> int:
        """Columns that the target is predicted from."""
        return int(self.real.numbers.shape[1] + self.real.codes.shape[1])

    @property
    def score(self) -> Score:
        """How predictions are judged."""
        if self.n_classes is None:
            return r2
        return _SCORES[self.kind][0]

    @property
    def score_name(self) -> str:
        """What people read."""
        if self.n_classes is None:
            return "R2"
        return _SCORES[self.kind][1]


def problem_of(comparison: Comparison) -> Problem:
    """The problem of a dataset, made once.

    Raises:
        NotApplicable: there is nothing to predict, nothing to predict it from, or too few rows.
    """
    return comparison.once("utility/problem", lambda: _problem(comparison))


def _problem(comparison: Comparison) -> Problem:
    if comparison.target is None:
        raise NotApplicable("the dataset has no target that a model could predict")
    (real, _), (test, places), (synthetic, _) = (
        _labelled(comparison, rows)
        for rows in (comparison.train, comparison.holdout, comparison.synthetic)
    )
    _check_real(comparison, real, test)
    is_number = comparison.target in [column.name for column in comparison.numeric]
    classes = None if is_number else _classes(comparison, real, test)
    n_outputs = 1 if classes is None else len(classes)
    if not _has_labels(comparison, real, synthetic):
        synthetic = synthetic.take(np.zeros(0, int))
    rng = comparison.rng("utility")
    n_inputs = real.numbers.shape[1] + real.codes.shape[1]
    n_rows = min(len(real), MAX_ROWS, MAX_WORK // (n_inputs * n_outputs))
    n_rows = min(n_rows, len(synthetic) or n_rows)
    tested = _some(len(test), MAX_TEST // max(n_outputs, 10), comparison.rng("utility test"))
    sets = [
        synthetic.take(_some(len(synthetic), n_rows, rng)),
        real.take(_some(len(real), n_rows, rng)),
        test.take(tested),
    ]
    codes = _frequent([one.codes for one in sets], real.codes)
    targets = [_target(one.target, real.target, classes) for one in sets]
    synthetic, known, test = (
        one.coded(own, target) for one, own, target in zip(sets, codes, targets, strict=True)
    )
    return Problem(
        target=comparison.target,
        kind=comparison.kind,
        classes=classes,
        real=known,
        synthetic=synthetic,
        test=test,
        places=places[tested],
    )


def _labelled(comparison: Comparison, rows: Rows) -> tuple[Labelled, np.ndarray]:
    """The rows whose target is present, apart from it, and where they are."""
    names = [column.name for column in comparison.discrete]
    numbers, codes = rows.numbers, rows.codes
    if comparison.target in names:
        place = names.index(comparison.target)
        target, codes = codes[:, place], np.delete(codes, place, axis=1)
        present = target >= 0
    else:
        place = [column.name for column in comparison.numeric].index(str(comparison.target))
        target, numbers = numbers[:, place], np.delete(numbers, place, axis=1)
        present = ~np.isnan(target)
    labelled = Labelled(numbers, codes, target, rows.contents)
    return labelled.take(present), np.flatnonzero(present)


def _check_real(comparison: Comparison, train: Labelled, test: Labelled) -> None:
    smallest = min(len(train), len(test))
    if smallest < MIN_ROWS:
        raise NotApplicable(
            f"needs {MIN_ROWS} training and {MIN_ROWS} holdout rows with a value in the target"
            f" {comparison.target!r}, found {smallest}"
        )
    if train.numbers.shape[1] + train.codes.shape[1] == 0:
        raise NotApplicable("there is no column beside the target to predict it from")
    if min(len(np.unique(one.target)) for one in (train, test)) < 2:
        raise NotApplicable(f"the target {comparison.target!r} has one value only in the real rows")


def _classes(comparison: Comparison, real: Labelled, test: Labelled) -> np.ndarray:
    """Shape: (classes,) the codes of the classes that real rows have."""
    classes = np.union1d(real.target, test.target)
    if len(classes) > MAX_CLASSES:
        raise NotApplicable(
            f"the target {comparison.target!r} has {len(classes)} values; a model of classes is"
            f" tested with {MAX_CLASSES} at most"
        )
    return classes


def _has_labels(comparison: Comparison, train: Labelled, synthetic: Labelled) -> bool:
    """Whether a model can learn from the synthetic rows; if not, that is what utility says.

    Raises:
        NotApplicable: they are so few that as many real ones would not suffice either.
    """
    if len(synthetic) >= MIN_ROWS:
        return True
    share = len(train) / len(comparison.train)
    if len(comparison.synthetic) * share >= 2 * MIN_ROWS:
        return False
    raise NotApplicable(
        f"needs {MIN_ROWS} synthetic rows with a value in the target {comparison.target!r},"
        f" found {len(synthetic)} in {len(comparison.synthetic)} rows"
    )


def _some(n: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Shape: (min(n, most),) positions at random, in their order."""
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


def _frequent(sets: Sequence[np.ndarray], real: np.ndarray) -> list[np.ndarray]:
    """Columns with very many categories keep the frequent ones; the others are one category.

    Shape:
        sets: (N, D) codes each.
        real: (M, D) codes of the real rows that say which are frequent.
    """
    result = [one.copy() for one in sets]
    for place in range(real.shape[1]):
        largest = max((one[:, place].max(initial=-1) for one in (real, *sets)), default=-1)
        if largest < MAX_CATEGORIES:
            continue
        counts = np.bincount(real[real[:, place] >= 0, place], minlength=largest + 1)
        frequent = np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]
        frequent = frequent[counts[frequent] >= MIN_CATEGORY_ROWS]
        mapped = np.full(largest + 2, len(frequent), np.int32)
        mapped[frequent] = np.arange(len(frequent))
        mapped[-1] = -1
        for one in result:
            one[:, place] = mapped[one[:, place]]
    return result


def _target(values: np.ndarray, real: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    """Classes from 0, one more for what no real row has; or numbers in standard deviations."""
    if classes is not None:
        place = np.searchsorted(classes, values)
        is_real = np.isin(values, classes)
        return np.where(is_real, place, len(classes)).astype(np.int32)
    # Divided first, so that squares of the largest numbers are finite.
    scale = np.abs(real).max()
    centre, width = (real / scale).mean(), (real / scale).std()
    return np.asarray(np.clip((values / scale - centre) / width, -_FARTHEST, _FARTHEST))
