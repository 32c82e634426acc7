"""Numbers of passports, identity cards and driving licences."""

import re
from typing import Any

from tasks.privacy.pii.base import Recogniser, Sample

_FORM = re.compile(r"(?=.*\d)[A-Z0-9]{5,16}")


class Passport(Recogniser):
    """Short codes in a column whose name says what they are: most countries have no check digit."""

    kind = "passport"
    hint = (
        r"passport|\breisepass\b|\bpasse?port\w*|\bpasaporte\b|\bpassaporto\b|\bpaspoort\b|\bpaszport\b"
        r"|\b(driv\w+|driver s?) ?licen[sc]e\b|\bfuhrerschein\b|\b(identity|id) card\b|\bausweis\w*\b"
        r"|паспорт|护照"
    )
    against = r"\b(country|type|class|expiry|expires|date|valid)\b"
    hinted_share = 0.7
    bare_share = None

    def applies(self, sample: Sample) -> bool:
        """Text or whole numbers."""
        return sample.is_whole

    def holds(self, value: str) -> bool:
        """Whether it has the length and the characters of such numbers."""
        return _FORM.fullmatch(re.sub(r"[ -]", "", value).upper()) is not None

    def invent(self, faker: Any, value: str) -> str:
        """Other letters and digits in the same form."""
        digits = re.sub(r"\d", lambda _: str(faker.random_digit()), value)
        return re.sub(r"[A-Z]", lambda _: str(faker.random_uppercase_letter()), digits)
