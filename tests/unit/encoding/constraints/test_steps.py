"""Steps by hand, and against anything that a generator might draw."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pydantic import TypeAdapter

from tasks.constraints.check import broken
from tasks.constraints.declared import Constraint
from tasks.encoding.constraints.plan import Reparametrisation
from tasks.encoding.tabular import TabularEncoder
from tasks.errors import DataError
from tasks.schema import Column, DatasetSchema, TableSchema, arrow_schema
from tests.orders import orders

N = 400


def _table(columns: dict[str, pa.Array], *contents: dict[str, Any]) -> tuple[TableSchema, Any]:
    described = tuple(
        Column(
            name=name,
            type=str(values.type),
            meaning="categorical" if pa.types.is_string(values.type) else "numeric",
            nullable=values.null_count > 0,
        )
        for name, values in columns.items()
    )
    table = TableSchema(name="t", columns=described)
    constraints = TypeAdapter(list[Constraint]).validate_python(list(contents))
    batch = pa.RecordBatch.from_arrays(list(columns.values()), schema=arrow_schema(table))
    return table.constrained(constraints), batch


def _plan(table: TableSchema, batch: pa.RecordBatch) -> Reparametrisation:
    return Reparametrisation.fit(table, lambda: iter([batch]))


def _learned(plan: Reparametrisation, batch: pa.RecordBatch) -> dict[str, list[Any]]:
    return plan.encode(batch).to_pydict()


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _anything(table: TableSchema, batch: pa.RecordBatch, n_rows: int = 5_000) -> pa.RecordBatch:
    """Rows decoded from random tokens and ranks: the worst of all generators."""
    schema = DatasetSchema(kind="tabular", tables=(table,))
    encoder = TabularEncoder.fit(schema, lambda: iter([batch]), _rng())
    rng = _rng()
    tokens = [rng.integers(0, max(c.n_tokens, 1), n_rows) for c in encoder.columns]
    ranks = torch.from_numpy(rng.random((n_rows, len(encoder.continuous)))).float()
    return encoder.decode(
        {
            "tokens": torch.from_numpy(np.stack(tokens, axis=1)).to(encoder.token_dtype),
            "rank_low": ranks,
            "rank_high": ranks,
        },
        rng,
    )


def test_a_chain_with_missing_values() -> None:
    table, batch = _table(
        {
            "a": pa.array([1, 1, None, None, 2]),
            "b": pa.array([3, None, 5, None, 2]),
            "c": pa.array([4, 7, 9, 6, None]),
        },
        {"type": "inequality", "columns": ["a", "b", "c"]},
    )
    plan = _plan(table, batch)
    learned = _learned(plan, batch)
    assert learned == {
        "a": [1, 1, None, None, 2],
        "b above a": [2, None, None, None, 0],
        "b without a": [None, None, 5, None, None],
        "c above a, b": [1, 6, 4, None, None],
        "c without a, b": [None, None, None, 6, None],
    }
    assert plan.decode(plan.encode(batch), _rng()).equals(batch)
    assert plan.learned_as_is == {"a"}
    (alone,) = plan.select(lambda: iter([batch]), ["c above a, b"])
    assert alone.to_pydict() == {"c above a, b": learned["c above a, b"]}


def test_a_gap_ends_on_the_columns_own_scale() -> None:
    """Quarters of an hour above any minute: 10:07 leads to 10:15 at least."""
    start = [dt.datetime(2024, 1, 1, 10, m) for m in (0, 7, 16)]  # noqa: DTZ001
    end = [dt.datetime(2024, 1, 1, 10, m) for m in (0, 15, 45)]  # noqa: DTZ001
    table, batch = _table(
        {"start": pa.array(start), "end": pa.array(end)},
        {"type": "inequality", "columns": ["start", "end"]},
    )
    plan = _plan(table, batch)
    gaps = _learned(plan, batch)["end above start"]
    assert [gap / 60e6 for gap in gaps] == [0, 0, 15]


def test_a_column_above_two_others() -> None:
    table, batch = _table(
        {"a": pa.array([1, 5, 1]), "b": pa.array([4, 2, 1]), "top": pa.array([4, 6, 9])},
        {"type": "inequality", "columns": ["a", "top"]},
        {"type": "inequality", "columns": ["b", "top"]},
    )
    assert _learned(_plan(table, batch), batch)["top above a, b"] == [0, 1, 8]


def test_formulas_of_formulas_and_gaps_are_made_in_order() -> None:
    table, batch = _table(
        {
            "gross": pa.array([3.6, 1.2]),
            "tax": pa.array([0.6, 0.2]),
            "net": pa.array([3.0, 1.0]),
            "paid": pa.array([4.0, 1.2]),
        },
        {"type": "inequality", "columns": ["gross", "paid"]},
        {"type": "formula", "column": "gross", "formula": "net + tax", "decimals": 1},
        {"type": "formula", "column": "tax", "formula": "net * 0.2", "decimals": 1},
    )
    plan = _plan(table, batch)
    assert plan.learned.column_names == ["net", "paid above gross"]
    assert plan.decode(plan.encode(batch), _rng()).equals(batch)


def test_what_a_formula_does_not_tell_is_learned() -> None:
    table, batch = _table(
        {"x": pa.array([1, 2, None, 3, 0]), "y": pa.array([12, 6, 7, None, 5])},
        {"type": "formula", "column": "y", "formula": "12 / x"},
    )
    plan = _plan(table, batch)
    assert _learned(plan, batch) == {
        "x": [1, 2, None, 3, 0],
        "y without 12 / x": [None, None, 7, None, 5],
        "y is missing": [False, False, False, True, False],
    }
    assert plan.decode(plan.encode(batch), _rng()).equals(batch)


def test_rare_combinations_are_not_published() -> None:
    city, country = ["x"] * 6 + ["y"] * 5 + ["x"], ["1"] * 6 + [None] * 5 + ["2"]
    table, batch = _table(
        {"city": pa.array(city), "country": pa.array(country)},
        {"type": "fixed_combinations", "columns": ["city", "country"]},
    )
    plan = _plan(table, batch)
    assert _learned(plan, batch)["city + country"] == [0] * 6 + [1] * 5 + [None]
    decoded = plan.decode(plan.encode(batch), _rng())
    assert decoded.slice(0, 11).equals(batch.slice(0, 11))
    assert decoded.to_pylist()[11] in batch.to_pylist()[:11]
    with pytest.raises(DataError, match="expected a combination that fills 5 rows"):
        _plan(table, batch.slice(2, 4))


def test_unique_texts_are_made_anew() -> None:
    table, batch = _table(
        {"key": pa.array([f"K{i:03}" for i in range(50)]), "x": pa.array(range(50))},
        {"type": "unique", "columns": ["key"]},
    )
    rows = _anything(table, batch)
    assert len(set(rows["key"].to_pylist())) == rows.num_rows


def test_training_rows_that_break_a_constraint_are_counted() -> None:
    table, batch = _table(
        {"a": pa.array([1, 2, 3]), "b": pa.array([1, 1, 1])},
        {"type": "inequality", "columns": ["a", "b"]},
    )
    with pytest.raises(DataError, match=r"2 of 3 training rows of 't' break .* 'a <= b'"):
        _plan(table, batch)


def test_values_too_large_to_subtract_are_refused() -> None:
    table, batch = _table(
        {"a": pa.array([-(2**63), 0]), "b": pa.array([2**63 - 1, 1])},
        {"type": "inequality", "columns": ["a", "b"]},
    )
    with pytest.raises(DataError, match="expected values below 2"):
        _plan(table, batch)


def test_a_plan_survives_json() -> None:
    table, batch = orders(N)
    plan = _plan(table, batch)
    again = Reparametrisation.from_state(table, json.loads(json.dumps(plan.state())))
    learned = plan.encode(batch)
    assert again.encode(batch).equals(learned)
    assert again.decode(learned, _rng()).equals(plan.decode(learned, _rng()))


def test_a_bound_column_cannot_be_held() -> None:
    table, batch = orders(N)
    schema = DatasetSchema(kind="tabular", tables=(table,))
    encoder = TabularEncoder.fit(schema, lambda: iter([batch]), _rng())
    with pytest.raises(DataError, match="column 'total' is bound to price, quantity by a constr"):
        encoder.encode_values("total", [9.0])
    with pytest.raises(DataError, match="column 'city' is bound to country by a constraint"):
        encoder.encode_values("city", ["Roma"])
    with pytest.raises(DataError, match="expected one of the columns"):
        encoder.encode_values("city + country", [0])
    assert encoder.encode_values("quantity", [2])[0][0] >= 0


def _low() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 50, N)


def _up() -> np.ndarray:
    return np.random.default_rng(2).exponential(3, N)


def _decimals(numbers: np.ndarray, kind: pa.DataType) -> pa.Array:
    return pa.array([Decimal(f"{x:.{kind.scale}f}") for x in numbers], kind)


def _rounded_up(numbers: np.ndarray, decimals: int) -> np.ndarray:
    return np.ceil(numbers * 10**decimals + 1) / 10**decimals


MICROSECONDS = 1e6 * 86_400
PAIRS = {
    "integers": lambda: (
        pa.array(np.floor(_low()).astype(np.int64)),
        pa.array(np.ceil(_low() + _up() + 1).astype(np.int64)),
    ),
    "large integers": lambda: (
        pa.array(np.floor(_low()).astype(np.int64) + 2**60),
        pa.array(np.ceil(_low() + _up() + 1).astype(np.int64) + 2**60),
    ),
    "small integers": lambda: (
        pa.array(np.floor(_low() / 3).clip(-90, 90).astype(np.int8)),
        pa.array(np.full(N, 127), pa.int8()),
    ),
    "unsigned": lambda: (
        pa.array(np.floor(_low() + 300).astype(np.uint64)),
        pa.array(np.ceil(_low() + 301 + _up()).astype(np.uint32)),
    ),
    "one decimal": lambda: (
        pa.array(np.round(_low(), 1)),
        pa.array(_rounded_up(_low() + _up(), 1)),
    ),
    "other decimals": lambda: (
        pa.array(np.round(_low(), 3)),
        pa.array(_rounded_up(_low() + _up(), 1)),
    ),
    "floats": lambda: (pa.array(_low()), pa.array(_low() + _up())),
    "singles": lambda: (
        pa.array(_low().astype(np.float32)),
        pa.array((_low() + _up() + 1e-3).astype(np.float32)),
    ),
    "a float below integers": lambda: (
        pa.array(_low()),
        pa.array(np.ceil(_low() + _up() + 1).astype(np.int32)),
    ),
    "integers below a float": lambda: (
        pa.array(np.floor(_low()).astype(np.int64)),
        pa.array(_low() + _up()),
    ),
    "exact decimals": lambda: (
        _decimals(_low(), pa.decimal128(12, 4)),
        _decimals(_low() + _up() + 1, pa.decimal128(9, 2)),
    ),
    "a decimal below a float": lambda: (
        _decimals(_low(), pa.decimal128(12, 4)),
        pa.array(_low() + _up() + 1),
    ),
    "dates": lambda: (
        pa.array(np.floor(_low() + 19_000).astype(np.int32), pa.int32()).cast(pa.date32()),
        pa.array(np.ceil(_low() + 19_001 + _up()).astype(np.int32), pa.int32()).cast(pa.date32()),
    ),
    "zoned times": lambda: (
        pa.array((_low() * MICROSECONDS).astype(np.int64), pa.timestamp("us", tz="Europe/Berlin")),
        pa.array(
            ((_low() + _up()) * MICROSECONDS).astype(np.int64) + 1,
            pa.timestamp("us", tz="Europe/Berlin"),
        ),
    ),
}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_no_type_breaks_an_inequality(name: str, strict: bool) -> None:
    low, high = PAIRS[name]()
    table, batch = _table(
        {"low": low, "high": high},
        {"type": "inequality", "columns": ["low", "high"], "strict": strict},
    )
    plan = _plan(table, batch)
    decoded = plan.decode(plan.encode(batch), _rng())
    if pa.types.is_floating(high.type):
        np.testing.assert_allclose(decoded["high"].to_numpy(), high.to_numpy(), rtol=1e-6)
    else:
        assert decoded["high"].equals(high)
    rows = _anything(table, batch)
    rows.validate(full=True)
    assert not broken(table.constraints[0], rows).any()


def test_nothing_that_can_be_drawn_breaks_the_orders() -> None:
    table, batch = orders(2_000)
    rows = _anything(table, batch, 20_000)
    for constraint in table.constraints:
        if constraint.type not in ("unique", "fixed_combinations"):
            assert broken(constraint, rows).sum() == 0, constraint.words
    pairs = {(row["city"], row["country"]) for row in batch.select(["city", "country"]).to_pylist()}
    assert set(zip(rows["city"].to_pylist(), rows["country"].to_pylist(), strict=True)) <= pairs
    missing = {name: rows[name].null_count > 0 for name in rows.schema.names}
    assert missing == {name: batch[name].null_count > 0 for name in batch.schema.names}
    # Cents stay cents.
    for name in ("cost", "price", "total"):
        cents = rows[name].drop_null().to_numpy() * 100
        np.testing.assert_allclose(cents, np.rint(cents), atol=1e-6)
