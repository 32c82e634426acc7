"""128 bits that tell rows apart, computed column by column.

Each column's values become 64-bit words, and each word is mixed into two lanes with different
constants, so that a change of one bit changes half of the bits of both. Two different rows then have
equal digests by chance with a probability of 2^-128; among 10^9 different rows, two have with one of
1.5 * 10^-21, far below that of a wrong bit in memory. The digests defend against chance, not against
somebody who makes up rows to that end.

Source: the mixing is variant 13 of David Stafford's finalisers of MurmurHash3, as in SplitMix64
    (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195).
"""

import hashlib
import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from tasks.errors import DataError
from tasks.schema import IMAGE_TYPE

Words = npt.NDArray[np.uint64]

_PRESENT = np.array([0x9E3779B97F4A7C15, 0xD1B54A32D192ED03], dtype=np.uint64)
_MISSING = np.array([0xA24BAED4963EE407, 0x8CB92BA72F3D8DD7], dtype=np.uint64)
"""Odd numbers without a pattern, one for each lane: the fractions of the golden ratio and others."""

_LONG_BYTES = 256
"""Texts past so many bytes are digested one by one, which for them is faster."""


def row_digests(batch: pa.RecordBatch) -> Words:
    """A digest of each row: equal if all values are; a missing value equals a missing value.

    Images are equal if their pixels are, whatever their names and compression. 0.0 equals -0.0.

    Shape:
        (N, 2) uint64.

    Raises:
        DataError: an image cannot be read.
    """
    lanes = np.zeros((2, batch.num_rows), dtype=np.uint64)
    for values in batch.columns:
        is_missing: npt.NDArray[np.bool_] = values.is_null().to_numpy(zero_copy_only=False)
        added: Words = np.where(is_missing, _MISSING[:, None], _PRESENT[:, None])
        for words in _words(values):
            known: Words = np.where(is_missing, np.uint64(0), words)
            lanes = _mixed((lanes ^ known) + added)
    return np.ascontiguousarray(lanes.T)


def _words(values: pa.Array) -> list[Words]:
    """The words of a column's values: each of shape (N,), or (2, N) with a word for each lane."""
    kind = values.type
    if kind == IMAGE_TYPE:
        return [_digested([_pixels(v) if v else b"" for v in values.to_pylist()])]
    if pa.types.is_null(kind):
        return [np.zeros(len(values), dtype=np.uint64)]
    if pa.types.is_decimal128(kind):
        pairs = np.frombuffer(values.buffers()[1], dtype=np.uint64).reshape(-1, 2)
        return list(pairs[values.offset : values.offset + len(values)].T)
    if pa.types.is_floating(kind):
        numbers = pc.fill_null(values.cast(pa.float64()), 0.0).to_numpy() + 0.0
        return [numbers.view(np.uint64)]
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_temporal(kind):
        return [_whole(values)]
    return [_text_words(values.cast(pa.large_binary()))]


def _whole(values: pa.Array) -> Words:
    if pa.types.is_temporal(values.type):
        values = values.view(pa.int32() if values.type.bit_width == 32 else pa.int64())
    elif pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    whole: Words = pc.fill_null(values, 0).to_numpy(zero_copy_only=False).astype(np.uint64)
    return whole


def _text_words(values: pa.Array) -> Words:
    """(2, N): a word of each text for each lane, eight bytes at a time."""
    offsets = np.frombuffer(values.buffers()[1], dtype=np.int64)
    offsets = offsets[values.offset : values.offset + len(values) + 1]
    starts, lengths = offsets[:-1] - offsets[0], np.diff(offsets)
    content = values.buffers()[2]
    data = np.zeros(int(offsets[-1] - offsets[0]) + 8, dtype=np.uint8)
    if content is not None:
        data[:-8] = np.frombuffer(content, dtype=np.uint8)[offsets[0] : offsets[-1]]
    every_byte: Words = np.ndarray((len(data) - 7,), dtype="<u8", buffer=data, strides=(1,))
    lanes = _mixed(lengths.astype(np.uint64) + _PRESENT[:, None])
    long = np.flatnonzero(lengths > _LONG_BYTES)
    rows = np.flatnonzero((lengths > 0) & (lengths <= _LONG_BYTES))
    done = 0
    while len(rows):
        left = lengths[rows] - done
        words = every_byte[starts[rows] + done]
        spare = (8 * np.maximum(8 - left, 0)).astype(np.uint64)
        words = (words << spare) >> spare
        lanes[:, rows] = _mixed((lanes[:, rows] ^ words) + _PRESENT[:, None])
        done += 8
        rows = rows[left > 8]
    lanes[:, long] = _digested([data[starts[i] : starts[i] + lengths[i]] for i in long])
    return lanes


def _digested(contents: list[Any]) -> Words:
    """(2, N): a word of each content for each lane."""
    digests = b"".join(hashlib.blake2b(c, digest_size=16).digest() for c in contents)
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2).T


def _mixed(words: Words) -> Words:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _pixels(image: dict[str, Any]) -> bytes:
    try:
        with Image.open(io.BytesIO(image["bytes"])) as opened:
            return f"{opened.mode} {opened.size} ".encode() + opened.tobytes()
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"cannot read the image {image['path']!r}: {error}") from error
