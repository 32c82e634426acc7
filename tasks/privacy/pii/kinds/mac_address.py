"""MAC addresses: what a device is known by."""

import re
from typing import Any

from tasks.privacy.pii.base import Recogniser

_PATTERN = r"[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}"
_WHOLE = re.compile(_PATTERN + r"|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}")


class MacAddress(Recogniser):
    """Six bytes in hexadecimal, with colons, hyphens or as Cisco writes them."""

    kind = "mac_address"
    hint = r"\bmac\b"
    in_text = re.compile(rf"(?<![\w:-]){_PATTERN}(?![\w:-])")

    def holds(self, value: str) -> bool:
        """Whether it is an address."""
        return _WHOLE.fullmatch(value) is not None

    def generalise(self, value: str) -> str:
        """The first half: who made the device."""
        return value[: len(value) // 2]

    def invent(self, faker: Any, value: str) -> str:
        """An address with colons."""
        del value
        return str(faker.mac_address())
