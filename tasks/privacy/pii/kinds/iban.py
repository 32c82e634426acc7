"""International bank account numbers."""

import re
from typing import Any

from tasks.privacy.pii.base import Recogniser, hidden
from tasks.privacy.pii.check_digits import mod_97

_FORM = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")


class Iban(Recogniser):
    """Country, check digits and account, as ISO 13616 writes them."""

    kind = "iban"
    hint = r"\biban\b|\bbank ?account\b|\bkontonummer\b"
    in_text = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")

    def holds(self, value: str) -> bool:
        """Whether its check digits fit."""
        text = value.replace(" ", "").upper()
        return _FORM.fullmatch(text) is not None and mod_97(text[4:] + text[:4]) == 1

    def mask(self, value: str) -> str:
        """The country and the last four characters stay."""
        return value[:2] + hidden(value[2:], keep=4)

    def generalise(self, value: str) -> str:
        """The country."""
        return value[:2].upper()

    def invent(self, faker: Any, value: str) -> str:
        """A number with check digits that fit."""
        del value
        return str(faker.iban())
