"""64 bits for each row, by which equal rows and linked keys are found in bounded memory.

Among a hundred million different rows, two are taken for equal once in some four thousand tables.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.schema import IMAGE_TYPE


def row_digests(columns: Iterable[pa.Array], n_rows: int) -> np.ndarray:
    """Digests of rows, equal where all values are: missing equals missing, and NaN equals NaN.

    Source: the finaliser of SplitMix64, Steele et al. 2014, doi:10.1145/2714064.2660195.

    Shape:
        columns: arrays of `n_rows` values each.
        returns: (n_rows,) uint64.
    """
    digests = np.zeros(n_rows, dtype=np.uint64)
    for values in columns:
        digests = _mix(digests + _value_digests(values))
    return digests


def key_digests(columns: Iterable[pa.Array], n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Digests of keys, and which of them are whole: a key with a missing value points nowhere.

    Whole numbers of different widths are the same key if they are the same number.

    Shape:
        returns: (n_rows,) uint64; (n_rows,) bool.
    """
    whole = np.ones(n_rows, dtype=bool)
    kept = list(columns)
    for values in kept:
        whole &= np.asarray(pc.is_valid(values))
    return row_digests(kept, n_rows), whole


def _value_digests(values: pa.Array) -> np.ndarray:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.type == IMAGE_TYPE:  # an image is what it shows, not its file's name
        values = pc.struct_field(values, "bytes")
    missing = np.asarray(pc.is_null(values))
    if pa.types.is_integer(values.type) and values.type != pa.uint64():
        bits = np.asarray(pc.fill_null(values, 0)).astype(np.int64).view(np.uint64)
    elif pa.types.is_floating(values.type):
        numbers = np.asarray(pc.fill_null(values, 0)).astype(np.float64)
        # Adding 0.0 turns -0.0 into 0.0; one NaN stands for all.
        bits = np.where(np.isnan(numbers), np.nan, numbers + 0.0).view(np.uint64)
    else:
        bits = _digests_of_each(values)
    return np.where(missing, np.uint64(0x6A09E667F3BCC909), _mix(bits))


def _digests_of_each(values: pa.Array) -> np.ndarray:
    """Of values that are no machine numbers: each different one is digested once."""
    try:
        encoded = values.dictionary_encode()
        known, places = encoded.dictionary, np.asarray(pc.fill_null(encoded.indices, 0))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # lists and structs
        known, places = values, np.arange(len(values))
    digests = [
        hashlib.blake2b(_content(value), digest_size=8).digest() for value in known.to_pylist()
    ]
    found = np.frombuffer(b"".join(digests), dtype="<u8")
    return found[places] if len(found) else np.zeros(len(values), dtype=np.uint64)


def _content(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else repr(value)).encode("utf-8", "surrogatepass")


def _mix(bits: np.ndarray) -> np.ndarray:
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))
