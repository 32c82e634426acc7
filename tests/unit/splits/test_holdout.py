"""Sizes of a holdout, worked out by hand."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import DataError
from tasks.splits.classes import classes_of
from tasks.splits.holdout import holdout_mask


def sizes(classes: list[int], fraction: float) -> list[int]:
    """Rows of the holdout by class."""
    mask = holdout_mask(len(classes), fraction, np.array(classes), np.random.default_rng(0))
    return np.bincount(np.array(classes)[mask], minlength=max(classes) + 1).tolist()


@pytest.mark.parametrize(
    ("classes", "fraction", "expected"),
    [
        ([0] * 10 + [1] * 10, 0.3, [3, 3]),
        ([0] * 9 + [1] * 6, 0.3, [3, 2]),  # 2.7 and 1.8 of 4.5: the larger remainder is 1.8's
        ([0] * 357 + [1] * 212, 0.3, [107, 64]),  # 107.1 and 63.6 of 170.7
        ([0] * 9 + [1], 0.3, [3, 0]),  # a class of one row stays for training
        ([0] * 2 + [1] * 2, 0.9, [1, 1]),  # as does one row of each class
        ([0] * 3 + [1] * 3 + [2] * 3, 0.1, [1, 0, 0]),
    ],
)
def test_each_class_gives_its_share(classes, fraction, expected):
    assert sizes(classes, fraction) == expected


def test_the_same_seed_gives_the_same_rows_and_another_gives_others():
    def mask(seed: int) -> list[bool]:
        return holdout_mask(100, 0.2, None, np.random.default_rng(seed)).tolist()

    assert mask(1) == mask(1)
    assert mask(1) != mask(2)
    assert sum(mask(1)) == 20


@pytest.mark.parametrize("n_rows", [0, 1])
def test_too_few_rows_are_refused(n_rows):
    with pytest.raises(DataError, match=f"expected enough rows .* found {n_rows}"):
        holdout_mask(n_rows, 0.5, None, np.random.default_rng(0))


def test_classes_of_one_row_each_are_refused():
    with pytest.raises(DataError, match="found 3 in 3 classes"):
        holdout_mask(3, 0.5, np.arange(3), np.random.default_rng(0))


def test_missing_values_are_a_class():
    values = pa.chunked_array([["b", None], ["a", "b", None]])
    assert classes_of(values).tolist() == [0, 1, 2, 0, 1]
