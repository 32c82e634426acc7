"""Categories, and what is suppressed."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.encoding.columns import categorical
from tasks.encoding.columns.categorical import SUPPRESSED, CategoricalEncoder
from tasks.errors import DataError
from tasks.schema import Column

RNG = np.random.default_rng(0)
UNREAD = np.empty(0)


def _fit(values: pa.Array, *, nullable: bool = True) -> CategoricalEncoder:
    column = Column(name="c", type=str(values.type), meaning="categorical", nullable=nullable)
    return CategoricalEncoder.fit(column, values)


def _back(encoder: CategoricalEncoder, values: pa.Array) -> pa.Array:
    return encoder.decode(encoder.encode(values).tokens, UNREAD, RNG, 0)


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["b", "a", None] * 5),
        pa.array([True, False, False]),
        pa.array([5, -5] * 5, pa.int16()),
        pa.array([0.1, 1e300] * 5),
        pa.array(["ß 漢 🙂", ""] * 5),
        pa.array([20_000, 20_001] * 5, pa.int32()).cast(pa.date32()),
        pa.array([1_700_000_000] * 5).cast(pa.timestamp("s", tz="UTC")),
        pa.nulls(4, pa.string()),
        pa.nulls(4, pa.null()),
    ],
    ids=lambda values: str(values.type),
)
def test_common_values_come_back(values: pa.Array) -> None:
    encoder = _fit(values)
    assert _back(encoder, values).equals(values)
    content, arrays = encoder.state()
    again = CategoricalEncoder.from_state(encoder.column, content, arrays)
    assert _back(again, values).equals(values)


def test_tokens_count_from_the_commonest_value() -> None:
    values = pa.array(["b", "a", "c", "b", "c", "b", None])
    often = pa.array(values.to_pylist() * 5)
    assert _fit(often).encode(values).tokens.tolist() == [0, 2, 1, 0, 1, 0, 3]


def test_rare_values_are_never_published() -> None:
    values = pa.array(["common"] * 900 + ["other"] * 95 + ["only once", "four"] + ["four"] * 3)
    encoder = _fit(values)
    assert encoder.n_tokens == 3
    back = _back(encoder, values).to_pylist()
    assert set(back) == {"common", "other"}
    assert back[:995] == values.to_pylist()[:995]


def test_unseen_values_count_as_rare_or_as_the_commonest() -> None:
    assert _fit(pa.array(["a"] * 5 + ["b"])).encode(pa.array(["?"])).tokens.tolist() == [1]
    assert _fit(pa.array(["a"] * 5)).encode(pa.array(["?", None])).tokens.tolist() == [0, 0]


def test_free_text_comes_out_empty() -> None:
    values = pa.array([f"my name is {i}" for i in range(50)] + [None])
    assert _back(_fit(values), values).to_pylist() == [SUPPRESSED] * 50 + [None]


def test_only_rare_numbers_become_missing_or_are_refused() -> None:
    values = pa.array(range(50))
    assert _back(_fit(values), values).null_count == 50
    with pytest.raises(DataError, match="no value fills enough rows"):
        _back(_fit(values, nullable=False), values)


def test_many_categories_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(categorical, "MAX_CATEGORIES", 3)
    encoder = _fit(pa.array([str(i) for i in range(9) for _ in range(9 - i)]))
    assert encoder.values.to_pylist() == ["0", "1", "2"]
    assert encoder.n_tokens == 4


@pytest.mark.parametrize("values", [[b"x"], [[1]], [{"a": 1}]], ids=["binary", "list", "struct"])
def test_types_without_a_text_form_are_refused(values: list[Any]) -> None:
    with pytest.raises(DataError, match=r"'c'.*clean\.drop_columns"):
        CategoricalEncoder.fit(Column(name="c", type="string", meaning="text"), pa.array(values))
