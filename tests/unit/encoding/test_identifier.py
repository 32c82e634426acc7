"""Identifiers are made anew, in the pattern of the column."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.encoding.columns.identifier import IdentifierEncoder
from tasks.errors import DataError
from tasks.schema import Column


def _made(values: pa.Array, n: int, first_row: int = 0) -> list[object]:
    column = Column(name="id", type=str(values.type), meaning="identifier")
    fitted = IdentifierEncoder.fit(column, values)
    encoder = IdentifierEncoder.from_state(column, *fitted.state())
    rng = np.random.default_rng(0)
    made = encoder.decode(np.zeros(n, dtype=int), np.empty(0), rng, first_row)
    assert made.type == values.type
    return list(made.to_pylist())


@pytest.mark.parametrize(
    ("values", "made"),
    [
        (pa.array([901, 17]), [1, 2, 3]),
        (pa.array([901.0, 17.0]), [1.0, 2.0, 3.0]),
        (pa.array(["C-00417", "C-93025"]), ["C-00001", "C-00002", "C-00003"]),
        (pa.array(["gq", "zb", "kc", "xyz"]), ["ab", "ac", "ad"]),
        (pa.array([None, ""], pa.string()), ["1", "2", "3"]),
    ],
)
def test_they_count_in_the_pattern_of_the_column(values: pa.Array, made: list[object]) -> None:
    assert _made(values, 3) == made


def test_uuids_keep_their_form() -> None:
    values = pa.array([f"{0x1357BD * i:08x}-{7 * i:04x}" for i in range(900)])
    assert _made(values, 1) == ["00000000-0001"]


def test_they_differ_beyond_the_room_of_the_pattern_and_between_pieces() -> None:
    values = pa.array(["A1", "A2"])
    made = _made(values, 250) + _made(values, 250, first_row=250)
    assert len(set(made)) == 500
    assert made[:2] == ["A1", "A2"]


def test_a_type_too_narrow_for_the_rows_is_told() -> None:
    with pytest.raises(DataError, match="int8 has no room for row 300"):
        _made(pa.array([1], pa.int8()), 300)
