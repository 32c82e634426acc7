"""Check digits, of numbers that are published as examples or worked out by hand."""

import pytest

from tasks.privacy.pii.check_digits import luhn, mod_11_2, mod_11_10, mod_97, verhoeff
from tasks.privacy.pii.kinds.card import Card
from tasks.privacy.pii.kinds.iban import Iban
from tasks.privacy.pii.kinds.national_id import ISSUED


def test_luhn_by_hand() -> None:
    # 7992739871?: from the right, every second digit doubled: 1+(7→5)+... = 67, so the check is 3.
    assert luhn("79927398713")
    assert not any(luhn(f"7992739871{d}") for d in "012456789")


def test_verhoeff_by_hand() -> None:
    # The example of Verhoeff's method: 236 has the check digit 3.
    assert verhoeff("2363")
    assert not any(verhoeff(f"236{d}") for d in "012456789")


def test_mod_97_by_hand() -> None:
    # GB82 WEST 1234 5698 7654 32, rotated: 3214282912345698765432161182 = 1 mod 97.
    assert mod_97("WEST12345698765432GB82") == 3214282912345698765432161182 % 97 == 1


def test_mod_11_10_by_hand() -> None:
    # ISO 7064's own example for MOD 11,10: 0794 has the check digit 5.
    assert mod_11_10("07945")
    assert not any(mod_11_10(f"0794{d}") for d in "012346789")


def test_mod_11_2_by_hand() -> None:
    # ISO 7064's own example for MOD 11-2: 0794 has the check digit 0; 079 has X.
    assert mod_11_2("07940")
    assert mod_11_2("079X")


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111",  # Visa
        "4012 8888 8888 1881",
        "5555-5555-5555-4444",  # Mastercard
        "2223003122003222",
        "378282246310005",  # American Express
        "6011111111111117",  # Discover
        "30569309025904",  # Diners Club
        "3530111333300000",  # JCB
        "6304000000000000",  # Maestro
        "6200000000000005",  # UnionPay
    ],
)
def test_test_cards_of_the_issuers(number: str) -> None:
    assert Card().holds(number)
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not Card().holds(wrong)


@pytest.mark.parametrize(
    "number", ["9111111111111111", "1234567812345670", "41111111", "4111-1111", "", "x" * 16]
)
def test_what_no_issuer_gives_is_no_card(number: str) -> None:
    assert not Card().holds(number)


@pytest.mark.parametrize(
    "number",
    [
        "GB82 WEST 1234 5698 7654 32",
        "DE89370400440532013000",
        "FR1420041010050500013M02606",
        "NL91ABNA0417164300",
        "no9386011117947",
    ],
)
def test_ibans_of_the_registry(number: str) -> None:
    assert Iban().holds(number)
    assert not Iban().holds(number[:-1] + ("1" if number[-1] != "1" else "2"))


@pytest.mark.parametrize(
    ("name", "valid", "wrong"),
    [
        ("US SSN", "078-05-1120", "666-05-1120"),
        ("US SSN", "219099999", "219009999"),
        ("UK NINO", "AB 12 34 56 C", "GB 12 34 56 C"),
        ("UK NINO", "AB123456C", "DA123456C"),
        # Product of 8695737188: worked through ISO 7064, the check digit is 1 (Bundeszentralamt).
        ("DE tax number", "86 095 742 719", "86 095 742 718"),
        ("FR NIR", "2 55 08 14 168 025 38", "2 55 08 14 168 025 39"),
        ("FR NIR", "255081416802538", "255081416802583"),
        ("ES DNI", "12345678Z", "12345678A"),  # 12345678 mod 23 = 14, the letter Z
        ("ES DNI", "X1234567L", "X1234567M"),
        ("IT codice fiscale", "RSSMRA85T10A562S", "RSSMRA85T10A562T"),
        ("NL BSN", "111222333", "111222334"),  # 9+8+7+12+10+8+9+6-3 = 66 = 6 * 11
        ("BR CPF", "529.982.247-25", "529.982.247-24"),
        ("BR CPF", "52998224725", "11111111111"),
        ("IN Aadhaar", "2341 2341 2346", "2341 2341 2345"),
        ("CN resident number", "11010519491231002X", "110105194912310021"),
        ("PL PESEL", "44051401359", "44051401358"),
        ("SE personnummer", "811218-9876", "811218-9875"),
        ("SE personnummer", "8112189876", "8113189876"),
        ("FI henkilotunnus", "131052-308T", "131052-308U"),
        ("NO fodselsnummer", "11077941012", "11077941013"),
        ("DK CPR", "070761-4285", "071361-4285"),
        ("BE national number", "93.05.18-223.61", "93.05.18-223.62"),
        ("CH AHV", "756.9217.0769.85", "756.9217.0769.84"),
        ("TR kimlik no", "10000000146", "10000000147"),
        ("ZA ID number", "8001015009087", "8001015009088"),
        ("CA SIN", "130 692 544", "130 692 545"),
        ("RO CNP", "1800101221144", "1800101221145"),
        ("HR OIB", "69435151530", "69435151531"),
        ("GR AMKA", "01013099997", "01013099998"),
        ("RU INN", "500100732259", "500100732258"),
        ("UA tax number", "1759013776", "1759013775"),
        ("MX CURP", "HEGG560427MVZRRL04", "HEGG560427QVZRRL04"),
    ],
)
def test_national_numbers(name: str, valid: str, wrong: str) -> None:
    issued = [one for one in ISSUED if one.name == name]
    assert any(one.holds(valid) for one in issued)
    assert not any(one.holds(wrong) for one in issued)


def test_by_chance_few_numbers_are_valid() -> None:
    """The shares that the records state, counted over numbers in a row; none is understated."""
    for one in ISSUED:
        digits = {r"\d{9}": 9, r"\d{10}": 10, r"\d{11}": 11, r"\d{12}": 12, r"\d{13}": 13}.get(
            one.form
        )
        if digits is None or one.chance == 1.0:
            continue
        start = 10 ** (digits - 1) + 12_345
        step = 10 ** (digits - 5) + 7
        numbers = [str(start + i * step) for i in range(20_000)]
        share = sum(map(one.holds, [n for n in numbers if len(n) == digits])) / 20_000
        assert share <= one.chance * 1.3 + 0.002, one.name
