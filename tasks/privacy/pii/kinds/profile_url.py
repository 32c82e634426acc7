"""Addresses on the web that name a person: with a login in them, or of somebody's page."""

import re
from typing import Any

from tasks.privacy.pii.base import Recogniser, hidden

_SITES = r"facebook|twitter|x|instagram|linkedin|github|gitlab|tiktok|medium|pinterest|reddit|vk|xing|flickr"
_PATTERN = (
    r"(?:https?://[^\s/@:]+(?::[^\s/@]*)?@[^\s/]+\S*"
    rf"|(?:https?://)?(?:[\w-]+\.)?(?:{_SITES})\.com/(?:in/|u/|user/|@)?[\w.-]{{2,}}/?"
    r"|https?://[^\s/]+/(?:~|@|users?/|u/|profiles?/|people/|members?/|in/)[\w.%-]{2,}\S*)"
)
_WHOLE = re.compile(_PATTERN, re.IGNORECASE)


class ProfileUrl(Recogniser):
    """`https://login@host`, `…/users/somebody`, `twitter.com/somebody`."""

    kind = "profile_url"
    hint = r"\bprofile ?(url|link|page)\b|\blinked ?in\b|\bfacebook\b|\bhome ?page\b"
    bare_share = 0.5
    in_text = re.compile(rf"(?<![\w/]){_PATTERN}", re.IGNORECASE)

    def holds(self, value: str) -> bool:
        """Whether it names somebody."""
        return _WHOLE.fullmatch(value) is not None

    def mask(self, value: str) -> str:
        """The host stays."""
        host = re.match(r"(?:https?://)?(?:[^\s/@]*@)?([^\s/]+)", value)
        start = host.end() if host else 0
        credentials = re.sub(r"(?<=//)[^\s/@]*@", "***@", value[:start])
        return credentials + hidden(value[start:])

    def generalise(self, value: str) -> str:
        """The host."""
        host = re.match(r"(?:https?://)?(?:[^\s/@]*@)?([^\s/]+)", value)
        return host[1].lower() if host else ""

    def invent(self, faker: Any, value: str) -> str:
        """The same host with another login."""
        host = re.match(r"(?:https?://)?(?:[^\s/@]*@)?([^\s/]+)", value)
        return f"https://{host[1] if host else 'example.com'}/users/{faker.user_name()}"
