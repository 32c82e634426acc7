"""Made-up tables of any size: columns of mixed kinds, all correlated through hidden factors."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from tasks.schema import Column, DatasetSchema, TableSchema, arrow_schema
from tasks.seeding import rng_for

_CHUNK_ROWS = 50_000
_N_FACTORS = 4
_LEVELS = (3, 5, 8, 12, 20, 30, 40, 60)
_KINDS = ("numeric", "categorical") * 8 + ("datetime", "datetime", "boolean", "boolean")
"""Of every 20 columns; spread, so that any number of them is mixed."""


def schema_of(n_columns: int) -> DatasetSchema:
    """A table of mixed columns."""
    types = {
        "numeric": "double",
        "categorical": "string",
        "datetime": "timestamp[ms]",
        "boolean": "bool",
    }
    kinds = [_KINDS[(place * 7) % len(_KINDS)] for place in range(n_columns)]
    columns = tuple(
        Column(name=f"{kind}_{place}", type=types[kind], meaning=kind)
        for place, kind in enumerate(kinds)
    )
    return DatasetSchema(kind="tabular", tables=(TableSchema(name="rows", columns=columns),))


def rows_of(schema: DatasetSchema, n_rows: int) -> Iterator[pa.RecordBatch]:
    """Rows that share a few hidden factors, so that every column tells of the others."""
    columns = schema.main.columns
    weights = rng_for(0, "growth", "weights").normal(size=(_N_FACTORS, len(columns)))
    weights /= np.linalg.norm(weights, axis=0)
    types = arrow_schema(schema.main)
    for start in range(0, n_rows, _CHUNK_ROWS):
        rng = rng_for(0, "growth", "rows", start)
        n = min(_CHUNK_ROWS, n_rows - start)
        factors = rng.normal(size=(n, _N_FACTORS))
        hidden = 0.8 * factors @ weights + 0.6 * rng.normal(size=(n, len(columns)))
        arrays = [
            _values(column, place, hidden[:, place]).cast(types.field(place).type)
            for place, column in enumerate(columns)
        ]
        yield pa.record_batch(arrays, schema=types)


def _values(column: Column, place: int, hidden: np.ndarray) -> pa.Array:
    """Normal scores as values of a column: heavy tails, whole numbers, spikes, levels, days."""
    if column.meaning == "numeric":
        shapes = (
            lambda z: np.round(z, 4),
            lambda z: np.round(np.exp(2 + z), 2),
            lambda z: np.round(40 + 12 * z),
            lambda z: np.where(z < 0.5, 0.0, np.round(1000 * z)),
        )
        return pa.array(shapes[place % len(shapes)](hidden))
    if column.meaning == "categorical":
        n_levels = _LEVELS[place % len(_LEVELS)]
        share = np.clip(0.5 + hidden / 6, 0, 0.999) ** 2
        codes = (share * n_levels).astype(np.int32)
        names = pa.array([f"level {level}" for level in range(n_levels)])
        return names.take(pa.array(codes))
    if column.meaning == "datetime":
        return pa.array(1_600_000_000_000 + 86_400_000 * np.round(300 * hidden).astype(np.int64))
    return pa.array(hidden > 0.3)
