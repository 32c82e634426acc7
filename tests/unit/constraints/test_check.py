"""Rows that break a constraint, by hand."""

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from tasks.constraints.check import broken, combinations, places_among, row_keys
from tasks.constraints.declared import Constraint

CONSTRAINT = TypeAdapter(Constraint)


def breaks(rows: dict[str, Any], **content: Any) -> list[int]:
    mask = broken(CONSTRAINT.validate_python(content), pa.table(rows))
    return np.flatnonzero(mask).tolist()


def test_inequalities() -> None:
    rows = {"a": [1, 2, 3, None, 5], "b": [1, 3, None, 1, 6], "c": [0, 3, 2, 0, 7]}
    assert breaks(rows, type="inequality", columns=["a", "b"]) == []
    assert breaks(rows, type="inequality", columns=["a", "b"], strict=True) == [0]
    # In row 2 the middle one is missing, and the outer ones are still held against each other.
    assert breaks(rows, type="inequality", columns=["a", "b", "c"]) == [0, 2, 3]


def test_inequalities_of_several_types() -> None:
    rows = {
        "whole": pa.array([2**62 + 1, 3], pa.int64()),
        "exact": pa.array([Decimal("1.10"), Decimal("3.00")], pa.decimal128(9, 2)),
        "double": [1.1, np.nan],
        "small": pa.array([1, 2], pa.uint64()),
    }
    assert breaks(rows, type="inequality", columns=["whole", "exact"]) == [0]
    assert breaks(rows, type="inequality", columns=["double", "exact"], strict=True) == [0]
    assert breaks(rows, type="inequality", columns=["exact", "double"]) == []
    assert breaks(rows, type="inequality", columns=["small", "double"]) == []
    assert breaks(rows, type="inequality", columns=["double", "small"], strict=True) == [0]


def test_neighbouring_large_integers_are_told_apart() -> None:
    rows = {"a": [2**53 + 1], "b": [2**53]}
    assert breaks(rows, type="inequality", columns=["a", "b"]) == [0]


def test_ranges() -> None:
    rows = {
        "x": [0.0, 0.1, None, np.nan, 7.0],
        "day": [dt.date(2024, 1, d) for d in range(1, 6)],
        "money": pa.array([Decimal(i) / 10 for i in range(5)], pa.decimal128(5, 1)),
    }
    assert breaks(rows, type="range", column="x", min_value=0.1, max_value=6) == [0, 4]
    assert breaks(rows, type="range", column="day", max_value="2024-01-03") == [3, 4]
    assert breaks(rows, type="range", column="money", min_value=0.3) == [0, 1, 2]


def test_uniqueness_passes_over_missing_values() -> None:
    rows = {"a": [1, 1, None, None, 1, 2], "b": ["x", "y", "x", "x", "x", "x"]}
    assert breaks(rows, type="unique", columns=["a"]) == [1, 4]
    assert breaks(rows, type="unique", columns=["a", "b"]) == [4]
    assert breaks(rows, type="not_null", columns=["a", "b"]) == [2, 3]


def test_keys_are_the_same_in_every_batch() -> None:
    """Missing values beside them turn no integer into a float."""
    zero = Decimal("1.0")
    columns = {
        "large": ([2**60 + 1, 2**60], pa.int64()),
        "flag": ([True, False], pa.bool_()),
        "float": ([-0.0, 1.5], pa.float64()),
        "text": (["a", "b"], pa.string()),
        "money": ([zero, zero * 2], pa.decimal128(5, 1)),
        "at": ([dt.datetime(2024, 1, 1), dt.datetime(2025, 1, 1)], pa.timestamp("us")),  # noqa: DTZ001
        "day": ([dt.date(2024, 1, 1), dt.date(2025, 1, 1)], pa.date32()),
    }
    for name, (values, kind) in columns.items():
        alone, _ = row_keys(pa.table({name: pa.array(values, kind)}), [name])
        beside, whole = row_keys(pa.table({name: pa.array([*values, None], kind)}), [name])
        assert alone.tolist() == beside[:2].tolist(), name
        assert alone[0] != alone[1], name
        assert whole.tolist() == [True, True, False]
    plus, _ = row_keys(pa.table({"x": [0.0]}), ["x"])
    minus, _ = row_keys(pa.table({"x": [-0.0]}), ["x"])
    assert plus == minus


def test_formulas_allow_either_rounding_of_a_half() -> None:
    rows = {
        "p": [0.125, 0.125, 0.125, 1.0, None, 1.0],
        "t": [0.12, 0.13, 0.14, None, 9.0, 1.0],
    }
    assert breaks(rows, type="formula", column="t", formula="p", decimals=2) == [2]
    assert breaks(rows, type="formula", column="t", formula="p") == [0, 1, 2]
    whole = {"p": [1.4, 1.6], "t": [1, 1]}
    assert breaks(whole, type="formula", column="t", formula="p") == [1]
    exact = {"p": [1.004, 1.006], "t": pa.array([Decimal("1.00")] * 2, pa.decimal128(5, 2))}
    assert breaks(exact, type="formula", column="t", formula="p") == [1]
    assert breaks({"p": [0.0], "t": [3.0]}, type="formula", column="t", formula="1 / p") == []
    single = {"p": [0.1], "t": pa.array([0.3], pa.float32())}
    assert breaks(single, type="formula", column="t", formula="p * 3") == []


def test_combinations_are_counted_and_found_again() -> None:
    rows = pa.table({"a": ["x", "x", "y", None, None, "x"], "b": [1, 1, 1, 2, 2, None]})
    known = combinations(rows, ["a", "b"], 2)
    assert known.to_pylist() == [
        {"a": "x", "b": 1, "n_rows": 2},
        {"a": None, "b": 2, "n_rows": 2},
    ]
    assert places_among(rows, known, ["a", "b"]).tolist() == [0, 0, -1, 1, 1, -1]
    assert places_among(rows, known.slice(0, 0), ["a", "b"]).tolist() == [-1] * 6


@pytest.mark.parametrize("n_columns", [2, 5])
def test_many_values_have_room(n_columns: int) -> None:
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(n_columns)]
    rows = pa.table({name: rng.integers(0, 2**60, 3_000) for name in names})
    known = combinations(rows, names, 1)
    assert known.num_rows == 3_000
    order = rng.permutation(3_000)
    assert places_among(rows.take(pa.array(order)), known, names).tolist() == order.tolist()
    others = rows.set_column(n_columns - 1, names[-1], rows[names[-1]].take(pa.array(order)))
    strange = places_among(others, known, names)
    assert ((strange == -1) == (order != np.arange(3_000))).all()
