"""Quick proofs that texts which Arrow took as values of a type are written as the form of the type asks.

Arrow's parsers take more than the patterns of `_forms` do: `007`, `+1`, `0x1F`, `2020-01-31 10`. To
match every text against a pattern costs several times what parsing it does; what a parser lets
through beyond the pattern can be told from lengths and first characters. False means: not proved.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def are_words(texts: pa.Array, values: pa.Array) -> bool:
    """Not 0 and 1, which are truth values too."""
    del values
    return bool((pc.min(pc.binary_length(texts)).as_py() or 4) >= 4)


def are_plain_integers(texts: pa.Array, values: pa.Array) -> bool:
    """Written back, they are what they were: no leading zero, no hexadecimal digits."""
    return bool(pc.cast(values, pa.string()).equals(texts))


def are_plain_doubles(texts: pa.Array, values: pa.Array) -> bool:
    """No `NAN`, no plus sign, and no zero before another digit."""
    if pc.any(pc.is_nan(values)).as_py():
        return False
    n = len(texts)
    ends = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + n + 1]
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    if len(data) < 2:
        return True
    first = data[np.minimum(ends[:-1], len(data) - 1)]
    if (first == ord("+")).any():
        return False
    starts = ends[:-1] + (first == ord("-"))
    is_long = ends[1:] - starts >= 2
    starts = starts[is_long]
    following = data[starts + 1]
    is_digit = (following >= ord("0")) & (following <= ord("9"))
    return not bool((is_digit & (data[starts] == ord("0"))).any())


def are_iso_dates(texts: pa.Array, values: pa.Array) -> bool:
    """All of ten characters: year, month and day."""
    del values
    lengths = pc.min_max(pc.binary_length(texts)).as_py()
    return bool(lengths["min"] == lengths["max"] == len("2020-01-31"))


def are_iso_moments(texts: pa.Array, values: pa.Array) -> bool:
    """All with seconds, none with a zone."""
    del values
    lengths = pc.min_max(pc.binary_length(texts)).as_py()
    length = lengths["min"]
    return bool(length == lengths["max"] and (length == 19 or 21 <= (length or 0) <= 26))
