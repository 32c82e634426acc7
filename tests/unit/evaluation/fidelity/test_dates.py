"""Weekdays, months, hours, exactness and gaps, worked out by hand."""

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.fidelity.dates import (
    _calendar,
    _exactness,
    calendar_error,
    time_gap_error,
    time_resolution_error,
)
from tests.comparisons import compare, schema_of


def seconds(*moments: str) -> np.ndarray:
    return np.array(moments, "datetime64[us]").astype(np.float64) / 1e6


def days(*dates: str) -> pa.Table:
    return pa.table({"day": pa.array([datetime.date.fromisoformat(one) for one in dates])})


def test_weekday_month_and_hour() -> None:
    # 2024-02-29 was a Thursday, 1969-12-31 a Wednesday.
    moments = [*seconds("2024-02-29T13:30", "1969-12-31T23:59"), np.nan]
    found = [cells.tolist() for cells, _ in _calendar(np.array(moments))]
    assert found == [[3, 2, -1], [1, 11, -1], [13, 23, -1]]


@pytest.mark.parametrize(
    ("moment", "degree"),
    [
        ("2024-01-01", 0),
        ("1950-03-01", 1),
        ("2024-03-02", 2),
        ("2024-03-02T05", 3),
        ("2024-03-02T05:30", 4),
        ("1950-03-02T05:30:10", 5),
        ("2024-03-02T05:30:10.125", 6),
        ("2024-03-02T05:30:10.125034", 7),
        ("NaT", -1),
    ],
)
def test_the_coarsest_unit_that_a_moment_starts(moment: str, degree: int) -> None:
    moments = np.array([np.nan]) if moment == "NaT" else seconds(moment)
    assert _exactness(moments)[0][0] == degree


def test_other_weekdays(tmp_path: Path) -> None:
    # Mondays and Tuesdays of one month; synthetic: Mondays only. Hours are all midnight.
    train = days("2024-07-01", "2024-07-02", "2024-07-08", "2024-07-09")
    made = days("2024-07-01", "2024-07-15", "2024-07-08", "2024-07-22")
    found = calendar_error(compare(tmp_path, schema_of(train), train, train, made))
    assert (found.value, found.reference) == (50.0, 0.0)


def test_dates_that_got_a_time(tmp_path: Path) -> None:
    noon = pa.array([datetime.datetime(2024, 3, d, 0) for d in (2, 3, 4, 5)])  # noqa: DTZ001
    odd = pa.array([datetime.datetime(2024, 3, d, 0, d % 2) for d in (2, 3, 4, 5)])  # noqa: DTZ001
    train, made = pa.table({"at": noon}), pa.table({"at": odd})
    found = time_resolution_error(compare(tmp_path, schema_of(train), train, train, made))
    assert (found.value, found.reference) == (50.0, 0.0)


def test_gaps_of_ordered_dates(tmp_path: Path) -> None:
    # Real: 1, 1 and 1 days apart. Synthetic: 0, 0 and 9.
    train = days("2024-03-04", "2024-03-01", "2024-03-03", "2024-03-02")
    made = days("2024-03-01", "2024-03-10", "2024-03-01", "2024-03-01")
    found = time_gap_error(compare(tmp_path, schema_of(train), train, train, made))
    assert found.value == pytest.approx(200 / 3)
    assert found.reference == 0


def test_tables_without_dates(tmp_path: Path) -> None:
    rows = pa.table({"x": [1.0], "span": pa.array([datetime.timedelta(1)])})
    data = compare(tmp_path / "a", schema_of(rows), rows, rows, rows)
    for metric in (calendar_error, time_resolution_error, time_gap_error):
        with pytest.raises(NotApplicable, match="there is no column of dates"):
            metric(data)
    empty = pa.table({"day": pa.nulls(3, pa.date32())})
    data = compare(tmp_path / "b", schema_of(empty), empty, empty, days("2024-01-01"))
    for metric in (calendar_error, time_resolution_error, time_gap_error):
        with pytest.raises(NotApplicable, match="no column of dates has a training value"):
            metric(data)
    one = days("2024-01-01")
    data = compare(tmp_path / "c", schema_of(one), one, one, empty)
    assert time_resolution_error(data).value == 100
    with pytest.raises(NotApplicable, match="share weekday, month and hour"):
        calendar_error(data)
    with pytest.raises(NotApplicable, match="two of them in each set"):
        time_gap_error(data)


def test_dates_of_any_age(tmp_path: Path) -> None:
    rows = pa.table({"day": pa.array([-(2**31), 2**31 - 1, 0], pa.int32()).cast(pa.date32())})
    data = compare(tmp_path, schema_of(rows), rows, rows, rows)
    for metric in (calendar_error, time_resolution_error, time_gap_error):
        assert metric(data).value == 0
