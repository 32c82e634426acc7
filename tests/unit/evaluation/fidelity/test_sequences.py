"""Rows that share a key, and numbers that go on in time; worked out by hand."""

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.fidelity.sequences import (
    autocorrelation_error,
    entities,
    next_correlations,
    rows_per_key_error,
)
from tasks.schema import DatasetSchema, ForeignKey
from tests.comparisons import compare, schema_of

NAN = np.nan


def visits(n_patients: int, each: int, seed: int, keep: float) -> pa.Table:
    """Patients with some visits each, whose level goes on from visit to visit as far as `keep`."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(n_patients):
        level = rng.normal()
        for day in range(each):
            rows.append((f"P{patient}", datetime.date(2024, 1, 1 + day), level))
            level = keep * level + rng.normal() * (1 - keep**2) ** 0.5
    order = rng.permutation(len(rows))
    names, days, levels = zip(*(rows[i] for i in order), strict=True)
    return pa.table({"patient": names, "day": pa.array(days, pa.date32()), "level": levels})


def patients_of(rows: pa.Table) -> DatasetSchema:
    return schema_of(rows, meanings={"patient": "identifier"})


def test_rows_per_key(tmp_path: Path) -> None:
    train, made = visits(50, 3, 0, 0.9), visits(150, 1, 1, 0.9)
    data = compare(tmp_path, patients_of(train), train, visits(20, 3, 2, 0.9), made)
    assert entities(data) == ["patient"]
    found = rows_per_key_error(data)
    assert (found.value, found.reference) == (100.0, 0.0)


def test_the_level_goes_on_from_visit_to_visit(tmp_path: Path) -> None:
    train, holdout = visits(200, 8, 0, 0.9), visits(150, 8, 1, 0.9)
    schema = patients_of(train)
    same = autocorrelation_error(
        compare(tmp_path / "a", schema, train, holdout, visits(200, 8, 2, 0.9))
    )
    assert same.value < 3
    assert same.reference is not None
    assert same.reference < 3
    lost = autocorrelation_error(
        compare(tmp_path / "b", schema, train, holdout, visits(200, 8, 2, 0.0))
    )
    assert lost.value == pytest.approx(45, abs=4)
    assert lost.interval is not None
    assert lost.interval[1] - lost.interval[0] < 8
    alone = autocorrelation_error(
        compare(tmp_path / "c", schema, train, holdout, visits(400, 1, 2, 0.9))
    )
    assert alone.value == pytest.approx(45, abs=4)


def test_pairs_of_one_key_in_the_order_of_time() -> None:
    # Key 0 reads 1, 2, 3 in time, key 1 reads 5, 4; pairs (1, 2), (2, 3), (5, 4), ten times over.
    numbers = np.array([[3.0], [1.0], [2.0], [4.0], [5.0], [99.0], [98.0]])
    key, time = np.array([0, 0, 0, 1, 1, -1, 1]), np.array([3.0, 1, 2, 9, 8, 1, NAN])
    many = [np.concatenate([one + 2 * i * (one >= 0) for i in range(10)]) for one in (key,)]
    found = next_correlations(np.tile(numbers, (10, 1)), many[0], np.tile(time, 10), 20)
    assert found.shape == (21, 1)
    assert found[0, 0] == pytest.approx(np.corrcoef([1, 2, 5], [2, 3, 4])[0, 1])
    few = next_correlations(numbers, key, time, 20)
    assert np.isnan(few).all()


def test_children_of_each_parent(tmp_path: Path) -> None:
    # One table that refers to itself. Real: two rows under one, two alone at the bottom and one
    # below the other; synthetic: everyone under the first.
    link = ForeignKey(columns=("boss",), references="rows", referenced_columns=("id",))
    train = pa.table({"id": [1, 2, 3, 4], "boss": [None, 1, 1, 3], "x": [1.0] * 4})
    made = pa.table({"id": [1, 2, 3, 4], "boss": [None, 1, 1, 1], "x": [1.0] * 4})
    schema = schema_of(train, meanings={"id": "identifier", "boss": "identifier"})
    table = schema.main.model_copy(update={"foreign_keys": (link,)})
    schema = schema.model_copy(update={"tables": (table,)})
    found = rows_per_key_error(compare(tmp_path, schema, train, train, made))
    # Real 2, 1, 0, 0 children; synthetic 3, 0, 0, 0: at 0 one half against three quarters.
    assert (found.value, found.reference) == (25.0, 0.0)


def test_tables_without_sequences(tmp_path: Path) -> None:
    rows = pa.table({"x": [1.0, 2.0]})
    data = compare(tmp_path / "a", schema_of(rows), rows, rows, rows)
    with pytest.raises(NotApplicable, match="no key that several rows share"):
        rows_per_key_error(data)
    with pytest.raises(NotApplicable, match="a column of dates and one of numbers"):
        autocorrelation_error(data)
    alone = visits(10, 1, 0, 0.9)
    data = compare(tmp_path / "b", patients_of(alone), alone, alone, alone)
    with pytest.raises(NotApplicable, match="no key that several rows share"):
        autocorrelation_error(data)
    few = visits(5, 3, 0, 0.9)
    data = compare(tmp_path / "c", patients_of(few), few, few, few)
    with pytest.raises(NotApplicable, match="no number varies in 20 training rows"):
        autocorrelation_error(data)
