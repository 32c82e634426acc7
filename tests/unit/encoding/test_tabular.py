"""Whole rows to tensors and back."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from tasks.encoding import tabular
from tasks.encoding.columns.categorical import CategoricalEncoder
from tasks.encoding.columns.identifier import IdentifierEncoder
from tasks.encoding.columns.numeric import NumericEncoder
from tasks.encoding.tabular import TabularEncoder
from tasks.errors import DataError
from tasks.schema import Column, DatasetSchema, Meaning, TableSchema, arrow_schema
from tasks.storage import StoredRows, write_dataset

N = 200


def _dataset(
    columns: dict[str, tuple[pa.Array, Meaning]], **settings: Any
) -> tuple[DatasetSchema, pa.RecordBatch]:
    described = tuple(
        Column(name=name, type=str(values.type), meaning=meaning)
        for name, (values, meaning) in columns.items()
    )
    key = settings.pop("primary_key", ())
    table = TableSchema(name="t", columns=described, primary_key=key)
    schema = DatasetSchema(kind="tabular", tables=(table,), **settings)
    arrays = [values for values, _ in columns.values()]
    return schema, pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(table))


def _fit(schema: DatasetSchema, *batches: pa.RecordBatch) -> TabularEncoder:
    return TabularEncoder.fit(schema, lambda: iter(batches), np.random.default_rng(0))


@pytest.fixture
def people() -> tuple[DatasetSchema, pa.RecordBatch]:
    rng = np.random.default_rng(1)
    return _dataset(
        {
            "id": (pa.array(range(N)), "numeric"),
            'größe "cm" 🙂': (pa.array(np.round(rng.normal(170, 9, N), 1)), "numeric"),
            "sex": (pa.array(rng.choice(["f", "m"], N)), "categorical"),
            "price": (pa.array([Decimal(int(i)) / 4 for i in rng.integers(0, 9, N)]), "numeric"),
            "nothing": (pa.nulls(N, pa.float64()), "numeric"),
            "place": (pa.array(rng.normal(size=N)), "geographic"),
        },
        primary_key=("id",),
        target="sex",
    )


def test_rows_come_back(people: tuple[DatasetSchema, pa.RecordBatch]) -> None:
    schema, batch = people
    encoder = _fit(schema, batch)
    encoded = encoder.encode(batch)
    assert {name: (t.dtype, t.shape) for name, t in encoded.items()} == {
        "tokens": (torch.uint8, (N, 6)),
        "rank_low": (torch.float32, (N, 2)),
        "rank_high": (torch.float32, (N, 2)),
    }
    rows = encoder.decode(encoded, np.random.default_rng(0))
    assert rows.schema.equals(arrow_schema(schema.main))
    assert rows.column("id").to_pylist() == list(range(1, N + 1))
    for name in ("sex", "price", "nothing"):
        assert rows.column(name).equals(batch.column(name)), name
    for i, step in ((1, 0.2), (5, 0.5)):
        gap = np.abs(rows.column(i).to_numpy() - batch.column(i).to_numpy())
        assert np.quantile(gap, 0.95) < step


def test_each_meaning_has_its_encoder(people: tuple[DatasetSchema, pa.RecordBatch]) -> None:
    encoder = _fit(*people)
    assert [type(column) for column in encoder.columns] == [
        IdentifierEncoder,
        NumericEncoder,
        CategoricalEncoder,
        NumericEncoder,
        NumericEncoder,
        NumericEncoder,
    ]
    assert encoder.continuous == [1, 5]


def test_state_makes_the_same_encoder(people: tuple[DatasetSchema, pa.RecordBatch]) -> None:
    schema, batch = people
    encoder = _fit(schema, batch)
    content, arrays = encoder.state()
    again = TabularEncoder.from_state(schema, json.loads(json.dumps(content)), arrays)
    encoded = encoder.encode(batch)
    assert all(torch.equal(encoded[name], t) for name, t in again.encode(batch).items())
    one, other = (e.decode(encoded, np.random.default_rng(3)) for e in (encoder, again))
    assert one.equals(other)
    assert np.array_equal(again.moments, encoder.moments)


def test_batches_do_not_matter(people: tuple[DatasetSchema, pa.RecordBatch]) -> None:
    schema, batch = people
    whole, parts = _fit(schema, batch), _fit(schema, batch.slice(0, 7), batch.slice(7))
    assert whole.state()[0] == parts.state()[0]
    assert all(np.array_equal(a, parts.state()[1][n]) for n, a in whole.state()[1].items())


def test_moments_are_mean_products_of_scores_and_indicators() -> None:
    x = np.random.default_rng(0).normal(size=N)
    # Four values a step of the table of quantiles make the scores a little wider than normal.
    schema, batch = _dataset(
        {
            "x": (pa.array(x), "numeric"),
            "minus": (pa.array(-x), "numeric"),
            "half": (pa.array(np.arange(N) % 2 == 0), "boolean"),
        }
    )
    moments = _fit(schema, batch).moments
    assert moments.shape == (4, 4)
    assert moments[0, 1] == pytest.approx(-moments[0, 0], abs=1e-6)
    assert moments[0, 0] == pytest.approx(1, abs=0.2)
    assert moments[2:, 2:].tolist() == [[0.5, 0.0], [0.0, 0.5]]


def test_a_wide_vocabulary_needs_wider_tokens() -> None:
    values = pa.array([f"v{i % 300}" for i in range(1_500)])
    schema, batch = _dataset({"v": (values, "categorical")})
    assert _fit(schema, batch).encode(batch)["tokens"].dtype == torch.int16


def test_values_that_survive_can_be_held(people: tuple[DatasetSchema, pa.RecordBatch]) -> None:
    encoder = _fit(*people)
    tokens, _ = encoder.encode_values("sex", ["m", "f", "m"])
    assert tokens[0] == tokens[2] != tokens[1]
    assert encoder.encode_values("price", [Decimal("0.25")]) == (1, 0.5)
    assert encoder.encode_values("nothing", [None]) == (0, 0.5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sex", "x", "cannot be held at 'x'"),
        ("sex", 3, "expected values of type string"),
        ("sex", None, "cannot be held at missing"),
        ("size", 3, "expected one of the columns"),
        ("place", 99.0, "it was learned from about"),
        ("price", "cheap", "expected values of type decimal"),
    ],
)
def test_other_values_cannot_be_held(
    people: tuple[DatasetSchema, pa.RecordBatch], name: str, value: object, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        _fit(*people).encode_values(name, [value])


def test_too_few_rows_are_refused() -> None:
    schema, batch = _dataset({"x": (pa.array([1.0]), "numeric")})
    with pytest.raises(DataError, match="two training rows at least, found 1"):
        _fit(schema, batch)


def test_a_table_with_nothing_to_learn_is_refused() -> None:
    schema, batch = _dataset(
        {"id": (pa.array(range(9)), "identifier"), "c": (pa.array(["c"] * 9), "categorical")}
    )
    with pytest.raises(DataError, match="nothing to learn"):
        _fit(schema, batch)


def test_a_long_table_is_fitted_a_column_at_a_time(
    people: tuple[DatasetSchema, pa.RecordBatch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema, batch = people
    write_dataset(tmp_path, schema, {"t": [batch]})
    at_once = _fit(schema, batch)
    read: list[list[str] | None] = []

    class Watched(StoredRows):
        def __call__(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
            read.append(columns)
            return super().__call__(columns)

    monkeypatch.setattr(tabular, "FIT_CELLS", 2 * N)
    by_column = TabularEncoder.fit(schema, Watched(tmp_path, "t"), np.random.default_rng(0))
    names = schema.main.column_names
    assert read == [names[:2], names[2:4], names[4:], names]
    assert json.dumps(by_column.state()[0]) == json.dumps(at_once.state()[0])
    arrays = at_once.state()[1]
    assert all(np.array_equal(a, arrays[name]) for name, a in by_column.state()[1].items())


def test_moments_are_from_evenly_spaced_rows(
    people: tuple[DatasetSchema, pa.RecordBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    schema, batch = people
    monkeypatch.setattr(tabular, "MOMENT_ROWS", 3)
    # Rows 0, 99 and 199, wherever the batches are cut.
    whole = _fit(schema, batch)
    pieces = _fit(schema, batch.slice(0, 99), batch.slice(99, 1), batch.slice(100))
    assert np.array_equal(whole.moments, pieces.moments)
    chosen = batch.take(pa.array([0, 99, 199]))
    features = tabular._features(whole.columns, chosen)
    assert whole.moments == pytest.approx(features @ features.T / 3)
