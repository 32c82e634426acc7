"""Names that people have, in many languages: the lists that Faker brings (MIT licence).

None of them is copied here. A name that is in no list is still a name: a column's name, or its other
values, must speak for it.
"""

import functools
import importlib
import pkgutil
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tasks.privacy.pii.base import without_accents

_PACKAGE = "faker.providers.person"

_HAN_OR_HANGUL = re.compile(r"[\u3400-\u9fff\uac00-\ud7af]+")

PARTICLES = frozenset(
    [
        "al",
        "ap",
        "ben",
        "bin",
        "bint",
        "da",
        "das",
        "de",
        "del",
        "della",
        "den",
        "der",
        "des",
        "di",
        "do",
        "dos",
        "du",
        "e",
        "el",
        "la",
        "le",
        "los",
        "mac",
        "mc",
        "ter",
        "ten",
        "van",
        "von",
        "y",
        "zu",
        "zur",
    ]
)
"""Small words inside of names."""


@dataclass(frozen=True)
class KnownNames:
    """Words of names, without accents and in lower case.

    Attributes:
        first: of given names.
        last: of family names.
    """

    first: frozenset[str]
    last: frozenset[str]

    def has(self, word: str) -> bool:
        """Whether a word, as `without_accents` gives it, is part of a known name."""
        return word in self.first or word in self.last

    def has_whole(self, text: str) -> bool:
        """Whether a name without blanks, as of China, Japan or Korea, begins with a family name."""
        if not 2 <= len(text) <= 5 or not _HAN_OR_HANGUL.fullmatch(text):
            return False
        folded = without_accents(text)
        return (
            any(without_accents(text[:n]) in self.last for n in (1, 2, 3)) or folded in self.first
        )


@functools.cache
def known_names(without: tuple[str, ...] = ()) -> KnownNames:
    """The lists of all locales of Faker, but for those of `without`."""
    import faker.providers.person as package

    first: set[str] = set()
    last: set[str] = set()
    for module in pkgutil.iter_modules(package.__path__):
        if module.name in without or not module.ispkg:
            continue
        provider = importlib.import_module(f"{_PACKAGE}.{module.name}").Provider
        for attribute in dir(provider):
            entries: Any = getattr(provider, attribute)
            if isinstance(entries, Collection) and not isinstance(entries, str):
                if attribute.startswith("first_name"):
                    first.update(_words(entries))
                elif attribute.startswith("last_name"):
                    last.update(_words(entries))
    return KnownNames(frozenset(first), frozenset(last))


def _words(entries: Collection[Any]) -> set[str]:
    found: set[str] = set()
    for entry in entries:
        if isinstance(entry, str):
            words = re.split(r"[\s\-'’.]+", without_accents(entry))
            han = _HAN_OR_HANGUL.fullmatch(entry)
            found.update(w for w in words if len(w) > 1 or (han and w))
    return found - PARTICLES
