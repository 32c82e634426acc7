"""Postcodes: with a date of birth and a sex, most people can be told by them."""

import re
from typing import Any

from tasks.privacy.pii.base import Recogniser, Sample

_FORM = re.compile(r"(?=.*\d)[A-Za-z0-9]{1,5}(?:[ -]?[A-Za-z0-9]{1,5})?")


class Postcode(Recogniser):
    """Short codes with digits in a column whose name says what they are.

    Source: L. Sweeney, "Simple Demographics Often Identify People Uniquely" (2000).
    """

    kind = "postcode"
    hint = (
        r"\b(zip|postal?) ?codes?\b|\bzip\b|\bpost ?codes?\b|\bplz\b|\bpostleitzahl\b|\bcode postal\b"
        r"|\bcodigo postal\b|\bcodice postale\b|\bcap\b|\bcep\b|\bkod pocztowy\b|\bpostnummer\b|\bpsc\b"
        r"|индекс|邮编|郵便番号"
    )
    against = r"\b(shape|loss|gain|market|file|size|index)\b"
    hinted_share = 0.8
    bare_share = None
    unique = False

    def applies(self, sample: Sample) -> bool:
        """Text or whole numbers."""
        return sample.is_whole

    def holds(self, value: str) -> bool:
        """Whether it is as short as a code and has a digit."""
        return 3 <= len(value) <= 10 and _FORM.fullmatch(value) is not None

    def mask(self, value: str) -> str:
        """The first two characters stay."""
        return value[:2] + re.sub(r"\w", "*", value[2:])

    def generalise(self, value: str) -> str:
        """The first two characters: a region."""
        return value[:2]

    def invent(self, faker: Any, value: str) -> str:
        """Other letters and digits in the same form."""
        digits = re.sub(r"\d", lambda _: str(faker.random_digit()), value)
        return re.sub(r"[A-Z]", lambda _: str(faker.random_uppercase_letter()), digits)
