"""Rows of a table <-> tokens and ranks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from scipy.special import ndtri

from tasks.encoding.base import Batches, Encoder, count
from tasks.encoding.columns.base import RANK_MARGIN, ColumnEncoder
from tasks.encoding.columns.categorical import CategoricalEncoder
from tasks.encoding.columns.identifier import IdentifierEncoder
from tasks.encoding.columns.numeric import NumericEncoder
from tasks.encoding.columns.units import is_measurable
from tasks.encoding.constraints.plan import Reparametrisation
from tasks.errors import DataError, NothingToLearn
from tasks.schema import Column, DatasetSchema, TableSchema, arrow_schema, arrow_type

MOMENT_ROWS = 100_000
"""Rows, evenly spaced, from which moments are taken at most."""

MOMENT_PIECE_ROWS = 8_192
"""Rows whose features are in memory at a time."""

FIT_CELLS = 20_000_000
"""Cells that are in memory at a time at most while columns are fitted, or one whole column."""

MAX_INDICATORS = 16
"""Tokens of a column up to which each counts in the linear part of what is learned about it."""

MAX_FEATURES = 1_024
"""Features of that linear part beyond which no more columns get indicators."""

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
        plan: which columns are learned, in place of those that constraints bind to each other.
        columns: encoders of all learned columns, in the order of `plan.learned`.
        continuous: indices into `columns` of the R columns with a continuous part.
        indicated: indices into `columns` of those whose tokens are features of `moments`.
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
        plan: Reparametrisation | None = None,
    ) -> None:
        self.schema = schema
        self.plan = plan or Reparametrisation(schema.main, [])
        self.n_rows = n_rows
        self.columns = columns
        self.moments = moments
        self.continuous = [
            i for i, column in enumerate(columns) if column.continuous_token is not None
        ]
        self.indicated = indicated(columns)
        self.token_dtype = _narrowest(max(column.n_tokens for column in columns))

    @classmethod
    def fit(cls, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """Fit an encoder to each column, and the moments of all."""
        del rng
        n_rows = count(batches)
        if n_rows < 2:
            raise DataError(f"expected two training rows at least, found {n_rows}")
        plan = Reparametrisation.fit(schema.main, batches)
        columns = list(_fit_columns(plan, batches, n_rows))
        if all(column.n_tokens <= 1 and column.continuous_token is None for column in columns):
            raise NothingToLearn(
                f"expected a column of {schema.main.name!r} that varies and is no identifier, found"
                " none: there is nothing to learn"
            )
        spaced = _spaced_rows(plan, batches, n_rows)
        return cls(schema, n_rows, columns, _moments(columns, spaced), plan)

    def encode(self, batch: pa.RecordBatch) -> dict[str, torch.Tensor]:
        """Tokens and ranks of all learned columns."""
        batch = self.plan.encode(batch)
        encoded = [column.encode(batch.column(column.column.name)) for column in self.columns]
        lows = [cells.rank_low for cells in encoded if cells.rank_low is not None]
        highs = [cells.rank_high for cells in encoded if cells.rank_high is not None]
        tokens = np.stack([cells.tokens for cells in encoded], axis=1)
        return {
            "tokens": torch.from_numpy(tokens).to(self.token_dtype),
            "rank_low": _ranks(lows, batch.num_rows),
            "rank_high": _ranks(highs, batch.num_rows),
        }

    def encode_values(self, name: str, values: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Cells of the learned column `name` that drawn rows are to have.

        A continuous value is encoded exactly enough for what depends on it; decoding gives one
        nearby, so whoever holds values writes them over those that come out.

        Shape:
            values: n of them.
            returns: (n,) int64 tokens, (n,) float32 ranks.

        Raises:
            DataError: there is no such column, or a value has the wrong type, was not learned or
                was too rare to be kept, or is beyond the range of what was learned.
        """
        names = self.plan.learned.column_names
        if name not in self.plan.learned_as_is:
            if name in self.schema.main.column_names:
                raise DataError(self.plan.why_not_learned(name))
            raise DataError(f"expected one of the columns {names}, found {name!r}")
        encoder = self.columns[names.index(name)]
        if encoder.n_tokens == 0:
            raise DataError(f"{name!r} is made anew, not learned")
        kind = arrow_type(encoder.column)
        try:
            # To an integer, an array is made by cutting decimals off, a cast refuses to.
            given = pa.array(values) if pa.types.is_integer(kind) else pa.array(values, kind)
            wanted = given.cast(kind)
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise DataError(
                f"column {name!r}: expected values of type {encoder.column.type}: {error}"
            ) from error
        cells = encoder.encode(wanted)
        ranks = np.full(len(wanted), 0.5, dtype=np.float32)
        is_covered = np.zeros(len(wanted), dtype=bool)
        if isinstance(encoder, NumericEncoder) and cells.rank_low is not None:
            ranks = ((cells.rank_low + cells.rank_high) / 2).astype(np.float32)
            is_covered = (cells.tokens == encoder.continuous_token) & encoder.covers(wanted)
        again = encoder.decode(cells.tokens, ranks, np.random.default_rng(0), 0)
        for value, found, covered in zip(wanted, again, is_covered.tolist(), strict=True):
            if not covered and not found.equals(value):
                shown = "missing" if value.as_py() is None else repr(value.as_py())
                raise DataError(f"column {name!r} cannot be held at {shown}: {_learned(encoder)}")
        return cells.tokens, ranks

    def decode(
        self,
        encoded: Mapping[str, torch.Tensor],
        rng: np.random.Generator,
        first_row: int = 0,
        held: Mapping[str, Any] | None = None,
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
        learned = pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(self.plan.learned))
        # Before columns are computed from others, as a formula is.
        return self.plan.decode(_holding(learned, held or {}), rng)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        kinds = {encoder: name for name, encoder in _ENCODERS.items()}
        contents, arrays = [], {"moments": self.moments}
        for i, column in enumerate(self.columns):
            content, own = column.state()
            contents.append({"encoder": kinds[type(column)], **content})
            arrays |= {f"{i}.{name}": array for name, array in own.items()}
        content = {"n_rows": self.n_rows, "constraints": self.plan.state(), "columns": contents}
        return content, arrays

    @classmethod
    def from_state(
        cls, schema: DatasetSchema, content: dict[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
        plan = Reparametrisation.from_state(schema.main, content["constraints"])
        columns = []
        for i, (column, own) in enumerate(
            zip(plan.learned.columns, content["columns"], strict=True)
        ):
            prefix = f"{i}."
            parts = {
                name.removeprefix(prefix): array
                for name, array in arrays.items()
                if name.startswith(prefix)
            }
            columns.append(_ENCODERS[own["encoder"]].from_state(column, own, parts))
        return cls(schema, content["n_rows"], columns, arrays["moments"], plan)

    @property
    def made_anew(self) -> frozenset[str]:
        """The columns of new identifiers."""
        return frozenset(c.column.name for c in self.columns if isinstance(c, IdentifierEncoder))


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


def _fit_columns(plan: Reparametrisation, batches: Batches, n_rows: int) -> Iterator[ColumnEncoder]:
    """Encoders of all learned columns; of a long table a few columns at a time are in memory."""
    table = plan.learned
    arrow = arrow_schema(table)
    n_together = max(1, FIT_CELLS // n_rows)
    for start in range(0, len(table.columns), n_together):
        group = table.columns[start : start + n_together]
        names = [column.name for column in group]
        part = pa.schema([arrow.field(name) for name in names])
        cells = pa.Table.from_batches(plan.select(batches, names), part)
        for column in group:
            yield _encoder_class(table, column).fit(column, _whole(cells.column(column.name)))


def _spaced_rows(plan: Reparametrisation, batches: Batches, n_rows: int) -> pa.Table:
    """`MOMENT_ROWS` learned rows, evenly spaced; all where there are fewer."""
    wanted = np.linspace(0, n_rows - 1, min(n_rows, MOMENT_ROWS)).astype(np.int64)
    taken, end = [], 0
    for batch in plan.select(batches, plan.learned.column_names):
        start, end = end, end + batch.num_rows
        first, last = np.searchsorted(wanted, [start, end])
        taken.append(batch.take(pa.array(wanted[first:last] - start)))
    return pa.Table.from_batches(taken, arrow_schema(plan.learned))


def _moments(columns: list[ColumnEncoder], table: pa.Table) -> np.ndarray:
    """Mean products of normal scores and indicators; see `TabularEncoder.moments`."""
    total: Any = 0.0
    for piece in table.combine_chunks().to_batches(max_chunksize=MOMENT_PIECE_ROWS):
        features = torch.from_numpy(_features(columns, piece))
        # By torch, whose number of threads is fixed: another number may change the last bit.
        total = total + (features @ features.T).numpy()
    return np.asarray(total / table.num_rows)


def _features(columns: list[ColumnEncoder], batch: pa.RecordBatch) -> np.ndarray:
    """(F, B) normal scores and indicators of the rows; see `TabularEncoder.moments`."""
    scores: list[np.ndarray] = []
    indicators: list[np.ndarray] = []
    have_indicators = set(indicated(columns))
    for i, column in enumerate(columns):
        if column.continuous_token is None and i not in have_indicators:
            continue
        cells = column.encode(batch.column(column.column.name))
        if cells.rank_low is not None and cells.rank_high is not None:
            ranks = np.clip((cells.rank_low + cells.rank_high) / 2, RANK_MARGIN, 1 - RANK_MARGIN)
            scores.append(np.where(cells.tokens == column.continuous_token, ndtri(ranks), 0.0))
        if i in have_indicators:
            indicators.extend((cells.tokens == np.arange(column.n_tokens)[:, None]).astype(float))
    rows = [*scores, *indicators]
    return np.stack(rows) if rows else np.empty((0, batch.num_rows))


def indicated(columns: list[ColumnEncoder]) -> list[int]:
    """Which columns have an indicator for each token: those of few, while there is room."""
    n_features = sum(column.continuous_token is not None for column in columns)
    found = []
    for i, column in enumerate(columns):
        if not 2 <= column.n_tokens <= MAX_INDICATORS:
            continue
        n_features += column.n_tokens
        if n_features <= MAX_FEATURES:
            found.append(i)
    return found


def _holding(rows: pa.RecordBatch, held: Mapping[str, Any]) -> pa.RecordBatch:
    """The rows with these values in place, one for all rows or one a row."""
    for name, values in held.items():
        i = rows.schema.get_field_index(name)
        field = rows.schema.field(i)
        if isinstance(values, pa.Array | pa.ChunkedArray):
            values = values.to_pylist()
        each = values if isinstance(values, list) else [values] * rows.num_rows
        rows = rows.set_column(i, field, pa.array(each, field.type))
    return rows


def _learned(encoder: ColumnEncoder) -> str:
    """What a column may be held at; of numbers, nothing that only a few rows have."""
    if isinstance(encoder, CategoricalEncoder):
        shown = encoder.values.slice(0, 10).to_pylist()
        more = ", ..." if len(encoder.values) > len(shown) else ""
        found = ", ".join(map(repr, shown)) + more if shown else "no value"
        return f"it was learned to be {found}; rare values were not"
    first, last = encoder.usual_range().to_pylist()  # type: ignore[attr-defined]
    return f"it was learned from about {first!r} to {last!r}, in steps of its own"


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
