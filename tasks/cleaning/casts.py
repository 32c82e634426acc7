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

_UNITS = ("s", "ms", "us", "ns")
"""Of moments, the largest first."""

_TRUE = ("true", "t", "yes", "y", "1", "on")
_FALSE = ("false", "f", "no", "n", "0", "off")


def _clock(texts: pa.Array) -> pa.Array:
    moments = pc.binary_join_element_wise(pa.scalar("1970-01-01"), texts, " ")
    return pc.cast(pc.cast(moments, pa.timestamp("us")), pa.time64("us"))


_TIME = Form(pa.time64("us"), r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?", _clock)


@functools.cache
def forms() -> tuple[Form, ...]:
    """All forms of numbers and times in texts, known by their places; plain ones come first."""
    return (*respelled_forms(","), _TIME)


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
    form = forms()[number]
    has_zone = pa.types.is_timestamp(form.data_type) and form.data_type.tz is not None
    return has_zone or form is _TIME or form.proves is not None


def is_same(number: int, other: int) -> bool:
    """Whether texts in one form look like those in another, of the same type."""
    one, two = forms()[number], forms()[other]
    return one.pattern == two.pattern and one.data_type == two.data_type


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
        trimmed = spelled(texts, self.kind)
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


def spelled(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    """The texts as the forms have them: numbers without `+` and zeros before them, `+007` as `7`."""
    trimmed = without_missing(texts)
    if not is_number(kind):
        return trimmed
    unsigned = pc.replace_substring_regex(trimmed, r"^\+([0-9.])", r"\1")
    return pc.replace_substring_regex(unsigned, "^(-?)0+([0-9])", r"\1\2")


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
        return _each(_rounded(values, kind), kind)
    if pa.types.is_floating(kind):
        numbers = pc.cast(values, kind, safe=False)
        return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, kind))
    if pa.types.is_temporal(kind) and pa.types.is_temporal(values.type):
        return _moments(values, kind)
    return _each(values, kind)


def _rounded(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Numbers to the digits of a decimal type, in a type with room for all of them."""
    if pa.types.is_integer(values.type):
        return values.cast(pa.decimal128(20, 0))
    if pa.types.is_decimal(values.type):
        return pc.round(values.cast(pa.decimal256(76, values.type.scale)), kind.scale)
    numbers = values.cast(pa.float64())
    fits = pc.less(pc.abs(numbers), 10.0 ** (kind.precision - kind.scale))
    # A number near the largest double cannot be rounded.
    return pc.round(pc.if_else(fits, numbers, pa.scalar(None, pa.float64())), kind.scale)


def _moments(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Dates and times as others; null where the unit is too small to reach so far."""
    both = (values.type, kind)
    if all(pa.types.is_time(t) for t in both):
        return pc.cast(values, kind, safe=False)
    if all(pa.types.is_timestamp(t) for t in both):
        given, wanted = (_UNITS.index(t.unit) for t in both)
        if wanted < given:
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
    wide = _each(rest, pa.decimal256(76, 38))
    return pc.coalesce(found, convert(wide, kind))


def _plain_numbers() -> Iterator[Form]:
    numbers = (form for i, form in enumerate(forms()) if is_plain(i))
    return (form for form in numbers if is_number(form.data_type))
