"""The forms in which delimited text writes numbers, dates, times and truth values.

A column has a type if all of its values are written in one form. Some forms lose their spelling in
the type (`12 %`, `$1,250.00`): a dataset, which keeps the type alone, takes such columns as text;
who writes the values back as they stood (see `tasks/commands/spelling.py`) takes `RESPELLED` too.
"""

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tasks.sources.formats._proofs import (
    are_iso_dates,
    are_iso_moments,
    are_plain_doubles,
    are_plain_integers,
    are_words,
)

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "?", "-")
"""What stands for no value in a column of numbers, dates or truth values; in text only nothing does."""

NUMBER = r"-?(([0-9]|[1-9][0-9]+)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"

MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"

CURRENCIES = "$€£¥₹"

_PROBE_VALUES = 64
"""Values that are tried before all others: most forms fail on the first."""

_CLOCK = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_ISO_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_DAY = "[0-9]{1,2}"
_GROUPED = "[1-9][0-9]{0,2}(,[0-9]{3})+"
_GROUPED_BY_POINTS = "[1-9][0-9]{0,2}([.][0-9]{3})+"
_GROUPED_WHOLE = f"-?({_GROUPED}|[0-9]{{1,3}})"
_MOMENT = pa.timestamp("us")


@dataclass(frozen=True)
class Form:
    """One way to write values of one type: all of a column's values must match it.

    Attributes:
        data_type: that the values get.
        pattern: of a whole value.
        parse: from texts to values; what it takes may be more than the pattern allows.
        proves: whether texts that `parse` took must all match the pattern. It is quicker than to
            match them; False where it cannot say.
    """

    data_type: pa.DataType
    pattern: str
    parse: Callable[[pa.Array], pa.Array]
    proves: Callable[[pa.Array, pa.Array], bool] | None = None

    def fits(self, values: pa.Array) -> bool:
        """Whether every value of `values`, none missing, is written in this form."""
        # Most forms fail on the first value, which needs no kernel.
        if len(values) and not re.fullmatch(self.pattern, values[0].as_py()):
            return False
        for some in (values.slice(0, _PROBE_VALUES), values.slice(_PROBE_VALUES)):
            if len(some) == 0:
                break
            if not pc.all(
                pc.match_substring_regex(some, f"^({self.pattern})$"), min_count=0
            ).as_py():
                return False
            try:
                if self.parse(some).null_count:
                    return False
            except pa.ArrowInvalid:  # too large an integer, the 30th of February
                return False
        return True

    def read(self, texts: pa.Array) -> pa.Array | None:
        """The values of these texts, null where one stands for none; None: one does not fit."""
        if self.proves is not None:
            given = texts
            if pc.min(pc.binary_length(texts)).as_py() == 0:
                given = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
            try:
                values = self.parse(given)
                if values.null_count == given.null_count and self.proves(given, values):
                    return values
            except pa.ArrowInvalid:  # `NA`, or spaces around a value
                pass
        typed = without_missing(texts)
        return self.parse(typed) if self.fits(typed.drop_null()) else None


NO_VALUE = Form(pa.string(), "", lambda texts: pa.nulls(len(texts), pa.string()))
"""Of a column that holds nothing but what stands for no value."""


def plain_forms() -> Iterator[Form]:
    """Forms whose type tells all; where a column fits several, the first one wins.

    `03/04/2020` is read as the 4th of March unless a day past the 12th shows that it is not.
    """
    yield Form(pa.bool_(), "(?i:true|false)", _cast(pa.bool_()), are_words)
    yield Form(pa.int64(), "0|-?[1-9][0-9]*", _cast(pa.int64()), are_plain_integers)
    # A whole number past 2^53 would lose digits as a double.
    yield Form(pa.float64(), f"{NUMBER}|-?(?i:inf|infinity)", to_double, are_plain_doubles)
    yield Form(pa.float64(), NUMBER.replace(r"\.", ","), _comma_to_double)
    yield Form(pa.date32(), _ISO_DATE, _cast(pa.date32()), are_iso_dates)
    yield Form(_MOMENT, f"{_ISO_DATE}([ T]{_CLOCK})?", _cast(_MOMENT), are_iso_moments)
    yield Form(
        pa.timestamp("us", tz="UTC"),
        f"{_ISO_DATE}[ T]{_CLOCK}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})",
        _cast(pa.timestamp("us", tz="UTC")),
    )
    for pattern, layout in (
        (f"[0-9]{{4}}/{_DAY}/{_DAY}", "%Y/%m/%d"),
        (f"{_DAY}/{_DAY}/[0-9]{{4}}", "%m/%d/%Y"),
        (f"{_DAY}/{_DAY}/[0-9]{{4}}", "%d/%m/%Y"),
        (rf"{_DAY}\.{_DAY}\.[0-9]{{4}}", "%d.%m.%Y"),
        (f"{_DAY}-{_DAY}-[0-9]{{4}}", "%d-%m-%Y"),
    ):
        yield Form(pa.date32(), pattern, _strptime(layout, pa.date32()))
        for clock, suffix in (("", " %H:%M"), (":[0-9]{2}", " %H:%M:%S")):
            yield Form(
                _MOMENT,
                f"{pattern} {_DAY}:[0-9]{{2}}{clock}",
                _strptime(layout + suffix, _MOMENT),
            )


def respelled_forms(delimiter: str) -> tuple[Form, ...]:
    """`plain_forms`, and those that only a spelling brings back; always the same objects.

    Whole numbers up to 2^64, thousands that are set apart, amounts of money, percentages, years of
    two digits, months by name, clocks of twelve hours, times without a day, fractions of a second
    past microseconds (which are cut off).

    Args:
        delimiter: between the values of the file. Where it is the comma, `"1,500"` is one and a half
            thousand, else it is one and a half.
    """
    forms = _respelled_forms()
    if delimiter != ",":
        return forms
    grouped = next(form for form in forms if form.pattern == _GROUPED_WHOLE)
    return (*forms[:2], grouped, *forms[2:])  # plain integers win


@functools.cache
def _respelled_forms() -> tuple[Form, ...]:
    european = rf"-?({_GROUPED_BY_POINTS}|[0-9]{{1,3}})(,[0-9]+)?"
    clocks = (
        (f"{_DAY}:[0-9]{{2}}", "%H:%M"),
        (f"{_DAY}:[0-9]{{2}}:[0-9]{{2}}", "%H:%M:%S"),
        (f"{_DAY}:[0-9]{{2}} (?i:am|pm)", "%I:%M %p"),
    )
    return (
        *plain_forms(),
        Form(pa.uint64(), "0|[1-9][0-9]*", _cast(pa.uint64())),
        Form(pa.int64(), _GROUPED_WHOLE, _grouped(pa.int64())),
        Form(pa.float64(), rf"-?({_GROUPED}|[0-9]{{1,3}})(\.[0-9]+)?", _grouped(pa.float64())),
        Form(pa.float64(), european, _european),
        *_amounts(),
        *_other_dates(),
        *(Form(pa.time64("us"), pattern, _time(layout)) for pattern, layout in clocks),
    )


def without_missing(texts: pa.Array) -> pa.Array:
    """The texts without spaces around them; null where they stand for no value."""
    trimmed = pc.utf8_trim_whitespace(texts)
    return pc.if_else(is_missing(trimmed), pa.scalar(None, pa.string()), trimmed)


def is_missing(texts: pa.Array) -> pa.Array:
    """Whether each text stands for no value."""
    return pc.is_in(texts, value_set=pa.array(MISSING))


def _amounts() -> Iterator[Form]:
    """Numbers that all have the same sign of a currency or a percent sign before or behind them."""
    cents = rf"({_GROUPED}|[0-9]+)(\.[0-9]+)?"
    european = rf"({_GROUPED_BY_POINTS}|[0-9]+)(,[0-9]+)?"
    for sign in CURRENCIES:
        before = rf"-?[{sign}] ?-?{cents}"
        yield Form(pa.float64(), before, _grouped(pa.float64()))
        yield Form(pa.float64(), rf"-?[{sign}] ?-?{european}", _european)
    for sign in f"%{CURRENCIES}":
        yield Form(pa.float64(), rf"-?{cents} ?[{sign}]", _grouped(pa.float64()))
        yield Form(pa.float64(), rf"-?{european} ?[{sign}]", _european)


def _other_dates() -> Iterator[Form]:
    yield Form(
        _MOMENT, rf"{_ISO_DATE}[ T][0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}\.[0-9]{{7,9}}", _cut(_MOMENT)
    )
    days = [
        (f"{_DAY}/{_DAY}/[0-9]{{2}}", "%m/%d/%y"),
        (f"{_DAY}/{_DAY}/[0-9]{{2}}", "%d/%m/%y"),
        (rf"{_DAY}\.{_DAY}\.[0-9]{{2}}", "%d.%m.%y"),
    ]
    for months in (f"(?i:{MONTHS})", "[A-Z][a-z]{2,8}"):
        days += [
            (f"{_DAY}-{months}-[0-9]{{4}}", "%d-%b-%Y"),
            (f"{_DAY}-{months}-[0-9]{{2}}", "%d-%b-%y"),
            (f"{_DAY} {months} [0-9]{{4}}", "%d %b %Y"),
            (f"{months} {_DAY}, [0-9]{{4}}", "%b %d, %Y"),
            (f"{months} {_DAY} [0-9]{{4}}", "%b %d %Y"),
        ]
    for pattern, layout in days:
        yield Form(pa.date32(), pattern, _strptime(layout, pa.date32()))
    days += [(f"{_DAY}/{_DAY}/[0-9]{{4}}", day) for day in ("%m/%d/%Y", "%d/%m/%Y")]
    for pattern, layout in days:
        for clock, suffix in (
            ("", " %H:%M"),
            (":[0-9]{2}", " %H:%M:%S"),
            (" (?i:am|pm)", " %I:%M %p"),
            (":[0-9]{2} (?i:am|pm)", " %I:%M:%S %p"),
        ):
            moment = f"{pattern} {_DAY}:[0-9]{{2}}{clock}"
            yield Form(_MOMENT, moment, _strptime(layout + suffix, _MOMENT))


def _cast(data_type: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    return lambda texts: pc.cast(texts, data_type)


def _cut(data_type: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    return lambda texts: pc.cast(pc.utf8_slice_codeunits(texts, 0, 26), data_type)


def _strptime(layout: str, data_type: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    numbers = [part[0] for part in layout.split("%")[1:] if part[0] != "b"]
    place_of_day = numbers.index("d")

    def parse(texts: pa.Array) -> pa.Array:
        moments = pc.strptime(texts, layout, "us", error_is_null=True)
        # Arrow takes the 30th of February for the 1st of March.
        days = pc.list_element(
            pc.split_pattern_regex(pc.utf8_ltrim(texts, _LETTERS), "[^0-9]+"), place_of_day
        )
        is_right = pc.equal(pc.day(moments), pc.cast(days, pa.int64()))
        return pc.cast(pc.if_else(is_right, moments, None), data_type)

    return parse


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz "


def _time(layout: str) -> Callable[[pa.Array], pa.Array]:
    return lambda texts: pc.cast(
        pc.strptime(texts, layout, "us", error_is_null=True), pa.time64("us")
    )


def to_double(texts: pa.Array) -> pa.Array:
    """Texts as doubles; raises `pa.ArrowInvalid` for whole numbers that would lose digits."""
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest >= 16 and pc.any(pc.match_substring_regex(texts, "^-?[0-9]{16,}$")).as_py():
        raise pa.ArrowInvalid("a double does not hold so many digits")
    return pc.cast(texts, pa.float64())


def _comma_to_double(texts: pa.Array) -> pa.Array:
    return to_double(pc.replace_substring(texts, ",", "."))


def _grouped(data_type: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    """Parses numbers with commas between thousands and with signs around them."""
    return lambda texts: pc.cast(_digits(texts, "[^0-9.-]"), data_type)


def _european(texts: pa.Array) -> pa.Array:
    return pc.cast(pc.replace_substring(_digits(texts, "[^0-9,-]"), ",", "."), pa.float64())


def _digits(texts: pa.Array, other: str) -> pa.Array:
    return pc.replace_substring_regex(texts, other, "")
