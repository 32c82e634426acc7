"""Other values in place of personal ones, by a key: the same value becomes the same other one.

In every table, dataset and run that use one key, so keys still join and people stay apart. Without
the key nobody can tell which value stands behind another one, or try which it is.

Source:
    Tokens: HMAC-SHA-256 (RFC 2104) as a pseudorandom function; see also ENISA, "Pseudonymisation
    techniques and best practices" (2019), section 5.4.
"""

import base64
import binascii
import hmac
import os
import threading
from pathlib import Path
from typing import Any

from tasks.errors import ParamsError, WorkspaceError
from tasks.noise import KEY_BYTES, project_key
from tasks.privacy.pii.base import Recogniser

KEY_VARIABLE = "PROOFMINT_PSEUDONYM_KEY"

_TOKEN_BYTES = 10
"""Of a token of text: 80 bits. Of 100 million different values two share a token with a chance of
4e-9."""

_NUMBER_BITS = 62
"""Of a token of a whole number, which is an int64 above zero. Of 10 million different values two
share a token with a chance of 1e-5."""


def pseudonym_key(state: Path | None) -> bytes:
    """The key of `PROOFMINT_PSEUDONYM_KEY`, else the project's own, made on first use.

    Args:
        state: folder of the project that git never sees; None: only the variable counts.

    Writes:
        state/keys/pseudonyms.key: readable by its owner only.

    Raises:
        WorkspaceError: the variable, or the file, holds no key of 32 bytes; or there is neither.
    """
    text = os.environ.get(KEY_VARIABLE)
    if text:
        return _decoded(text)
    if state is None:
        raise WorkspaceError(f"expected the key of pseudonyms in {KEY_VARIABLE}, found none")
    return project_key(state, "pseudonyms")


def _decoded(text: str) -> bytes:
    try:
        found = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != KEY_BYTES:
        raise WorkspaceError(
            f"expected {KEY_BYTES} random bytes in base64 in {KEY_VARIABLE}; make them with:"
            ' python -c "import os, base64; print(base64.b64encode(os.urandom(32)).decode())"'
        )
    return found


def token(value: str, key: bytes) -> str:
    """What stands for a text: `id-` and 16 letters and digits.

    For what has an `@` in it, an address of a domain that nobody can have (RFC 2606).
    """
    code = base64.b32encode(_digest(value, key)[:_TOKEN_BYTES]).decode().lower()
    return f"{code}@example.invalid" if "@" in value else f"id-{code}"


def number(value: int, key: bytes) -> int:
    """What stands for a whole number."""
    return int.from_bytes(_digest(str(value), key)[:8], "big") >> (64 - _NUMBER_BITS)


def invented(value: str, recogniser: Recogniser, key: bytes, locale: str) -> str | None:
    """A value of the same kind by Faker, the same one for the same value and key.

    E-mails and logins carry 50 bits of the value's digest, so different ones stay different. Others
    are as different as Faker's lists and the length of numbers allow: names of different people may
    become equal, as they are in life.

    Raises:
        ParamsError: Faker does not know the locale.
    """
    digest = _digest(f"{recogniser.kind}/{value}", key)
    faker = _faker(locale)
    faker.seed_instance(int.from_bytes(digest[:16], "big"))
    made = recogniser.invent(faker, value)
    if made is None or recogniser.kind not in ("email", "username"):
        return made
    code = base64.b32encode(digest[16:23]).decode().lower()[:10]
    local, at, domain = made.partition("@") if recogniser.kind == "email" else (made, "", "")
    return f"{local}.{code}{at}{domain}"


def check_locale(locale: str) -> None:
    """Raises ParamsError if Faker does not know the locale."""
    _faker(locale)


class _Fakers(threading.local):
    """One of each locale for every thread: it is seeded before each value."""

    def __init__(self) -> None:
        self.by_locale: dict[str, Any] = {}


_FAKERS = _Fakers()


def _faker(locale: str) -> Any:
    from faker import Factory

    known = _FAKERS.by_locale
    if locale not in known:
        try:
            known[locale] = Factory.create(locale)
        except AttributeError as error:
            raise ParamsError(
                f"clean.personal: Faker has no locale {locale!r}; write one such as en_US, de_DE or"
                " ja_JP"
            ) from error
    return known[locale]


def _digest(value: str, key: bytes) -> bytes:
    return hmac.digest(key, b"pseudonym/" + value.encode("utf-8", "surrogatepass"), "sha256")
