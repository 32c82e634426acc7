"""Telephone numbers."""

import re
from typing import Any

import phonenumbers

from tasks.privacy.pii.base import Match, Recogniser, Sample, hidden

REGIONS = [
    "US",
    "GB",
    "DE",
    "FR",
    "ES",
    "IT",
    "BR",
    "IN",
    "NL",
    "PL",
    "SE",
    "MX",
    "JP",
    "CN",
    "RU",
    "TR",
    "AU",
    "CH",
    "AT",
    "BE",
    "CZ",
    "PT",
    "DK",
    "NO",
    "FI",
    "KR",
    "ZA",
    "AR",
    "GR",
    "UA",
]
"""Whose national numbers are known; one region counts for a whole column."""

_TRIED = 100
"""Values by which the region of a column is chosen."""

_PARSED = 500
"""Values that are read for that region; reading a number takes long."""

_FORM = re.compile(
    r"(?:\+|00)?[ ]?(?:\(\+?\d{1,4}\)|\d)(?:[ ./-]{0,3}\(?\d\)?){5,16}(?:[ ]?(?:x|ext\.?)[ ]?\d{1,6})?"
)
_SPELLED = re.compile(r"\+|^0\d*[ ./()-]|^\(|\)[ -]?\d")
"""What people write in telephone numbers and hardly in other ones."""

_OTHER = re.compile(
    r"\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{2,4}|0?\.\d+|\d[.]\d+"
    r"|(?:97[89]-)?\d{1,5}-\d{1,7}-\d{1,7}-\d"
)
"""Dates, decimals, ISBN."""


class Phone(Recogniser):
    """Digits as long as a number of some country, written as telephone numbers are.

    Plain digits are a telephone number only where the column's name says so.
    """

    kind = "phone"
    hint = (
        r"phone|\btele?(fono?|fone)?\b|\btel (no|nr|num)|\bmobile?\b|\bcell(ular)?\b|\bfax\b|handy"
        r"|telefon|\bmovil\b|\bcelular\b|\bgsm\b|\bmsisdn\b|\bcaller\b|\bkomorka\b|телефон|电话|電話|手机"
    )
    against = r"\b(type|brand|model|count|minutes|calls|charge|price|plan|service)\b"
    bare_share = 0.7
    hinted_share = 0.5
    in_text = re.compile(
        r"(?<![\w.+/-])(?:\+[1-9]\d{0,2}[ .-]?(?:\(0?\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){6,12}"
        r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}[.-]\d{3}[.-]\d{4}"
        r"|0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5})(?![\w-]|\.\d)"
    )

    def applies(self, sample: Sample) -> bool:
        """Text or whole numbers."""
        return sample.is_whole or sample.data_type == "double"

    def holds(self, value: str) -> bool:
        """Whether it is as long as some country's numbers are, or internationally valid."""
        return _may_be(value) and (not value.startswith("+") or _possible(value, None))

    def match(self, sample: Sample, *, hinted: bool) -> Match:
        """By the one region that most of the values fit."""
        values = sample.values[:: max(1, len(sample.values) // _PARSED)]
        likely = [v for v in values if _may_be(v)]
        if not hinted:
            spelled = sum(_SPELLED.search(v) is not None for v in likely)
            if not sample.is_text or spelled < 0.5 * len(values):
                return Match(0)
        if len(likely) < self.hinted_share * len(values):
            return Match(0)
        tried = likely[:: max(1, len(likely) // _TRIED)]
        region = max(REGIONS, key=lambda r: sum(_possible(v, r) for v in tried))
        share = sum(_possible(v, region) for v in likely) / len(values)
        return Match(round(share * len(sample.values)), detail=region)

    def mask(self, value: str) -> str:
        """The last two digits stay."""
        return hidden(value, keep=2)

    def generalise(self, value: str) -> str | None:
        """The country's code, where it is written."""
        try:
            number = phonenumbers.parse(value, None)
        except phonenumbers.NumberParseException:
            return None
        return f"+{number.country_code}"

    def invent(self, faker: Any, value: str) -> str:
        """Other digits in the same form: the length, the code of the country, brackets stay."""
        head = re.match(r"\+\d{1,2}|00\d\d|0|", value)
        start = head.end() if head else 0
        return value[:start] + re.sub(r"\d", lambda _: str(faker.random_digit()), value[start:])


def _may_be(value: str) -> bool:
    if not 7 <= len(value) <= 32 or _FORM.fullmatch(value) is None or _OTHER.fullmatch(value):
        return False
    return 7 <= sum(c.isdigit() for c in value) <= 20


def _possible(value: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(value, region))
    except phonenumbers.NumberParseException:
        return False
