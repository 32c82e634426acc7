"""The encoder of tables, fitted with differential privacy: what it learns is paid for.

Taken from the schema, which counts as public (declared, not learned): names, types and meanings of
columns, keys, the target, and which columns may be missing. The number of rows is public too.

Released with noise, of which one row changes each by at most 1 (or the stated bound):

| column | release | releases |
|---|---|---:|
| boolean | nothing: both values are known | 0 |
| identifier | nothing: numbers that count up | 0 |
| numeric, time | how many values are multiples of 10, of 100 ..., have so many decimals, are whole \
minutes, hours, days; the last bin: missing | 1 |
| | how many rows are in each interval (`noisy_tree`) | 4 |
| categorical, text | how often each value occurs, and missing; values below a threshold are \
suppressed | 1 |
| all together | sums of products of normal scores and indicators, of rows cut to a length \
(bound: its square) | 1 |

All noise is normal, so that the releases together are one Gaussian mechanism with the noise
multiplier that `fit_private` is given (Dong, Roth and Su 2022, Gaussian differential privacy,
section 3, arXiv:1905.02383: mechanisms of multipliers s_i together have 1 / s^2 = sum of 1 / s_i^2,
also where one looks at the results of those before it). `MOMENTS_SHARE` of that sum goes to the
products, the rest to the M counts in equal parts.

That a value occurs at all is no count over known bins. A value that one row alone has is released
with a probability of `delta` at most, all columns together, which adds to the delta of the rest.

Source:
    Threshold: Korolova et al. 2009, doi:10.1145/1526709.1526733, section 4, with normal noise as
    in Wilson et al. 2020, arXiv:1909.01917. Products: Dwork et al. 2014, Analyze Gauss,
    doi:10.1145/2591796.2591883.
"""

import math
import string
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtri

from tasks.encoding.base import Batches, count, select
from tasks.encoding.columns.base import ColumnEncoder
from tasks.encoding.columns.categorical import MAX_CATEGORIES, CategoricalEncoder, as_texts
from tasks.encoding.columns.identifier import IdentifierEncoder
from tasks.encoding.columns.numeric import NumericEncoder
from tasks.encoding.noisy_numbers import NUMERIC_RELEASES, noisy_numeric
from tasks.encoding.tabular import (
    MOMENT_PIECE_ROWS,
    TabularEncoder,
    _encoder_class,
    _features,
    indicated,
)
from tasks.errors import DataError
from tasks.noise import SecretNoise
from tasks.schema import Column, DatasetSchema, arrow_type

MOMENTS_SHARE = 0.1
"""Of the encoder's budget, what the sums of products get."""

_CLEAR = 4.0
"""Standard deviations of noise from which on missing or rare values are believed to occur."""

Noisy = Callable[[np.ndarray], np.ndarray]


def fit_private(
    schema: DatasetSchema,
    batches: Batches,
    noise: SecretNoise,
    *,
    noise_multiplier: float,
    delta: float,
) -> TabularEncoder:
    """A `TabularEncoder` of which any row can be denied.

    Args:
        schema: of the dataset.
        batches: starts a pass over the training rows.
        noise: secret.
        noise_multiplier: of everything that is released, as one Gaussian mechanism.
        delta: probability with which a value that one row alone has may be released.

    Raises:
        DataError: too few rows, or a column that cannot be encoded.
    """
    n_rows = count(batches)
    if n_rows < 2:
        raise DataError(f"expected two training rows at least, found {n_rows}")
    if schema.main.constraints:
        raise DataError(
            "expected no constraints together with train.privacy: what they bind is learned from"
            " the rows without noise; remove the constraints, or set privacy to null"
        )
    table = schema.main
    kinds = {column.name: _encoder_class(table, column) for column in table.columns}
    counts = {column.name: _releases(kinds[column.name], column) for column in table.columns}
    std = noise_multiplier * math.sqrt(max(sum(counts.values()), 1) / (1 - MOMENTS_SHARE))
    n_open = sum(kind is CategoricalEncoder and counts[name] > 0 for name, kind in kinds.items())
    columns = [
        _column(
            kinds[column.name],
            column,
            _cells(batches, column),
            _noisy(noise, std, i),
            std=std,
            delta=delta / max(n_open, 1),
        )
        for i, column in enumerate(table.columns)
    ]
    if all(column.n_tokens <= 1 and column.continuous_token is None for column in columns):
        raise DataError(
            f"with the noise that this privacy needs, nothing can be told of {n_rows} rows of"
            f" {table.name!r}: raise train.privacy.epsilon, or train on more rows"
        )
    multiplier = noise_multiplier / math.sqrt(MOMENTS_SHARE)
    moments = _moments(columns, batches, n_rows, noise, multiplier)
    return TabularEncoder(schema, n_rows, columns, moments)


def _cells(batches: Batches, column: Column) -> pa.Array:
    """All training cells of a column."""
    chunks = [batch.column(0) for batch in select(batches, [column.name])]
    return pa.concat_arrays(chunks).cast(arrow_type(column))


def _releases(kind: type[ColumnEncoder], column: Column) -> int:
    """Counts of sensitivity 1 that learning a column takes."""
    if kind is NumericEncoder:
        return NUMERIC_RELEASES
    return int(kind is CategoricalEncoder and not _is_boolean(column))


def _is_boolean(column: Column) -> bool:
    return bool(pa.types.is_boolean(arrow_type(column)))


def _noisy(noise: SecretNoise, std: float, column: int) -> Noisy:
    """Adds noise to counts; each call is a release of its own."""
    numbers: Iterator[int] = iter(range(1_000))

    def add(counts: np.ndarray) -> np.ndarray:
        drawn = noise.normal(counts.shape, "encoder", column, next(numbers))
        # Whole numbers: the last bits of a sum of floats can tell the summands.
        return np.asarray(np.rint(counts + std * drawn))

    return add


def _column(
    kind: type[ColumnEncoder],
    column: Column,
    values: pa.Array,
    noisy: Noisy,
    *,
    std: float,
    delta: float,
) -> ColumnEncoder:
    if kind is NumericEncoder:
        return noisy_numeric(column, values, noisy, std)
    if kind is IdentifierEncoder:
        is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
        return IdentifierEncoder(column, [string.digits] if is_text else [])
    if _is_boolean(column):
        both = pa.array([False, True])
        return CategoricalEncoder(column, both, np.ones(2), False, column.nullable)
    return _categorical(column, values, noisy, std, delta)


def _categorical(
    column: Column, values: pa.Array, noisy: Noisy, std: float, delta: float
) -> CategoricalEncoder:
    """The values whose noisy counts pass the threshold, commonest first."""
    counted = pc.value_counts(values.drop_null())
    # In the order of the texts, so that the order of the rows does not say which noise is whose.
    by_text = np.argsort(np.array(as_texts(counted.field("values")), dtype=object), kind="stable")
    present = counted.field("values").take(pa.array(by_text))
    counts = counted.field("counts").to_numpy()[by_text]
    released = noisy(np.append(counts, values.null_count).astype(np.float64))
    n_missing, counts = released[-1], released[:-1]
    threshold = 1.0 + std * float(ndtri(1.0 - delta))
    order = np.argsort(-counts, kind="stable")
    kept = [i for i in order if counts[i] > threshold][:MAX_CATEGORIES]
    n_rare = len(values) - max(n_missing, 0.0) - counts[kept].sum()
    has_rare = n_rare > _CLEAR * std * math.sqrt(len(kept) + 1) or not kept
    return CategoricalEncoder(
        column,
        present.take(pa.array(np.array(kept, dtype=np.int64))),
        counts[kept],
        n_rare=max(1, round(n_rare)) if has_rare else 0,
        has_null=bool(column.nullable and n_missing > _CLEAR * std),
    )


def _moments(
    columns: list[ColumnEncoder],
    batches: Batches,
    n_rows: int,
    noise: SecretNoise,
    noise_multiplier: float,
) -> np.ndarray:
    """Mean products of features, see `TabularEncoder.moments`, of rows cut to a length, with noise.

    A row that is longer than a typical one (one for each indicated column and each normal score)
    is shortened to that. What noise does to the smallest eigenvalues is undone by raising them to
    the level of the noise, as moments must have none below zero.
    """
    n_scores = sum(column.continuous_token is not None for column in columns)
    with_indicators = indicated(columns)
    size = n_scores + sum(columns[i].n_tokens for i in with_indicators)
    bound = math.sqrt(n_scores + len(with_indicators))
    total = np.zeros((size, size))
    for batch in batches():
        for start in range(0, batch.num_rows, MOMENT_PIECE_ROWS):
            features = _features(columns, batch.slice(start, MOMENT_PIECE_ROWS))
            lengths = np.sqrt(np.square(features).sum(axis=0))
            features *= np.minimum(1.0, bound / np.maximum(lengths, 1e-12))
            total += features @ features.T
    std = noise_multiplier * bound**2
    drawn = std * noise.normal((size, size), "encoder", "moments")
    upper = np.triu(total + drawn)
    noisy = (upper + np.triu(upper, 1).T) / n_rows
    eigenvalues, vectors = np.linalg.eigh(noisy)
    floor = std * math.sqrt(size) / n_rows
    return np.asarray((vectors * np.maximum(eigenvalues, floor)) @ vectors.T)
