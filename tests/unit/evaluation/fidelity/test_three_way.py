"""Tables of three columns, worked out by hand."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.fidelity.jackknife import InMemory, whole
from tasks.evaluation.fidelity.three_way import distances, three_way_error, triples
from tests.columns import NAN, columns, shape_of
from tests.comparisons import compare, schema_of


def error(real: InMemory, other: InMemory) -> float:
    found = distances((whole(real), whole(other)), shape_of(real), [(0, 1, 2)])
    return float(found[0][0])


def test_parity_is_seen_by_three_columns_alone() -> None:
    # The third says whether the first two differ: any two of them are independent.
    real = columns([], [[0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0]])
    independent = columns([], [[0, 0, 1, 1] * 2, [0, 1, 0, 1] * 2, [0] * 4 + [1] * 4])
    assert error(real, real) == 0
    # Each of 8 cells has an eighth; 4 of them a quarter among the real rows.
    assert error(real, independent) == pytest.approx(50)


def test_numbers_are_compared_by_quantiles_of_the_real_ones() -> None:
    constant = [0] * 8
    real = columns([[1, 2, 3, 4, 5, 6, 7, 8]], [constant, constant])
    # All within the first of eight bins: seven eighths must move.
    assert error(real, columns([[-99, 1, 0.5, 1, 1, 1, 1, 1]], [constant] * 2)) == 87.5
    # Two missing values that were not there.
    assert error(real, columns([[NAN, NAN, 3, 4, 5, 6, 7, 8]], [constant] * 2)) == 25


def test_rare_and_new_categories_are_counted_together() -> None:
    many = [*range(10)] * 2
    real = columns([], [[0] * 20 + many, [0] * 40, [0] * 40])
    renamed = columns([], [[0] * 20 + [c if c < 8 else c + 50 for c in many], [0] * 40, [0] * 40])
    assert error(real, renamed) == 0


def test_triples_are_all_or_drawn() -> None:
    assert len(triples(13, np.random.default_rng(0))) == 286
    drawn = triples(1000, np.random.default_rng(0))
    assert 290 <= len(drawn) <= 300
    assert all(a < b < c for a, b, c in drawn)


def test_fewer_than_three_columns(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    data = compare(tmp_path, schema_of(table), table, table, table)
    with pytest.raises(NotApplicable, match="needs three columns to compare, found 2"):
        three_way_error(data)


def test_value_and_reference_have_intervals(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pa.table({"x": rng.normal(size=300), "y": rng.normal(size=300), "c": ["a", "b"] * 150})
    train, holdout, made = (table.slice(start, 100) for start in (0, 100, 200))
    data = compare(tmp_path, schema_of(table), train, holdout, made)
    found = three_way_error(data)
    assert found.reference is not None
    assert abs(found.value - found.reference) < 15
    assert found.interval is not None
    assert found.interval[0] < found.value < found.interval[1]
