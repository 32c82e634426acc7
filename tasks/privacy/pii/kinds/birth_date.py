"""Dates and years of birth."""

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.privacy.pii.base import Match, Recogniser, Sample

_YEARS = range(1890, 2100)
_DATE = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[ T].*)?|(\d{1,2})[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/. ,]+(\d{4})"
    r"|([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{4})|(\d{4})(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
)


class BirthDate(Recogniser):
    """Dates in a column whose name says that somebody was born on them."""

    kind = "birth_date"
    hint = (
        r"birth|\bdob\b|\bborn\b|\bgeburts?\w*|\bgeb ?datum\b|naissance|\bnacimiento\b|\bfecha nac|nascita"
        r"|nascimento|urodz|fod(d|t|else)\w*|geboorte|narozen|syntyma|dogum|рожд|生年月日|出生"
    )
    against = (
        r"\b(place|city|country|state|weight|order|rate|name|count|ort|lieu|lugar|luogo|ort)\b"
    )
    hinted_share = 0.7
    bare_share = None
    unique = False

    def applies(self, sample: Sample) -> bool:
        """Dates, text, or years as whole numbers."""
        return (
            sample.is_whole
            or pa.types.is_date(sample.data_type)
            or pa.types.is_timestamp(sample.data_type)
        )

    def holds(self, value: str) -> bool:
        """Whether it is a date or a year of the last hundred years or so."""
        year = _year_of(value)
        return len(year) == 4 and year.isdigit() and int(year) in _YEARS

    def match(self, sample: Sample, *, hinted: bool) -> Match:
        """Dates by their years, others by their form."""
        if sample.is_whole:
            return super().match(sample, hinted=hinted)
        return Match(sum(y in _YEARS for y in pc.year(sample.raw).to_pylist()))

    def generalise(self, value: str) -> str:
        """The year."""
        return _year_of(value)

    def invent(self, faker: Any, value: str) -> str:
        """Another day of the same year, in the same form where that begins with the year."""
        year = int(_year_of(value)) if self.holds(value) else 1970
        day = f"{year:04d}-{faker.random_int(1, 12):02d}-{faker.random_int(1, 28):02d}"
        return day if _DATE.fullmatch(value) else str(year)


def _year_of(value: str) -> str:
    """The year of a date in digits; what is no date as it is."""
    date = _DATE.fullmatch(value)
    return (date[1] or date[6] or date[9] or date[10]) if date else value
