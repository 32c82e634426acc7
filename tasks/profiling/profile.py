"""What a dataset looks like, a record a column: for people, and to be compared with the next pull.

Rows are counted in all of the data; what they look like is taken from a sample. No value of the
data is stored: values are hashed, text is reduced to its pattern. Only the quantiles of numbers and
dates are real, so a profile is as private as the data it is of.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from tasks.profiling.canonical import as_numbers, canonical
from tasks.schema import Column, DatasetSchema, ForeignKey, Kind, Meaning, TableSchema

SAMPLE_ROWS = 100_000
"""Rows that shares, quantiles and patterns are taken from, drawn at random if there are more."""

QUANTILES = tuple(np.linspace(0, 1, 21))

_KEPT_HASHES = 4_096
"""Distinct values are counted exactly up to so many, and estimated beyond."""

_N_TOP = 32
_N_SHOWN = 3
_N_PATTERNS = 8
_N_PERMUTATIONS = 64
_LONGEST_PATTERN = 20


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnProfile(_Record):
    """One column."""

    name: str
    type: str = Field(description="Arrow type as text, as in schema.json")
    meaning: Meaning
    nullable: bool
    personal: str | None = Field(description="kind of personal data that was found; None: none")
    n_rows: int
    n_missing: int = Field(description="missing values; not-a-number counts as missing")
    n_distinct: int = Field(description="different values, exact up to some thousand")
    quantiles: tuple[float, ...] = Field(
        default=(),
        description="21 of them, from least to greatest; dates as seconds since 1970 in UTC",
    )
    top: tuple[tuple[str, float], ...] = Field(
        default=(), description="hashes of the commonest values, and their shares"
    )
    signature: tuple[int, ...] = Field(
        default=(), description="MinHash of the different values: equal share = Jaccard index"
    )
    lengths: tuple[float, ...] = Field(
        default=(), description="quarters of the length of text, in characters"
    )
    patterns: tuple[tuple[str, float], ...] = Field(
        default=(), description="commonest patterns of text (`A9-99`), and their shares"
    )
    shown: tuple[str, ...] = Field(
        default=(), exclude=True, description="some values for a terminal, never stored"
    )


class TableProfile(_Record):
    """One table."""

    name: str
    n_rows: int
    primary_key: tuple[str, ...]
    foreign_keys: tuple[ForeignKey, ...]
    columns: tuple[ColumnProfile, ...]


class DatasetProfile(_Record):
    """All tables."""

    kind: Kind
    target: str | None
    tables: tuple[TableProfile, ...]


class TableProfiler:
    """Sees the batches of one table go by, and keeps what its profile needs, in bounded memory."""

    def __init__(self, table: TableSchema, rng: np.random.Generator) -> None:
        """Args: `rng` draws the sample."""
        self._table = table
        self._rng = rng
        self._n_rows = 0
        self._n_missing = dict.fromkeys(table.column_names, 0)
        self._hashes = {name: _Hashes() for name in table.column_names}
        self._sample: list[tuple[np.ndarray, pa.Table]] = []
        self._n_sampled = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch into account; how rows are cut into batches leaves no trace."""
        self._n_rows += batch.num_rows
        for name in self._table.column_names:
            values = _present(batch[name])
            self._n_missing[name] += batch.num_rows - len(values)
            if texts := canonical(values):
                self._hashes[name].add(pc.unique(texts))
        keys = self._rng.random(batch.num_rows)
        self._sample.append((keys, pa.Table.from_batches([batch])))
        self._n_sampled += batch.num_rows
        if self._n_sampled > 3 * SAMPLE_ROWS:
            self._sample = [self._drawn()]
            self._n_sampled = len(self._sample[0][0])

    def finish(self) -> TableProfile:
        """The profile of all rows that went by."""
        rows = self._drawn()[1] if self._sample else None
        columns = tuple(
            self._column(c, None if rows is None else rows[c.name]) for c in self._table.columns
        )
        return TableProfile(
            name=self._table.name,
            n_rows=self._n_rows,
            primary_key=self._table.primary_key,
            foreign_keys=self._table.foreign_keys,
            columns=columns,
        )

    def _drawn(self) -> tuple[np.ndarray, pa.Table]:
        """The rows with the smallest random keys, in their order."""
        keys = np.concatenate([k for k, _ in self._sample])
        rows = pa.concat_tables([r for _, r in self._sample])
        if len(keys) > SAMPLE_ROWS:
            kept = np.sort(np.argpartition(keys, SAMPLE_ROWS)[:SAMPLE_ROWS])
            keys, rows = keys[kept], rows.take(pa.array(kept))
        return keys, rows

    def _column(self, column: Column, values: pa.ChunkedArray | None) -> ColumnProfile:
        hashes = self._hashes[column.name]
        told = ColumnProfile(
            name=column.name,
            type=column.type,
            meaning=column.meaning,
            nullable=column.nullable,
            personal=column.personal_kind,
            n_rows=self._n_rows,
            n_missing=self._n_missing[column.name],
            n_distinct=hashes.count(),
            signature=_min_hash(hashes.kept),
        )
        present = None if values is None else _present(values.combine_chunks())
        texts = None if present is None else canonical(present)
        if present is None or not texts:
            return told
        is_text = pa.types.is_string(present.type)
        counted = _counted(texts, _N_TOP)
        return told.model_copy(
            update={
                "quantiles": _quantiles(present),
                "top": _top(counted),
                "lengths": _lengths(present) if is_text else (),
                "patterns": _patterns(present) if is_text else (),
                "shown": tuple(text for text, _ in counted[:_N_SHOWN]),
            }
        )


class _Hashes:
    """The smallest hashes of the different values of a column.

    Source: Bar-Yossef et al., Counting distinct elements in a data stream, RANDOM 2002, section 3;
    the unbiased form (k - 1) / (k-th smallest) of Beyer et al., SIGMOD 2007, section 4.
    """

    def __init__(self) -> None:
        self.kept = np.empty(0, dtype=np.uint64)

    def add(self, texts: pa.Array) -> None:
        self.kept = np.unique(np.concatenate([self.kept, hashed(texts)]))[:_KEPT_HASHES]

    def count(self) -> int:
        if len(self.kept) < _KEPT_HASHES:
            return len(self.kept)
        return round((_KEPT_HASHES - 1) * 2.0**64 / float(self.kept[-1]))


def profile(
    schema: DatasetSchema, tables: Mapping[str, Iterable[pa.RecordBatch]], rng: np.random.Generator
) -> DatasetProfile:
    """The profile of a dataset whose rows go by once."""
    profiles = []
    for table in schema.tables:
        profiler = TableProfiler(table, rng)
        for batch in tables[table.name]:
            profiler.add(batch)
        profiles.append(profiler.finish())
    return DatasetProfile(kind=schema.kind, target=schema.target, tables=tuple(profiles))


def hashed(texts: pa.Array) -> np.ndarray:
    """Hashes of texts, the same ones on every machine.

    Shape:
        returns: (N,) uint64.
    """
    found: np.ndarray = pd.util.hash_array(texts.to_numpy(zero_copy_only=False), categorize=False)
    return found


def _present(values: pa.Array) -> pa.Array:
    if pa.types.is_floating(values.type):
        values = values.filter(pc.invert(pc.fill_null(pc.is_nan(values), True)))
    return values.drop_null()


def _quantiles(present: pa.Array) -> tuple[float, ...]:
    numbers = as_numbers(present)
    if numbers is None or not len(numbers):
        return ()
    return tuple(float(q) for q in np.quantile(numbers, QUANTILES, method="nearest"))


def _counted(texts: pa.Array, limit: int) -> list[tuple[str, float]]:
    """The commonest texts with their shares; of equally common ones the first in order."""
    counts = pa.RecordBatch.from_struct_array(pc.value_counts(texts))
    order = [("counts", "descending"), ("values", "ascending")]
    first = counts.take(pc.select_k_unstable(counts, limit, order))
    return [(c["values"], c["counts"] / len(texts)) for c in first.to_pylist()]


def _top(counted: list[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    hashes = hashed(pa.array([text for text, _ in counted], pa.string()))
    named = [(f"{h:016x}", share) for h, (_, share) in zip(hashes, counted, strict=True)]
    return tuple(sorted(named, key=lambda item: (-item[1], item[0])))


def _lengths(texts: pa.Array) -> tuple[float, ...]:
    lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
    return tuple(float(q) for q in np.quantile(lengths, (0, 0.25, 0.5, 0.75, 1)))


def _patterns(texts: pa.Array) -> tuple[tuple[str, float], ...]:
    shapes = pc.utf8_slice_codeunits(texts, 0, 4 * _LONGEST_PATTERN)
    for letters, sign in (
        (r"[0-9]", "9"),
        (r"\p{Lu}+", "A"),
        (r"[\p{Ll}\p{Lt}\p{Lm}\p{Lo}]+", "a"),
    ):
        shapes = pc.replace_substring_regex(shapes, letters, sign)
    return tuple(_counted(pc.utf8_slice_codeunits(shapes, 0, _LONGEST_PATTERN), _N_PATTERNS))


def _min_hash(hashes: np.ndarray) -> tuple[int, ...]:
    """MinHash of a set of hashed values, under fixed permutations.

    Source: Broder, On the resemblance and containment of documents, 1997, section 3.
    """
    if not len(hashes):
        return ()
    rng = np.random.default_rng(0)
    odd = rng.integers(2**63, size=_N_PERMUTATIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    shift = rng.integers(2**63, size=_N_PERMUTATIONS, dtype=np.uint64)
    with np.errstate(over="ignore"):
        permuted = (hashes[:, None] * odd + shift) >> np.uint64(32)
    return tuple(int(least) for least in permuted.min(axis=0))
