"""The last look at drawn rows."""

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from tasks.constraints.declared import Constraint
from tasks.encoding.constraints.admission import Admission
from tasks.schema import Column, TableSchema

TABLE = TableSchema(
    name="t",
    columns=(
        Column(name="id", type="int64", meaning="identifier", nullable=False),
        Column(name="a", type="int64", meaning="numeric"),
        Column(name="b", type="int64", meaning="numeric"),
    ),
)
UNIQUE, ORDERED = TypeAdapter(list[Constraint]).validate_python(
    [
        {"type": "unique", "columns": ["a", "b"]},
        {"type": "inequality", "columns": ["a", "b"]},
    ]
)


def _batch(*rows: tuple[int | None, int | None], first: int = 1) -> pa.RecordBatch:
    a, b = zip(*rows, strict=True)
    ids = range(first, first + len(rows))
    return pa.RecordBatch.from_pydict(
        {"id": pa.array(ids), "a": pa.array(a, pa.int64()), "b": pa.array(b, pa.int64())}
    )


def _ids(batch: pa.RecordBatch) -> list[int]:
    return list(batch["id"].to_pylist())


def test_a_combination_never_repeats_within_batches_or_across() -> None:
    admission = Admission(TABLE.constrained([UNIQUE]))
    assert _ids(admission.admit(_batch((1, 1), (1, 2), (1, 1), (None, 1)))) == [1, 2, 4]
    assert _ids(admission.admit(_batch((1, 2), (2, 2), (None, 1), (2, 2)))) == [2, 3]
    assert admission.n_left_out == 3


def test_a_row_that_is_left_out_keeps_no_other_out() -> None:
    table = TABLE.constrained([ORDERED, TypeAdapter(Constraint).validate_python(
        {"type": "unique", "columns": ["a"]}
    )])  # fmt: skip
    admission = Admission(table)
    assert _ids(admission.admit(_batch((1, 0), (1, 1), (1, 2)))) == [2]


def test_columns_that_may_not_be_missing_are_not() -> None:
    table = TABLE.constrained([ORDERED]).model_copy(
        update={"columns": tuple(c.model_copy(update={"nullable": False}) for c in TABLE.columns)}
    )
    assert _ids(Admission(table).admit(_batch((None, 1), (0, 1), (0, None)))) == [2]


def test_a_primary_key_of_measured_columns_is_kept() -> None:
    table = TABLE.model_copy(update={"primary_key": ("a", "b")})
    admission = Admission(table)
    assert _ids(admission.admit(_batch((1, 1), (1, 1)))) == [1]
    assert admission.words == "a, b is the primary key"
    assert _ids(Admission(table, frozenset({"a"})).admit(_batch((1, 1), (1, 1)))) == [1, 2]


def test_a_million_keys_are_told_apart() -> None:
    admission = Admission(TABLE.constrained([UNIQUE]))
    keys = np.random.default_rng(0).permutation(100_000)
    for part in np.split(np.concatenate([keys, keys[::-1]]), 50):
        admission.admit(
            pa.RecordBatch.from_pydict({"id": part, "a": part // 1_000, "b": part % 1_000})
        )
    assert admission.n_left_out == 100_000
