"""The values of one column as small integers, by which rows are put together or apart."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import DataError


def classes_of(values: pa.ChunkedArray) -> np.ndarray:
    """The values of a column as integers from 0, by the order of first appearance.

    Missing values are a class of their own, as is NaN.

    Shape:
        returns: (N,) in the narrowest integers that hold them.

    Raises:
        DataError: values of this type are not compared: lists, structs.
    """
    # The chunks share one dictionary: that of all of them.
    try:
        encoded = pc.dictionary_encode(values, null_encoding="encode")
    except pa.ArrowNotImplementedError as error:
        raise DataError(
            f"expected texts, numbers, dates or booleans to tell classes or groups by, found values"
            f" of type {values.type}; name another column"
        ) from error
    if encoded.num_chunks == 0:
        return np.zeros(0, dtype=np.int8)
    kind = np.min_scalar_type(-max(1, len(encoded.chunk(0).dictionary)))
    return np.concatenate([np.asarray(chunk.indices).astype(kind) for chunk in encoded.chunks])


def bins_of(numbers: np.ndarray, n_bins: int) -> np.ndarray:
    """Numbers as classes of about equal size, cut at their quantiles; NaN is the last class.

    Equal numbers are of one class, so there may be fewer of them.

    Shape:
        numbers: (N,) float64.
        returns: (N,) integers from 0.
    """
    known = ~np.isnan(numbers)
    classes = np.zeros(len(numbers), dtype=np.int16)
    if known.any():
        cuts = np.quantile(numbers[known], np.arange(1, n_bins) / n_bins, method="inverted_cdf")
        classes[known] = np.searchsorted(np.unique(cuts), numbers[known], side="left")
    classes[~known] = n_bins
    return np.unique(classes, return_inverse=True)[1]


def groups_of(values: pa.ChunkedArray) -> np.ndarray:
    """As `classes_of`, but every row with a missing value is a group of its own.

    Shape:
        returns: (N,) integers from 0.
    """
    groups = classes_of(values).astype(np.int64)
    missing = np.concatenate(
        [
            np.zeros(0, dtype=bool),
            *(np.asarray(pc.is_null(chunk, nan_is_null=True)) for chunk in values.chunks),
        ]
    )
    # The class of the missing values stays empty, which no one minds.
    groups[missing] = groups.max(initial=-1) + 1 + np.arange(np.count_nonzero(missing))
    return groups


def moments_of(values: pa.ChunkedArray, name: str, setting: str) -> np.ndarray:
    """The values of a column as numbers that grow with time, exact for dates and times.

    Args:
        values: of the column.
        name: of the column, for messages.
        setting: that names it.

    Shape:
        returns: (N,) int64 or float64, no NaN.

    Raises:
        DataError: the values have no order in time, or some are missing.
    """
    kind = values.type
    if n_missing := values.null_count:
        raise _without_a_time(n_missing, len(values), name, setting)
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        values = values.cast(pa.int32())
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return np.asarray(values.cast(pa.int64()))
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        whole = pa.types.is_integer(kind) and kind != pa.uint64()
        moments = np.asarray(values.cast(pa.int64() if whole else pa.float64(), safe=False))
        if not whole and (n_missing := int(np.isnan(moments).sum())):
            raise _without_a_time(n_missing, len(values), name, setting)
        return moments
    raise DataError(
        f"{setting}: expected a column of dates, times or numbers, but {name!r} is {kind}; let the"
        " source or clean.types read it as a date"
    )


def _without_a_time(n_missing: int, n_rows: int, name: str, setting: str) -> DataError:
    return DataError(
        f"{setting}: expected a value of {name!r} in every row, found {n_missing:,} of {n_rows:,}"
        " rows without: they are neither before nor after; fill or drop them under `clean`"
    )
