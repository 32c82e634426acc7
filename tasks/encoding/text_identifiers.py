"""What in a text names one person or thing, even alone: numbers, codes, addresses.

| found                                           | kept as                                      |
|-------------------------------------------------|----------------------------------------------|
| `0845-281 0075`, `1.2.1961`: five digits or more | the digits, whatever stands between them     |
| `+44 845 281 0075`, `0845 281 0075`             | also the last nine digits, which are the same |
| `Mail:eve@x.org!`, `"eve@x.org"`, `@eve_of_x`   | the address alone, and the domain            |
| `(http://www.x.org/a)`, `x.org/a`, `bit.ly/a`   | without scheme and `www.`; the domain, too   |
| `XK7Q9`, `codeXYZ123`, `ZH-123-AB`              | letters and digits; also `xyz123` alone      |

One thing may be found in several ways; two texts share it if they share one of these. The same text
in other characters of the same look (full-width digits, joiners that nobody sees) is the same.

Numbers beside each other may be one or several, which nobody can tell: `281 0075 2`. All of them
together, each alone, what no space divides, and neighbors that together are as long as a telephone
number are taken for one.
"""

import re
import unicodedata
from collections.abc import Iterator

LEAST_DIGITS = 5
"""Of a number that is one person's or thing's: shorter ones are amounts, years and times."""

LEAST_SPACED_DIGITS = 8
"""Of some of the numbers that stand beside each other, to be taken for one: a telephone number."""

MOST_SPACED_DIGITS = 24
"""The longest numbers that people write with spaces, those of accounts, are not longer."""

NATIONAL_DIGITS = 9
"""At the end of a telephone number: before them stand prefixes, of which it has several spellings."""

_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_BESIDE = re.compile(r"\d+(?:[ .,()/+_-]{1,3}\d+)*")
_MAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]*\w@\w(?:[\w.-]*\w)?")
_HANDLE = re.compile(r"(?<![\w.+%-])@\w[\w.]+\w")
_DOMAINS = (
    "com|net|org|info|biz|edu|gov|mil|name|app|dev|xyz|online|shop|site|club|store|cloud|mobi"
    "|ac|ae|ar|au|br|ca|cc|ch|cl|cn|co|cz|de|dk|eu|fi|fr|gg|gl|gr|hk|hu|ie|il|io|jp|ke|kr|ly|mx"
    "|ng|nl|nz|ph|pk|pl|pt|ro|ru|sg|sk|tr|tv|tw|ua|uk|us|vn|ws|za"
)
"""Ends of addresses that are hardly a word that follows a full stop without a space."""
_URL = re.compile(
    r"(?:https?://|www\.)[^\s<>\"]+"
    rf"|(?<![\w.-])(?:[\w-]+\.)+(?:{_DOMAINS})\b(?:[/?#:][^\s<>\"]*)?"
    r"|(?<![\w.-])(?:[\w-]+\.)+[a-z]{2,}/[^\s<>\"]+"
)
_CODE = re.compile(r"\b(?=\w*\d)(?=\w*[^\W\d_])\w{5,}\b")
_CODE_PARTS = re.compile(r"_+|(?<=[^\W\d_A-Z])(?=[A-Z])")
_HYPHENED = re.compile(r"(?<![^\W_])[^\W_]+(?:-[^\W_]+)+")
_SIGNS = ".,;:!?()[]{}<>'\"*_-\u2019\u201d\u00bb\u2026"


def identifiers(text: str) -> set[str]:
    """Numbers, codes and addresses of a text, each in all spellings that it is known by."""
    text = text if text.isascii() else _UNSEEN.sub("", unicodedata.normalize("NFKC", text))
    folded = text.casefold()
    found = {name for beside in _BESIDE.findall(text) for name in _numbers(beside)}
    found.update(_codes(text))
    for address in _MAIL.findall(folded):
        found |= {address, address.partition("@")[2]}
    found.update(_HANDLE.findall(folded))
    for address in _URL.findall(folded):
        address = address.partition("://")[2] or address
        address = address.removeprefix("www.").rstrip(f"{_SIGNS}/")
        found |= {address, re.split("[/?#:]", address, maxsplit=1)[0]}
    return {f"identifier {name}" for name in found if name}


def _numbers(beside: str) -> Iterator[str]:
    """Digits of the numbers that some numbers beside each other may be."""
    # A decimal digit of any script, as 0 to 9.
    groups = ["".join(str(int(c)) for c in group) for group in re.findall(r"\d+", beside)]
    is_spaced = [True, *(" " in signs for signs in re.findall(r"\D+", beside)), True]
    is_list = ", " in beside
    for first in range(len(groups)):
        digits = ""
        for last in range(first, len(groups)):
            digits += groups[last]
            if len(digits) > MOST_SPACED_DIGITS and last > first:
                break
            if first < last and not (is_spaced[first] and is_spaced[last + 1]):
                continue  # a part of what no space divides
            is_whole = first == 0 and last == len(groups) - 1 and not is_list
            is_one = is_whole or not any(is_spaced[first + 1 : last + 1])
            if len(digits) >= (LEAST_DIGITS if is_one else LEAST_SPACED_DIGITS):
                yield digits
                if len(digits) > NATIONAL_DIGITS:
                    yield digits[-NATIONAL_DIGITS:]


def _codes(text: str) -> Iterator[str]:
    """Words of letters and digits, in lower case."""
    for code in _CODE.findall(text):
        yield code.casefold()
        for part in _CODE_PARTS.split(code):
            if _CODE.fullmatch(part):
                yield part.casefold()
    for hyphened in _HYPHENED.findall(text):
        joined = hyphened.replace("-", "")
        words = [part for part in hyphened.split("-") if len(part) > 3 and part.isalpha()]
        # "20-year-old" is said by many.
        if len(joined) > LEAST_DIGITS and _CODE.fullmatch(joined) and all(map(str.isupper, words)):
            yield joined.casefold()
