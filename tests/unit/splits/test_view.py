"""Real rows in the shares of a balanced dataset."""

from collections import Counter

import numpy as np

from tasks.splits.record import BalanceRecord, ClassRecord
from tasks.splits.view import rows_in_shares


def record(**wanted: int) -> BalanceRecord:
    classes = tuple(ClassRecord(value=v, rows=1, wanted=n) for v, n in wanted.items())
    return BalanceRecord(method="generate", target="c", real_rows=1, classes=classes)


def left(values: list[str | None], **wanted: int) -> Counter[str | None]:
    kept = rows_in_shares(values, record(**wanted), np.random.default_rng(0))
    return Counter(v for v, k in zip(values, kept, strict=True) if k)


def test_the_scarcest_class_decides_how_many_rows_are_left():
    values = ["a"] * 60 + ["b"] * 20 + ["c"] * 5 + [None, "d"]
    assert left(values, a=10, b=10) == {"a": 20, "b": 20}
    assert left(values, a=3, b=1) == {"a": 60, "b": 20}
    # Class c has 5 rows where 1 in 4 is wanted; a class that nobody wanted has none.
    assert left(values, a=2, b=1, c=1) == {"a": 10, "b": 5, "c": 5}


def test_a_class_without_rows_does_not_count():
    assert left(["a"] * 4 + ["b"] * 2, a=1, b=1, z=1) == {"a": 2, "b": 2}
    assert left(["q"], a=1) == {}
