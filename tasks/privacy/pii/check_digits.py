"""Check digits: what tells a number that was issued from one that only looks like it.

Every function takes the characters without blanks and hyphens, and expects their form to be checked.
"""

_VERHOEFF_PRODUCT = tuple(
    tuple(map(int, row))
    for row in (
        "0123456789",
        "1234067895",
        "2340178956",
        "3401289567",
        "4012395678",
        "5987604321",
        "6598710432",
        "7659821043",
        "8765932104",
        "9876543210",
    )
)
_VERHOEFF_PERMUTATION = tuple(
    tuple(map(int, row))
    for row in (
        "0123456789",
        "1576283094",
        "5803796142",
        "8916043527",
        "9453126870",
        "4286573901",
        "2793806415",
        "7046913258",
    )
)


def luhn(digits: str) -> bool:
    """Whether the last digit fits: cards, Swedish and Canadian numbers.

    Source: ISO/IEC 7812-1, annex B.
    """
    total = 0
    for i, digit in enumerate(reversed(digits)):
        n = int(digit) * (1 + i % 2)
        total += n - 9 if n > 9 else n
    return total % 10 == 0


def verhoeff(digits: str) -> bool:
    """Whether the last digit fits: Indian Aadhaar.

    Source: J. Verhoeff, "Error detecting decimal codes" (1969).
    """
    check = 0
    for i, digit in enumerate(reversed(digits)):
        check = _VERHOEFF_PRODUCT[check][_VERHOEFF_PERMUTATION[i % 8][int(digit)]]
    return check == 0


def weighted(digits: str, weights: tuple[int, ...]) -> int:
    """The sum of digits times weights, as many as there are weights."""
    return sum(int(d) * w for d, w in zip(digits, weights, strict=False))


def mod_97(text: str) -> int:
    """Remainder of letters (A = 10 … Z = 35) and digits by 97: 1 for a valid IBAN, rotated.

    Source: ISO/IEC 7064, MOD 97-10.
    """
    return int("".join(str(int(c, 36)) for c in text)) % 97


def mod_11_10(digits: str) -> bool:
    """Whether the last digit fits: German tax numbers.

    Source: ISO/IEC 7064, MOD 11,10.
    """
    product = 10
    for digit in digits[:-1]:
        total = (int(digit) + product) % 10 or 10
        product = 2 * total % 11
    return (11 - product) % 10 == int(digits[-1])


def mod_11_2(text: str) -> bool:
    """Whether the last character (a digit, or X for 10) fits: Chinese resident numbers.

    Source: ISO/IEC 7064, MOD 11-2.
    """
    check = 0
    for digit in text[:-1]:
        check = (check + int(digit)) * 2 % 11
    return (12 - check) % 11 == (10 if text[-1] in "xX" else int(text[-1]))
