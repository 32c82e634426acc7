"""Rows of a table <-> tokens and ranks."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from scipy.special import ndtri

from tasks.encoding.base import Batches, Encoder
from tasks.encoding.columns.base import ColumnEncoder
from tasks.encoding.columns.categorical import CategoricalEncoder
from tasks.encoding.columns.identifier import IdentifierEncoder
from tasks.encoding.columns.numeric import NumericEncoder
from tasks.encoding.columns.units import is_measurable
from tasks.errors import DataError
from tasks.schema import Column, DatasetSchema, TableSchema, arrow_schema, arrow_type

MOMENT_ROWS = 100_000
"""Rows, evenly spaced, from which moments are taken at most."""

MAX_INDICATORS = 16
"""Tokens of a column up to which each counts in the linear part of what is learned about it."""

RANK_MARGIN = 1e-6
"""Ranks are kept so far from 0 and 1, so that their normal scores are finite."""

_ENCODERS: dict[str, type[ColumnEncoder]] = {
    "categorical": CategoricalEncoder,
    "identifier": IdentifierEncoder,
    "numeric": NumericEncoder,
}


class TabularEncoder(Encoder):
    """Rows of the main table as one token a column and one rank a continuous column.

    What a column loses by encoding is told by its encoder: `CategoricalEncoder` (rare values),
    `NumericEncoder` (interpolation, extremes), `IdentifierEncoder` (everything but the pattern).

    Tensors, with B rows, C columns and R columns that have a continuous part:
      - `tokens` (B, C) uint8, int16 or int32, whichever is wide enough: the value, or its kind.
      - `rank_low`, `rank_high` (B, R) float32 in [0, 1]: a cell's rank is anywhere between
        them; it has a meaning where the token is the column's `continuous_token`.

    Attributes:
        n_rows: training rows.
        columns: encoders of all columns, in the order of the schema.
        continuous: indices into `columns` of the R columns with a continuous part.
        indicated: indices into `columns` of those with 2 to `MAX_INDICATORS` tokens.
        moments: (F, F) float64, mean products over training rows of F features: the normal
            scores of the R continuous columns (the standard normal quantiles of the ranks; 0 where
            a cell is not continuous), then one indicator for each token of each indicated column.
    """

    def __init__(
        self,
        schema: DatasetSchema,
        n_rows: int,
        columns: list[ColumnEncoder],
        moments: np.ndarray,
    ) -> None:
        self.schema = schema
        self.n_rows = n_rows
        self.columns = columns
        self.moments = moments
        self.continuous = [
            i for i, column in enumerate(columns) if column.continuous_token is not None
        ]
        self.indicated = [
            i for i, column in enumerate(columns) if 2 <= column.n_tokens <= MAX_INDICATORS
        ]
        self.token_dtype = _narrowest(max(column.n_tokens for column in columns))

    @classmethod
    def fit(cls, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """Fit an encoder to each column, and the moments of all."""
        del rng
        table = pa.Table.from_batches(batches(), arrow_schema(schema.main))
        if table.num_rows < 2:
            raise DataError(f"expected two training rows at least, found {table.num_rows}")
        columns = [
            _encoder_class(schema.main, column).fit(column, _whole(table.column(column.name)))
            for column in schema.main.columns
        ]
        if all(column.n_tokens <= 1 and column.continuous_token is None for column in columns):
            raise DataError(
                f"expected a column of {schema.main.name!r} that varies and is no identifier, found"
                " none: there is nothing to learn"
            )
        return cls(schema, table.num_rows, columns, _moments(columns, table))

    def encode(self, batch: pa.RecordBatch) -> dict[str, torch.Tensor]:
        """Tokens and ranks of all columns."""
        encoded = [column.encode(batch.column(column.column.name)) for column in self.columns]
        lows = [cells.rank_low for cells in encoded if cells.rank_low is not None]
        highs = [cells.rank_high for cells in encoded if cells.rank_high is not None]
        tokens = np.stack([cells.tokens for cells in encoded], axis=1)
        return {
            "tokens": torch.from_numpy(tokens).to(self.token_dtype),
            "rank_low": _ranks(lows, batch.num_rows),
            "rank_high": _ranks(highs, batch.num_rows),
        }

    def encode_value(self, name: str, value: Any) -> tuple[int, float]:
        """Token and rank of one value of the column `name`, if it survives encoding.

        Raises:
            DataError: there is no such column, or decoding would not give the value back.
        """
        names = self.schema.main.column_names
        if name not in names:
            raise DataError(f"expected one of the columns {names}, found {name!r}")
        encoder = self.columns[names.index(name)]
        try:
            values = pa.array([value], arrow_type(encoder.column))
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, OverflowError) as error:
            raise DataError(
                f"column {name!r}: expected a value of type {encoder.column.type}, found {value!r}"
            ) from error
        cells = encoder.encode(values)
        rank = 0.5
        if cells.rank_low is not None and cells.rank_high is not None:
            rank = float(np.float32((cells.rank_low[0] + cells.rank_high[0]) / 2))
        again = encoder.decode(cells.tokens, np.array([rank]), np.random.default_rng(0), 0)
        if not again.equals(values):
            raise DataError(
                f"column {name!r} cannot be held at {value!r}; the nearest value that can be"
                f" is {again[0].as_py()!r}"
            )
        return int(cells.tokens[0]), rank

    def decode(
        self, encoded: Mapping[str, torch.Tensor], rng: np.random.Generator, first_row: int = 0
    ) -> pa.RecordBatch:
        """Rows of the main table."""
        tokens = encoded["tokens"].cpu().numpy().astype(np.int64)
        low, high = (encoded[name].cpu().double().numpy() for name in ("rank_low", "rank_high"))
        ranks = np.full(tokens.shape, 0.5)
        ranks[:, self.continuous] = (low + high) / 2
        arrays = [
            column.decode(tokens[:, i], ranks[:, i], rng, first_row)
            for i, column in enumerate(self.columns)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(self.schema.main))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        kinds = {encoder: name for name, encoder in _ENCODERS.items()}
        contents, arrays = [], {"moments": self.moments}
        for i, column in enumerate(self.columns):
            content, own = column.state()
            contents.append({"encoder": kinds[type(column)], **content})
            arrays |= {f"{i}.{name}": array for name, array in own.items()}
        return {"n_rows": self.n_rows, "columns": contents}, arrays

    @classmethod
    def from_state(
        cls, schema: DatasetSchema, content: dict[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
        columns = []
        for i, (column, own) in enumerate(
            zip(schema.main.columns, content["columns"], strict=True)
        ):
            prefix = f"{i}."
            parts = {
                name.removeprefix(prefix): array
                for name, array in arrays.items()
                if name.startswith(prefix)
            }
            columns.append(_ENCODERS[own["encoder"]].from_state(column, own, parts))
        return cls(schema, content["n_rows"], columns, arrays["moments"])


def _encoder_class(table: TableSchema, column: Column) -> type[ColumnEncoder]:
    kind = arrow_type(column)
    is_key = column.meaning == "identifier" or table.primary_key == (column.name,)
    if is_key and IdentifierEncoder.can_hold(kind):
        return IdentifierEncoder
    if column.meaning in ("numeric", "datetime", "geographic", "identifier") and is_measurable(
        kind
    ):
        return NumericEncoder
    return CategoricalEncoder


def _moments(columns: list[ColumnEncoder], table: pa.Table) -> np.ndarray:
    """Mean products of normal scores and indicators; see `TabularEncoder.moments`."""
    n_rows = min(table.num_rows, MOMENT_ROWS)
    table = table.take(pa.array(np.linspace(0, table.num_rows - 1, n_rows).astype(np.int64)))
    scores: list[np.ndarray] = []
    indicators: list[np.ndarray] = []
    for column in columns:
        is_indicated = 2 <= column.n_tokens <= MAX_INDICATORS
        if column.continuous_token is None and not is_indicated:
            continue
        cells = column.encode(_whole(table.column(column.column.name)))
        if cells.rank_low is not None and cells.rank_high is not None:
            ranks = np.clip((cells.rank_low + cells.rank_high) / 2, RANK_MARGIN, 1 - RANK_MARGIN)
            scores.append(np.where(cells.tokens == column.continuous_token, ndtri(ranks), 0.0))
        if is_indicated:
            indicators.extend((cells.tokens == np.arange(column.n_tokens)[:, None]).astype(float))
    rows = [*scores, *indicators]
    features = torch.from_numpy(np.stack(rows) if rows else np.empty((0, table.num_rows)))
    # By torch, whose number of threads is fixed: another number may change the last bit.
    return np.asarray((features @ features.T).numpy() / table.num_rows)


def _whole(values: pa.ChunkedArray) -> pa.Array:
    combined = values.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def _ranks(parts: list[np.ndarray], n_rows: int) -> torch.Tensor:
    stacked = np.stack(parts, axis=1) if parts else np.empty((n_rows, 0))
    return torch.from_numpy(stacked).to(torch.float32)


def _narrowest(n_tokens: int) -> torch.dtype:
    if n_tokens <= 2**8:
        return torch.uint8
    return torch.int16 if n_tokens <= 2**15 else torch.int32
