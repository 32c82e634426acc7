"""How often rows are used, worked out by hand."""

import numpy as np

from tasks.splits.balancing import repeats


def totals(method: str) -> tuple[list[int], np.ndarray]:
    classes = np.array([0] * 7 + [1] * 3 + [3])  # class 2 has no row
    counts = repeats(classes, method, np.random.default_rng(0))
    return np.bincount(classes, weights=counts).astype(int).tolist(), counts


def test_none_takes_every_row_once():
    assert totals("none")[1].tolist() == [1] * 11


def test_oversampling_repeats_rows_evenly_up_to_the_largest_class():
    sums, counts = totals("oversample")
    assert sums == [7, 7, 0, 7]
    assert sorted(counts[7:10].tolist()) == [2, 2, 3]
    assert counts[10] == 7


def test_undersampling_leaves_rows_out_down_to_the_smallest_class():
    sums, counts = totals("undersample")
    assert sums == [1, 1, 0, 1]
    assert set(counts.tolist()) == {0, 1}


def test_no_rows_need_no_balance():
    assert len(repeats(np.array([], dtype=np.int64), "oversample", np.random.default_rng(0))) == 0
