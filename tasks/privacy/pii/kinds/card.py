"""Payment cards."""

import re
from typing import Any

from tasks.privacy.pii.base import Match, Recogniser, Sample, hidden
from tasks.privacy.pii.check_digits import luhn

_PREFIXES = re.compile(
    r"4\d{12}(?:\d{3}){0,2}"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12}"  # Discover
    r"|3(?:0[0-5]|[68]\d)\d{11}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|(?:5018|5020|5038|5[6-8]\d\d|6304|6390|6759|676[1-3])\d{8,15}"  # Maestro
    r"|220[0-4]\d{12,15}"  # Mir
)
_CHANCE = 0.03
"""Share of numbers of 13 to 19 digits that pass: one in ten has the check digit, a third at most of
them begin as a card does."""


class Card(Recogniser):
    """The digits of an issuer, as many as it gives, and the check digit.

    Source: ISO/IEC 7812; ranges as the issuers publish them.
    """

    kind = "card"
    hint = r"\b(credit|debit|payment)? ?card( ?(no|num|number|nr))?$|\bpan\b|\bkreditkarte|\bcarte bancaire|\btarjeta\b|\bcartao\b|\bccn?\b"
    in_text = re.compile(
        r"(?<![\w.-])(?:\d{4}[ -]?){3}\d{1,7}(?![\w-])|\b3[47]\d\d[ -]?\d{6}[ -]?\d{5}\b"
    )

    def applies(self, sample: Sample) -> bool:
        """Text or whole numbers."""
        return sample.is_whole or sample.data_type == "double"

    def holds(self, value: str) -> bool:
        """Whether an issuer could have given it."""
        digits = value.replace(" ", "").replace("-", "")
        return (
            12 <= len(digits) <= 19
            and digits.isascii()
            and digits.isdigit()
            and _PREFIXES.fullmatch(digits) is not None
            and luhn(digits)
        )

    def match(self, sample: Sample, *, hinted: bool) -> Match:
        """By the values, less the share that random digits would have."""
        return Match(super().match(sample, hinted=hinted).n, _CHANCE)

    def mask(self, value: str) -> str:
        """The last four digits stay (PCI DSS 3.4.1)."""
        return hidden(value, keep=4)

    def generalise(self, value: str) -> str:
        """The first six digits: the issuer."""
        return value.replace(" ", "").replace("-", "")[:6]

    def invent(self, faker: Any, value: str) -> str:
        """A number with a check digit that fits."""
        del value
        return str(faker.credit_card_number())
