"""How the values of a delimited file are written, so that synthetic ones are written alike.

Reading a table loses the spelling of its values: `03/04/2020`, `TRUE`, `12.50`, `$1,250`, `NA`. This
module looks at some original texts beside what was read from them, and picks for each column the
way of writing that gives the texts back.
"""

import datetime
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Write = Callable[[Any], str]
"""Takes a value, None where it is missing, and gives its text."""

SAMPLE_VALUES = 500
"""Different texts of a column that are looked at."""

# fmt: off
_DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y",
    "%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d-%b-%Y", "%d-%b-%y", "%d-%B-%Y",
    "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y",
)
# fmt: on
_CLOCK = re.compile(r"(\d{1,2}):\d\d(:\d\d)?(\.\d+)?( [AaPp][Mm])?")
_ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)$")
_NUMBER = re.compile(
    r"(?P<sign>-?)(?P<before>[^\d.,-]*)(?P<late_sign>-?)"
    r"(?P<whole>[\d.,]*?)(?:(?P<point>[.,])(?P<decimals>\d*))?"
    r"(?:(?P<e>[eE])(?P<e_sign>[+-]?)(?P<power>\d+))?(?P<after>[^\d.,]*)"
)
_SWAPPED = str.maketrans(".,", ",.")


def learn(texts: pa.Array, values: pa.Array) -> Write:
    """The way to write values of a column.

    Args:
        texts: as they stand in the file.
        values: what was read from each of them.
    """
    pairs = pa.table({"text": pc.utf8_trim_whitespace(texts), "value": values})
    if pa.types.is_string(values.type):
        pairs = pairs.filter(pc.is_null(pairs["value"]))  # texts are written as they are
    # One thread, so that they come in the order of the file.
    counted = pairs.group_by(["text", "value"], use_threads=False).aggregate([([], "count_all")])
    missing = counted.filter(pc.is_null(counted["value"])).sort_by([("count_all", "descending")])
    nothing = missing["text"][0].as_py() if missing.num_rows else ""
    present = counted.filter(pc.is_valid(counted["value"])).slice(0, SAMPLE_VALUES)
    known = list(zip(present["text"].to_pylist(), present["value"].to_pylist(), strict=True))
    write = _best(_ways(values.type, known), known)
    return lambda value: nothing if value is None else write(value)


def write_all(write: Write, values: pa.Array) -> list[str]:
    """The texts of a column; a value that repeats is written once."""
    if pa.types.is_string(values.type) and values.null_count == 0:
        return list(values.to_pylist())
    coded = values.dictionary_encode()
    texts = [write(value) for value in coded.dictionary.to_pylist()]
    texts.append(write(None))
    return [texts[i] for i in pc.fill_null(coded.indices, len(texts) - 1).to_pylist()]


def _ways(data_type: pa.DataType, known: list[tuple[str, Any]]) -> Iterator[Write]:
    """The ways in which a file may write values of this type, the plainest first."""
    texts = [text for text, _ in known]
    if pa.types.is_boolean(data_type):
        spelled = {value: text for text, value in reversed(known)}
        yield lambda value: spelled.get(value, str(value).lower())
    elif pa.types.is_floating(data_type) or pa.types.is_integer(data_type):
        yield from _numbers(texts, is_whole=pa.types.is_integer(data_type))
    elif pa.types.is_temporal(data_type):
        yield from _moments(texts, data_type)
    else:
        yield str


def _best(ways: Iterator[Write], known: list[tuple[str, Any]]) -> Write:
    """The first way that gives most of the texts back."""
    best: Write = str
    best_score = -1
    for write in ways:
        score = sum(write(value) == text for text, value in known)
        if score > best_score:
            best, best_score = write, score
        if best_score == len(known):
            break
    return best


# --- numbers -------------------------------------------------------------------------------------


def _numbers(texts: list[str], *, is_whole: bool) -> Iterator[Write]:
    parts = [found.groupdict() for found in map(_NUMBER.fullmatch, texts) if found]
    cores: list[Write] = [str, lambda value: f"{value:,}"] if is_whole else list(_floats(parts))
    before, after, late_sign, comma = (
        _usual(part[name] for part in parts) for name in ("before", "after", "late_sign", "point")
    )
    for core in cores:
        for swap in (False, True) if comma == "," or not is_whole else (False,):
            yield _with_signs(core, before, after, is_late=bool(late_sign), swap=swap)


def _floats(parts: list[dict[str, str | None]]) -> Iterator[Write]:
    """Ways to write a number with a decimal point and without signs around it."""
    decimals = Counter(len(part["decimals"] or "") for part in parts)
    usual = decimals.most_common(1)[0][0] if decimals else 1
    yield repr
    yield lambda value: repr(value).removesuffix(".0")
    yield lambda value: f"{value:.{usual}f}"
    yield _positional
    yield lambda value: f"{value:,.{usual}f}"
    yield lambda value: f"{Decimal(repr(value)):,f}".removesuffix(".0")
    powers = [part for part in parts if part["e"]]
    if powers:
        e = _usual(part["e"] for part in powers)
        plus = "+" if any(part["e_sign"] == "+" for part in powers) else ""
        width = min(len(part["power"] or "") for part in powers)
        places = _usual_number(len(part["decimals"] or "") for part in powers)
        yield lambda value: _scientific(f"{value:.{places}e}", e, plus, width)
        yield lambda value: _scientific(f"{Decimal(repr(value)).normalize():e}", e, plus, width)


def _positional(value: float) -> str:
    return f"{Decimal(repr(value)):f}".removesuffix(".0")


def _scientific(text: str, e: str, plus: str, width: int) -> str:
    """Python's scientific notation with another letter, sign and number of digits of the power."""
    mantissa, _, power = text.partition("e")
    shown = "-" if power.startswith("-") else plus
    return f"{mantissa}{e}{shown}{abs(int(power)):0{width}d}"


def _with_signs(core: Write, before: str, after: str, *, is_late: bool, swap: bool) -> Write:
    """Numbers with a sign of a currency or a percent sign, or with none."""
    if not (before or after):
        return (lambda value: core(value).translate(_SWAPPED)) if swap else core

    def write(value: float) -> str:
        minus = "-" if value < 0 else ""
        text = core(abs(value))
        text = text.translate(_SWAPPED) if swap else text
        return f"{before}{minus}{text}{after}" if is_late else f"{minus}{before}{text}{after}"

    return write


def _usual(values: Iterable[str | None]) -> str:
    counts = Counter(value or "" for value in values)
    return counts.most_common(1)[0][0] if counts else ""


def _usual_number(values: Iterable[int]) -> int:
    return Counter(values).most_common(1)[0][0]


# --- dates and times -----------------------------------------------------------------------------


def _moments(texts: list[str], data_type: pa.DataType) -> Iterator[Write]:
    clocks = [""] if pa.types.is_date(data_type) else list(_clocks(texts))
    days = [""]
    if not pa.types.is_time(data_type):
        days = [*_DAYS, *(_unpadded(day) for day in _DAYS)]
    zone = _usual(_ZONE.findall(text)[0] for text in texts if _ZONE.search(text))
    has_zone = pa.types.is_timestamp(data_type) and data_type.tz is not None
    cases: tuple[Callable[[str], str], ...] = (str, str.upper, str.lower)
    for case, day, clock in itertools.product(cases, days, clocks):
        yield _strftime(day + clock, zone if has_zone else "", case)


def _unpadded(day: str) -> str:
    return day.replace("%d", "%-d").replace("%m", "%-m")


def _clocks(texts: list[str]) -> Iterator[str]:
    """Layouts of what follows the day, the commonest first."""
    shapes: Counter[str] = Counter()
    for text in texts:
        found = _CLOCK.search(text)
        if found is None:
            shapes[""] += 1
            continue
        _, seconds, fraction, half = found.groups()
        joint = text[found.start() - 1] if found.start() else ""
        layout = f"{joint}%{'I' if half else 'H'}:%M"
        layout += ("%S" if seconds is None else ":%S") if seconds else ""
        layout += f".{{{len(fraction) - 1}}}" if fraction else ""
        shapes[layout + (" %p" if half else "")] += 1
    for layout, _ in shapes.most_common(3):
        yield layout
        yield layout.replace("%H", "%-H").replace("%I", "%-I")


def _strftime(layout: str, zone: str, case: Callable[[str], str]) -> Write:
    """Writes dates and times; `{k}` in a layout stands for k digits of a second's fraction."""
    digits = re.search(r"\{(\d+)\}", layout)
    offset = _offset(zone)

    def write(value: Any) -> str:
        if offset is not None:
            value = value.astimezone(offset)
        # Years before 1000 are not padded by the C library.
        filled = layout.replace("%Y", f"{value.year:04d}") if "%Y" in layout else layout
        if digits:
            fraction = f"{value.microsecond:06d}".ljust(9, "0")[: int(digits[1])]
            filled = filled.replace(digits[0], fraction)
        return case(value.strftime(filled)) + zone

    return write


def _offset(zone: str) -> datetime.timezone | None:
    if not zone:
        return None
    if zone == "Z":
        return datetime.UTC
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    ahead = datetime.timedelta(hours=hours, minutes=minutes)
    return datetime.timezone(-ahead if zone[0] == "-" else ahead)
