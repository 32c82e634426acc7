"""E-mail addresses."""

import re
from typing import Any

from tasks.privacy.pii.base import Recogniser, hidden

_LOCAL = r"[^\s@<>()\[\],;:\"\\]{1,64}"
_DOMAIN = r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}"
_WHOLE = re.compile(f"{_LOCAL}@{_DOMAIN}")


class Email(Recogniser):
    """Something before an `@` and a domain after it, as mail servers take it."""

    kind = "email"
    hint = r"\be ?mails?\b|\bmail\b|\bcorreo\b|\bcourriel\b|почта|邮箱|メール"
    bare_share = 0.5
    in_text = re.compile(rf"(?<![\w.+-])[\w.+%'-]{{1,64}}@{_DOMAIN}")

    def holds(self, value: str) -> bool:
        """Whether it is an address."""
        return "@" in value and _WHOLE.fullmatch(value) is not None

    def mask(self, value: str) -> str:
        """The domain stays."""
        local, at, domain = value.rpartition("@")
        return hidden(local) + at + domain

    def generalise(self, value: str) -> str:
        """The domain."""
        return value.rpartition("@")[2].lower()

    def invent(self, faker: Any, value: str) -> str:
        """An address of a domain that nobody has (RFC 2606)."""
        del value
        return str(faker.safe_email())
