"""Scales by hand, and back."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import DataError, ParamsError
from tests.cleaned import clean


@pytest.mark.parametrize(
    ("method", "values", "expected"),
    [
        ("standard", pa.array([2, 4, 4, 4, 5, 5, 7, 9]), [-1.5, -0.5, -0.5, -0.5, 0, 0, 1, 2]),
        ("standard", pa.array([3.0, None, 3.0]), [0, None, 0]),
        ("minmax", pa.array([Decimal("1.5"), Decimal("3.5"), Decimal("2.0")]), [0, 1, 0.25]),
        ("robust", pa.array([1, 2, 3, 4, 105]), [-1, -0.5, 0, 0.5, 51]),
        ("log", pa.array([1.0, None, np.e]), [0, None, 1]),
        ("log1p", pa.array([0, 1]), [0, np.log(2)]),
        ("standard", pa.nulls(2, pa.int64()), [None, None]),
    ],
)
@pytest.mark.parametrize("cut", [(1,), (3,)])
def test_scales(method, values, expected, cut):
    found = clean({"x": values}, {"scale": {"x": method}}, cut=cut)
    assert found.schema.main.column("x").type == "double"
    assert found.values("x") == expected
    fitted = found.effects["scale"]["learned"]["x"]
    assert fitted["method"] == method
    if "center" in fitted:
        back = [v if v is None else v * fitted["spread"] + fitted["center"] for v in expected]
        assert back == pytest.approx([v if v is None else float(v) for v in values.to_pylist()])


@pytest.mark.parametrize(("method", "value"), [("log", 0), ("log", -1), ("log1p", -1)])
def test_logarithms_are_of_numbers_that_have_one(method, value):
    with pytest.raises(DataError, match=rf"numbers above .* in 'x' of 't' .* found {value}.0"):
        clean({"x": [1, value]}, {"scale": {"x": method}})


def test_numbers_too_far_apart_have_no_scale():
    with pytest.raises(DataError, match="'x' of 't' are further apart than doubles reach"):
        clean({"x": [-1.7e308, 1.7e308]}, {"scale": {"x": "minmax"}})
    with pytest.raises(DataError, match="further apart than doubles reach"):
        clean({"x": [0.0, 5e-324, 1e-323, 1e-323, 1e300]}, {"scale": {"x": "robust"}})


def test_texts_have_no_scale():
    with pytest.raises(ParamsError, match="'x' of 't' is of type string, expected numbers"):
        clean({"x": ["a"]}, {"scale": {"x": "standard"}})
