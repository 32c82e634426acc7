"""Values of every measurable type survive as keys."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from tasks.encoding.columns.units import Units, is_measurable
from tasks.errors import DataError

ROUND_TRIPS = {
    "extreme int64": pa.array([-(2**63), 2**63 - 1, 0, 2**63 - 2]),
    "uint64": pa.array([0, 2**64 - 1, 2**64 - 2], pa.uint64()),
    "int8": pa.array([-128, 127, 3], pa.int8()),
    "hundreds": pa.array([1300, 100, 500]),
    "decimals": pa.array([0.1, 0.25, -3.0]),
    "no fixed decimals": pa.array([np.pi, -1e300, 1e-300]),
    "float32": pa.array([0.1, 2.5, -7.3], pa.float32()),
    "decimal128": pa.array([Decimal("1.10"), Decimal("-20.05")], pa.decimal128(12, 2)),
    "date32": pa.array([dt.date(1960, 2, 29), dt.date(2024, 1, 1)]),
    "nanoseconds": pa.array([1_700_000_000_000_000_001, 1_700_000_000_000_000_003]).cast(
        pa.timestamp("ns")
    ),
    "zone": pa.array([1_700_000_000_000]).cast(pa.timestamp("ms", tz="Europe/Berlin")),
    "time": pa.array([dt.time(23, 59, 58)], pa.time32("s")),
    "duration": pa.array([5, 10]).cast(pa.duration("s")),
}


@pytest.mark.parametrize("values", ROUND_TRIPS.values(), ids=ROUND_TRIPS.keys())
def test_keys_are_exact(values: pa.Array) -> None:
    assert is_measurable(values.type)
    units = Units.fit(values)
    again = Units(units.kind, **units.state())
    assert again.values(units.keys(values), np.zeros(len(values), bool)).equals(values)


def test_keys_count_steps_from_the_smallest_value() -> None:
    units = Units.fit(pa.array([1300, 100, 500]))
    assert (units.origin, units.step) == (100, 400)
    assert units.keys(pa.array([1300, 100, 500])).tolist() == [3, 0, 1]


def test_keys_of_floats_count_their_decimals() -> None:
    units = Units.fit(pa.array([0.5, 0.25, 1.0]))
    assert (units.decimals, units.origin, units.step) == (2, 25, 25)
    assert units.keys(pa.array([1.0, 0.25])).tolist() == [3, 0]


def test_values_that_fit_did_not_see_stay_in_range() -> None:
    units = Units.fit(pa.array([10, 20]))
    assert units.keys(pa.array([-5, 17])).tolist() == [0, 0]


def test_decimals_of_more_than_18_digits_are_refused() -> None:
    values = pa.array([Decimal(10) ** 25], pa.decimal128(30, 0))
    with pytest.raises(DataError, match="cast it to double"):
        Units.fit(values)
