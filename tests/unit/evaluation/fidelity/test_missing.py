"""Shares and patterns of missing values, worked out by hand."""

from pathlib import Path

import pyarrow as pa
import pytest

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.fidelity.missing import missing_error, missing_pattern_error
from tests.comparisons import compare, schema_of


def table(x: list[float | None], c: list[str | None], y: list[float | None]) -> pa.Table:
    numbers = [pa.array(values, pa.float64()) for values in (x, y)]
    return pa.table({"x": numbers[0], "c": pa.array(c, pa.string()), "y": numbers[1]})


COMPLETE = table([1, 2, 3, 4], ["a", "b", "a", "b"], [1, 2, 3, 4])
TOGETHER = table([None, None, 3, 4], [None, None, "a", "b"], [1, 2, 3, 4])
APART = table([None, None, 3, 4], ["a", "b", None, None], [1, 2, 3, 4])


def test_the_mean_is_over_columns_in_which_something_is_missing(tmp_path: Path) -> None:
    # x and c miss half of their values in the real rows, none in the synthetic ones; y never does.
    data = compare(tmp_path, schema_of(TOGETHER), TOGETHER, APART, COMPLETE)
    found = missing_error(data)
    assert (found.value, found.reference) == (50.0, 0.0)
    assert found.interval == (50.0, 50.0)


def test_patterns_see_what_is_missing_together(tmp_path: Path) -> None:
    # Real: half of the rows miss x and c, half nothing. Synthetic: half miss x, half miss c.
    data = compare(tmp_path, schema_of(TOGETHER), TOGETHER, TOGETHER, APART)
    assert missing_error(data).value == 0.0
    found = missing_pattern_error(data)
    assert (found.value, found.reference) == (100.0, 0.0)


def test_nothing_missing(tmp_path: Path) -> None:
    data = compare(tmp_path, schema_of(COMPLETE), COMPLETE, COMPLETE, COMPLETE)
    for metric in (missing_error, missing_pattern_error):
        with pytest.raises(NotApplicable, match="no value is missing"):
            metric(data)


def test_one_incomplete_column_has_no_patterns(tmp_path: Path) -> None:
    rows = table([None, 2, 3, 4], ["a", "b", "a", "b"], [1, 2, 3, 4])
    data = compare(tmp_path, schema_of(rows), rows, rows, rows)
    with pytest.raises(NotApplicable, match="in one column only"):
        missing_pattern_error(data)
