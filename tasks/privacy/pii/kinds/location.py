"""Places on earth so exact that they are somebody's home."""

import re
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tasks.privacy.pii.base import Match, Recogniser, Sample

# Four decimals of a degree tell a place to ten metres.
_PAIR = re.compile(r"[(]?(-?\d{1,2}\.\d{4,})[,; ] ?(-?\d{1,3}\.\d{4,})[)]?")
_DEGREES = re.compile(r"-?\d{1,3}\.\d{4,}")


class Location(Recogniser):
    """Degrees with four decimals or more; a single number only where its column's name says so."""

    kind = "location"
    hint = (
        r"\blatitude\b|\blongitude\b|\blat$|\b(lon|lng)$|^(geo |gps )?long$|\bgps\b|\bcoord\w*\b"
        r"|\bgeo ?(loc\w*|point|position)\b|\blocation\b"
    )
    hinted_share = 0.5
    bare_share = 0.9
    unique = False

    def applies(self, sample: Sample) -> bool:
        """Text or numbers with decimals."""
        kind = sample.data_type
        return sample.is_text or pa.types.is_floating(kind) or pa.types.is_decimal(kind)

    def holds(self, value: str) -> bool:
        """Whether it is an exact latitude and longitude, or one of them."""
        pair = _PAIR.fullmatch(value)
        if pair:
            return abs(float(pair[1])) <= 90 and abs(float(pair[2])) <= 180
        return _DEGREES.fullmatch(value) is not None and abs(float(value)) <= 180

    def match(self, sample: Sample, *, hinted: bool) -> Match:
        """Single numbers count only with a name that says what they are."""
        if not sample.is_text and not (
            hinted and all(abs(x) <= 180 for x in map(float, sample.values))
        ):
            return Match(0)
        held = [v for v in sample.values if self.holds(v)]
        return Match(sum(hinted or _PAIR.fullmatch(v) is not None for v in held))

    def generalise(self, value: str) -> str:
        """One decimal: about ten kilometres."""
        return re.sub(r"-?\d+\.\d+", lambda n: str(Decimal(n[0]).quantize(Decimal("0.1"))), value)

    def invent(self, faker: Any, value: str) -> str:
        """Another place, anywhere."""
        if _PAIR.fullmatch(value):
            return f"{faker.latitude()},{faker.longitude()}"
        return str(faker.latitude())
