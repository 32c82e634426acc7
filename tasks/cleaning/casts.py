"""Values as another type; what cannot be one becomes missing, and nothing else does."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tasks.cleaning.statistics.exact import is_number
from tasks.sources.formats._forms import (
    Form,
    is_missing,
    plain_forms,
    respelled_forms,
    without_missing,
)

_TRUE = ("true", "t", "yes", "y", "1", "on")
_FALSE = ("false", "f", "no", "n", "0", "off")


@functools.cache
def forms() -> tuple[Form, ...]:
    """All forms of numbers and times in texts, known by their places; plain ones come first."""
    return respelled_forms(",")


@functools.cache
def inferable() -> tuple[int, ...]:
    """The forms by which a column of texts is told to be no texts, the first that fits wins."""
    plain = [(form.pattern, form.data_type) for form in plain_forms()]
    return tuple(i for i, form in enumerate(forms()) if (form.pattern, form.data_type) in plain)


def candidates(kind: pa.DataType) -> tuple[int, ...]:
    """The forms in which texts can be values of a type."""
    return tuple(i for i, form in enumerate(forms()) if _family(form.data_type) == _family(kind))


@functools.cache
def is_plain(number: int) -> bool:
    """Whether a form is of numbers without marks, or of dates and times as ISO 8601 has them."""
    kind = forms()[number].data_type
    has_zone = pa.types.is_timestamp(kind) and kind.tz is not None
    return has_zone or forms()[number].proves is not None


@dataclass(frozen=True)
class Reading:
    """How the texts of a column are read.

    Attributes:
        kind: what they become.
        numbers: of the forms, tried one after the other.
    """

    kind: pa.DataType
    numbers: tuple[int, ...]

    def __call__(self, texts: pa.Array) -> pa.Array:
        """(N,) of the type; null where a text stands for no value, or cannot be read."""
        trimmed = without_missing(texts)
        if pa.types.is_boolean(self.kind):
            return _truth(trimmed)
        found = pa.nulls(len(texts), self.kind)
        if pa.types.is_decimal128(self.kind):
            found = _decimals(trimmed, self.kind)
        for number in self.numbers:
            is_open = pc.and_(found.is_null(), trimmed.is_valid())
            if not pc.any(is_open).as_py():
                break
            some = pc.if_else(is_open, trimmed, pa.scalar(None, trimmed.type))
            found = pc.coalesce(found, convert(read_form(forms()[number], some), self.kind))
        return found


def marks(texts: pa.Array) -> pa.Array:
    """Whether each text is there, but stands for no value."""
    return pc.fill_null(is_missing(pc.utf8_trim_whitespace(texts)), fill_value=False)


def read_form(form: Form, texts: pa.Array) -> pa.Array:
    """The values of texts in one form; null where a text is missing or is in another one."""
    matches = pc.match_substring_regex(texts, f"^({form.pattern})$")
    return _each(pc.if_else(matches, texts, pa.scalar(None, texts.type)), form)


def can_convert(source: pa.DataType, kind: pa.DataType) -> bool:
    """Whether values of one type can be another one at all; of texts each must tell."""
    if pa.types.is_string(source) or pa.types.is_large_string(source):
        return pa.types.is_string(kind) or pa.types.is_boolean(kind) or bool(candidates(kind))
    if pa.types.is_string(kind):
        return not (pa.types.is_nested(source) or pa.types.is_binary(source))
    if pa.types.is_boolean(source) or pa.types.is_boolean(kind):
        return all(pa.types.is_boolean(t) or is_number(t) for t in (source, kind))
    if is_number(source) or is_number(kind):
        return is_number(source) and is_number(kind)
    return _family(source) == _family(kind) == "moment" or source == kind


def convert(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Numbers, moments and truth values as another type; null where the value would be another one.

    Two things are rounded, as the type is chosen for it: numbers to the digits of doubles and
    decimals, moments to dates and to larger units.
    """
    if pa.types.is_boolean(kind) and not pa.types.is_boolean(values.type):
        numbers = convert(values, pa.float64())
        is_truth = pc.or_(pc.equal(numbers, 0.0), pc.equal(numbers, 1.0))
        return pc.if_else(is_truth, pc.equal(numbers, 1.0), pa.scalar(None, pa.bool_()))
    if pa.types.is_boolean(values.type) and is_number(kind):
        values = values.cast(pa.int8())
    if pa.types.is_decimal128(kind):
        # Arrow wants room for the largest number of the type.
        is_whole = pa.types.is_integer(values.type)
        wide = values.cast(pa.decimal128(20, 0)) if is_whole else pc.round(values, kind.scale)
        return _each(wide, kind)
    if pa.types.is_floating(kind):
        numbers = pc.cast(values, kind, safe=False)
        return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, kind))
    if pa.types.is_temporal(kind) and pa.types.is_temporal(values.type):
        return pc.cast(values, kind, safe=False)
    return _each(values, kind)


def _each(values: pa.Array, target: Form | pa.DataType) -> pa.Array:
    """Arrow refuses an array with one wrong value: that one is looked for by halving."""
    try:
        return target.parse(values) if isinstance(target, Form) else pc.cast(values, target)
    except pa.ArrowInvalid:
        if len(values) - values.null_count <= 1:
            kind = target.data_type if isinstance(target, Form) else target
            return pa.nulls(len(values), kind)
        half = len(values) // 2
        return pa.concat_arrays([_each(v, target) for v in (values[:half], values[half:])])


def _family(kind: pa.DataType) -> str:
    if is_number(kind):
        return "number"
    if pa.types.is_time(kind):
        return "time"
    is_moment = pa.types.is_date(kind) or pa.types.is_timestamp(kind)
    return "moment" if is_moment else str(kind)


def _truth(texts: pa.Array) -> pa.Array:
    words = pc.utf8_lower(texts)
    is_true, is_false = (pc.is_in(words, value_set=pa.array(known)) for known in (_TRUE, _FALSE))
    return pc.if_else(pc.or_(is_true, is_false), is_true, pa.scalar(None, pa.bool_()))


def _decimals(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    """Plain numbers without a detour over doubles, which have 17 digits at most."""
    pattern = "^(" + "|".join(form.pattern for form in _plain_numbers()) + ")$"
    matches = pc.match_substring_regex(texts, pattern)
    plain = pc.if_else(matches, texts, pa.scalar(None, texts.type))
    found = _each(plain, kind)
    is_open = pc.and_(found.is_null(), plain.is_valid())
    if not pc.any(is_open).as_py():
        return found
    # Arrow cuts no digits off; a decimal with more of them is rounded.
    rest = pc.if_else(is_open, plain, pa.scalar(None, texts.type))
    wide = _each(rest, pa.decimal128(38, min(38, kind.scale + 12)))
    return pc.coalesce(found, _each(pc.round(wide, kind.scale), kind))


def _plain_numbers() -> Iterator[Form]:
    numbers = (form for i, form in enumerate(forms()) if is_plain(i))
    return (form for form in numbers if is_number(form.data_type))
