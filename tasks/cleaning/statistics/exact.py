"""Columns of numbers and moments as whole numbers of a unit, so that sums and ranks are exact.

A sum of doubles depends on the order of its terms. Here it does not: every double is a whole number
of 2^-1126, and whole numbers are added without rounding. So a mean is the same however the rows are
cut into batches, and is the double nearest to the true one.
"""

import decimal
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_FLOAT_UNIT = 1126
"""Doubles are whole numbers of 2^-1126: 53 bits below the smallest power of two that `frexp` gives."""

_LOW_BITS = 27
_SIGN = np.uint64(2**63)


def is_number(kind: pa.DataType) -> bool:
    """Whether a type is of numbers."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal128(kind)
    )


def is_ordered(kind: pa.DataType) -> bool:
    """Whether a type is of numbers, or of dates, times and spans of time."""
    return is_number(kind) or bool(pa.types.is_temporal(kind))


def total(values: pa.Array) -> Fraction:
    """The sum of the values that are not missing, in the unit of their type.

    Args:
        values: of an ordered type (`is_ordered`), without NaN and infinity; 2^26 of them at most.
    """
    values = values.drop_null()
    if not pa.types.is_floating(values.type):
        return _sum(whole_numbers(values)) * unit_of(values.type)
    mantissas, places = _float_parts(values)
    high, low = mantissas >> _LOW_BITS, mantissas & (2**_LOW_BITS - 1)
    units = _binned(places, high, _LOW_BITS) + _binned(places, low, 0)
    return Fraction(units, 2**_FLOAT_UNIT)


def total_of_squares(values: pa.Array) -> Fraction:
    """The sum of the squares of the values that are not missing; as of `total`."""
    values = values.drop_null()
    if not pa.types.is_floating(values.type):
        return _sum_of_squares(whole_numbers(values)) * unit_of(values.type) ** 2
    mantissas, places = _float_parts(values)
    mantissas = np.abs(mantissas)
    high, low = mantissas >> _LOW_BITS, mantissas & (2**_LOW_BITS - 1)
    units = 0
    for product, shift in ((high * high, 2), (2 * high * low, 1), (low * low, 0)):
        bits = _LOW_BITS * shift
        units += _binned(2 * places, product >> _LOW_BITS, bits + _LOW_BITS)
        units += _binned(2 * places, product & (2**_LOW_BITS - 1), bits)
    return Fraction(units, 2 ** (2 * _FLOAT_UNIT))


def unit_of(kind: pa.DataType) -> Fraction:
    """What 1 of the whole numbers of a type is worth; moments count in the unit of their type."""
    return Fraction(1, 10**kind.scale) if pa.types.is_decimal128(kind) else Fraction(1)


def value_of(exact: Fraction, kind: pa.DataType) -> pa.Scalar:
    """The value of a type that is nearest to `exact`; of two, the even one."""
    if pa.types.is_floating(kind):
        return pa.scalar(float(exact), pa.float64()).cast(kind)
    units = round(exact / unit_of(kind))
    if pa.types.is_decimal128(kind):
        with decimal.localcontext(prec=76):
            return pa.scalar(decimal.Decimal(units).scaleb(-kind.scale), kind)
    if pa.types.is_temporal(kind):
        carrier = pa.int32() if kind.bit_width == 32 else pa.int64()
        return pa.array([units], carrier).view(kind)[0]
    return pa.scalar(units, kind)


def exact_of(value: pa.Scalar) -> Fraction:
    """The inverse of `value_of`, for a value that is there."""
    values = pa.array([value], value.type)
    if pa.types.is_floating(value.type):
        return Fraction(value.as_py())
    return Fraction(int(whole_numbers(values)[0])) * unit_of(value.type)


def whole_numbers(values: pa.Array) -> npt.NDArray[Any]:
    """The values in `unit_of` their type, which is no floating-point one; none is missing.

    Shape:
        (N,) int64 or uint64, or Python's numbers where those are too short.
    """
    kind = values.type
    if pa.types.is_decimal128(kind):
        low, high = _decimal_words(values)
        is_short = high == np.where(low & _SIGN, np.uint64(2**64 - 1), np.uint64(0))
        if is_short.all():
            return low.view(np.int64)
        pairs = zip(high.view(np.int64).tolist(), low.tolist(), strict=True)
        return np.array([first * 2**64 + second for first, second in pairs], dtype=object)
    if pa.types.is_temporal(kind):
        values = values.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    carrier = pa.uint64() if pa.types.is_unsigned_integer(kind) else pa.int64()
    whole: npt.NDArray[Any] = pc.cast(values, carrier).to_numpy()
    return whole


def of_whole_numbers(numbers: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """The inverse of `whole_numbers`; the type holds all of them."""
    if pa.types.is_decimal128(kind):
        with decimal.localcontext(prec=76):
            units = [decimal.Decimal(number).scaleb(-kind.scale) for number in numbers.tolist()]
        return pa.array(units, kind)
    if pa.types.is_temporal(kind):
        carrier = pa.int32() if kind.bit_width == 32 else pa.int64()
        return pa.array(numbers.tolist(), carrier).view(kind)
    return pa.array(numbers.tolist(), kind)


def root_of(exact: Fraction) -> float:
    """The square root, nearly to the last bit, of numbers too large or too small for a double too."""
    with decimal.localcontext(prec=40, Emax=10**6, Emin=-(10**6)):
        return float((decimal.Decimal(exact.numerator) / exact.denominator).sqrt())


def sort_keys(values: pa.Array) -> list[npt.NDArray[np.uint64]]:
    """Words that sort as the values do, the first one first; missing values have none.

    Shape:
        one or, for decimals, two of (N,) uint64.
    """
    values = values.drop_null()
    kind = values.type
    if pa.types.is_floating(kind):
        bits = (values.cast(pa.float64()).to_numpy() + 0.0).view(np.uint64)
        return [np.where(bits & _SIGN, ~bits, bits | _SIGN)]
    if pa.types.is_decimal128(kind):
        low, high = _decimal_words(values)
        return [high ^ _SIGN, low]
    whole = whole_numbers(values)
    return [whole if whole.dtype == np.uint64 else whole.view(np.uint64) ^ _SIGN]


def from_sort_key(key: int, kind: pa.DataType) -> Fraction:
    """The value of which `sort_keys` gave these words, written one behind the other."""
    if pa.types.is_floating(kind):
        bits = key ^ int(_SIGN) if key & int(_SIGN) else ~key & (2**64 - 1)
        return Fraction(float(np.array([bits], dtype=np.uint64).view(np.float64)[0]))
    if pa.types.is_unsigned_integer(kind):
        return Fraction(key)
    n_bits = 128 if pa.types.is_decimal128(kind) else 64
    return Fraction(key - 2 ** (n_bits - 1)) * unit_of(kind)


def _float_parts(values: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Mantissas of 53 bits and powers of two, in `_FLOAT_UNIT`s."""
    mantissas, exponents = np.frexp(values.cast(pa.float64()).to_numpy())
    return (mantissas * 2.0**53).astype(np.int64), exponents.astype(np.int64) - 53 + _FLOAT_UNIT


def _binned(places: npt.NDArray[np.int64], terms: npt.NDArray[np.int64], shift: int) -> int:
    """The sum of `terms` * 2^(`places` + `shift`); the terms have 27 bits or so."""
    sums = np.bincount(places, weights=terms) if len(places) else np.empty(0)
    return sum(int(sums[i]) << (int(i) + shift) for i in np.flatnonzero(sums))


def _decimal_words(values: pa.Array) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    if len(values) == 0:
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64)
    words = np.frombuffer(values.buffers()[1], dtype=np.uint64).reshape(-1, 2)
    words = words[values.offset : values.offset + len(values)]
    return np.ascontiguousarray(words[:, 0]), np.ascontiguousarray(words[:, 1])


def _sum(whole: npt.NDArray[Any]) -> int:
    if whole.dtype == object:
        return int(sum(whole))
    high, low = whole >> 32, whole & np.array(2**32 - 1, dtype=whole.dtype)
    return (int(high.sum()) << 32) + int(low.sum())


def _sum_of_squares(whole: npt.NDArray[Any]) -> int:
    if whole.dtype == object:
        return int(sum(number * number for number in whole))
    sizes = (np.abs(whole) if whole.dtype == np.int64 else whole).view(np.uint64)
    high, low = sizes >> np.uint64(32), sizes & np.uint64(2**32 - 1)
    return (_sum(high * high) << 64) + (_sum(high * low) << 33) + _sum(low * low)
