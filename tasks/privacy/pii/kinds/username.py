"""Names that people have chosen for themselves: logins and handles."""

import re
from typing import Any

from tasks.privacy.pii.base import Match, Recogniser, Sample

_HANDLE = re.compile(r"@[A-Za-z0-9_][\w.-]{0,38}")
_LOGIN = re.compile(r"[^\W\d][\w.-]{1,39}")


class Username(Recogniser):
    """Words without blanks that hardly repeat, in a column of that name; or `@handles`."""

    kind = "username"
    hint = (
        r"\buser ?names?\b|\blogin\b|\bnick ?names?\b|\bhandle\b|\bscreen ?name\b|\bbenutzername\b"
        r"|\butilisateur\b|\busuario\b|\butente\b|\bidentifiant\b|\btwitter\b|\binstagram\b|\bskype\b"
    )
    against = r"\b(count|date|time|type|attempts|last|failed|id)\b"
    hinted_share = 0.7
    bare_share = 0.95

    def holds(self, value: str) -> bool:
        """Whether it is an `@handle` or could be a login."""
        return (_HANDLE.fullmatch(value) or _LOGIN.fullmatch(value)) is not None

    def match(self, sample: Sample, *, hinted: bool) -> Match:
        """Without the name to say so, only handles count; a few words that repeat are none."""
        if sample.n_distinct < 3:
            return Match(0)
        form = _LOGIN if hinted else _HANDLE
        return Match(
            sum((form.fullmatch(v) or _HANDLE.fullmatch(v)) is not None for v in sample.values)
        )

    def invent(self, faker: Any, value: str) -> str:
        """A login, with an `@` where there was one."""
        return ("@" if value.startswith("@") else "") + str(faker.user_name())
