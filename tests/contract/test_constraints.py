"""Declared constraints hold in what every generator of tables draws."""

from functools import lru_cache

import numpy as np
import pyarrow as pa
import pytest
import torch
from pydantic import TypeAdapter

from tasks import registry
from tasks.constraints.check import broken
from tasks.constraints.declared import Constraint
from tasks.errors import TrainingError
from tasks.gates.constraints import examine_constraints
from tasks.params import TrainParams
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.seeding import derive_seed
from tasks.stages import sample
from tasks.training.device import reproducible
from tasks.training.loop import fit
from tasks.training.model import Model, generator_class
from tests.orders import orders

CPU = torch.device("cpu")
GENERATORS = registry.names("tasks.generators.tabular")
TABLE, ROWS = orders(2_000)


def _model(name: str, table: TableSchema, rows: pa.RecordBatch, epochs: int) -> Model:
    cls = generator_class("tabular", name)
    settings = TrainParams(epochs=epochs, threads=1, device="cpu")
    # A target that is not learned as it is must not confuse a generator that looks for it.
    target = "city" if "city" in table.column_names else None
    schema = DatasetSchema(kind="tabular", tables=(table,), target=target)
    fitted = fit(cls, cls.Params(), schema, lambda: iter([rows]), settings, seed=0)
    return Model(fitted.generator, fitted.encoder, rows.num_rows)


@lru_cache
def _of_orders(name: str) -> Model:
    return _model(name, TABLE, ROWS, epochs=1)


def _draw(model: Model, n_rows: int, n_workers: int = 1) -> pa.Table:
    with reproducible(CPU, threads=1):
        return pa.Table.from_batches(sample.draw(model, n_rows, 0, CPU, n_workers=n_workers))


def _check(rows: pa.Table, n_rows: int) -> None:
    assert rows.num_rows == n_rows
    rows.validate(full=True)
    for constraint in TABLE.constraints:
        assert not broken(constraint, rows).any(), constraint.words
    assert len(set(rows["order"].to_pylist())) == n_rows


@pytest.mark.parametrize("name", GENERATORS)
def test_no_row_breaks_a_constraint(name: str) -> None:
    rows = _draw(_of_orders(name), 2_000)
    _check(rows, 2_000)
    checks = examine_constraints(TABLE, rows, pa.Table.from_batches([ROWS])).checks
    assert {check.description: check.observed for check in checks if not check.passed} == {}


def test_no_row_of_twenty_thousand_breaks_a_constraint() -> None:
    _check(_draw(_of_orders("autoregressive"), 20_000), 20_000)


@pytest.mark.slow
def test_no_row_of_a_million_breaks_a_constraint() -> None:
    """Whose table is larger: a million different pairs of customer and day need room."""
    table, rows = orders(60_000)
    drawn = _draw(_model("autoregressive", table, rows, epochs=1), 1_000_000)
    _check(drawn, 1_000_000)


def test_rows_that_repeat_a_key_are_made_up_for_by_further_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever drew the chunks, they are looked at in their order: the rows are the same."""
    table, rows, n = _pairs(40)
    model = _model("autoregressive", table, rows, epochs=1)
    monkeypatch.setitem(sample.CHUNK_ROWS, "tabular", 256)
    drawn = _draw(model, n)
    assert drawn.num_rows == n
    assert drawn.equals(_draw(model, n, n_workers=8))
    assert len({*zip(drawn["student"].to_pylist(), drawn["course"].to_pylist(), strict=True)}) == n
    first = model.encoder.decode(
        model.generator.sample(256, torch.Generator().manual_seed(derive_seed(0, "sample", 0))),
        np.random.default_rng(0),
    )
    expected = list(dict.fromkeys(map(tuple, zip(*first.to_pydict().values(), strict=True))))
    found = list(zip(*drawn.slice(0, len(expected)).to_pydict().values(), strict=True))
    assert found == expected
    assert len(expected) < 256


def test_too_few_different_keys_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    table, rows, _ = _pairs(20)
    monkeypatch.setitem(sample.CHUNK_ROWS, "tabular", 256)
    with pytest.raises(TrainingError, match=r"\(student, course\) is unique; of .* drawn rows, "):
        _draw(_model("autoregressive", table, rows, epochs=1), 1_000)


def _pairs(n_students: int) -> tuple[TableSchema, pa.RecordBatch, int]:
    """Half of all pairs of students and courses; how many there are."""
    chosen = np.random.default_rng(0).permutation(n_students * 20)[: n_students * 10]
    unique = {"type": "unique", "columns": ["student", "course"]}
    table = TableSchema(
        name="t",
        columns=tuple(
            Column(name=n, type="int64", meaning="numeric") for n in ("student", "course")
        ),
    ).constrained([TypeAdapter(Constraint).validate_python(unique)])
    rows = pa.RecordBatch.from_pydict({"student": chosen // 20, "course": chosen % 20})
    return table, rows, len(chosen)
