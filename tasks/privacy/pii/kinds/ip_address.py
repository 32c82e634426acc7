"""IP addresses, of both versions."""

import ipaddress
import re
from typing import Any

from tasks.privacy.pii.base import Recogniser


class IpAddress(Recogniser):
    """What `ipaddress` reads."""

    kind = "ip_address"
    hint = r"\bipv?[46]?\b|\bip addr"
    against = r"\bversion\b"
    bare_share = 0.9
    in_text = re.compile(r"(?<![\w.:])(?:\d{1,3}\.){3}\d{1,3}(?![\w:]|\.\d)")

    def holds(self, value: str) -> bool:
        """Whether it is an address; a prefix length may follow."""
        if not 2 <= len(value) <= 49 or ("." not in value and ":" not in value):
            return False
        try:
            ipaddress.ip_interface(value)
        except ValueError:
            return False
        return True

    def generalise(self, value: str) -> str:
        """The network: 24 bits of IPv4, 48 of IPv6."""
        address = ipaddress.ip_interface(value).ip
        bits = 24 if address.version == 4 else 48
        return str(ipaddress.ip_network((address, bits), strict=False))

    def invent(self, faker: Any, value: str) -> str:
        """An address of the same version."""
        return str(faker.ipv6() if ":" in value else faker.ipv4())
