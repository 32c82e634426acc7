"""Numbers that states give to people, by their form, their dates and their check digits."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tasks.privacy.pii.base import Match, Recogniser, Sample, hidden
from tasks.privacy.pii.check_digits import (
    luhn,
    mod_11_2,
    mod_11_10,
    verhoeff,
    weighted,
)


@dataclass(frozen=True)
class Issued:
    """The numbers of one country.

    Attributes:
        name: of the number, after its country.
        form: of the whole value, in capitals, blanks and separators included.
        is_valid: of the characters without blanks and separators.
        chance: share of other values of that form that are valid; 1: the form alone says nothing,
            so the column's name must.
        written: whether the form has letters or separators that other numbers hardly have.
    """

    name: str
    form: str
    is_valid: Callable[[str], bool]
    chance: float
    written: bool = False

    @functools.cached_property
    def _form(self) -> re.Pattern[str]:
        return re.compile(self.form)

    def holds(self, value: str) -> bool:
        """Whether `value` is one, in capitals."""
        if self._form.fullmatch(value) is None:
            return False
        return self.is_valid(re.sub(r"[\s./-]", "", value))


def _day(year: str, month: str, day: str) -> bool:
    del year
    return 1 <= int(month) <= 12 and 1 <= int(day) <= 31


def _us_ssn(d: str) -> bool:
    return d[:3] not in ("000", "666") and d[0] != "9" and d[3:5] != "00" and d[5:] != "0000"


def _uk_nino(t: str) -> bool:
    return t[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def _de_tax(d: str) -> bool:
    most = max(d[:10].count(c) for c in d[:10])
    return d[0] != "0" and most in (2, 3) and mod_11_10(d)


def _fr_nir(t: str) -> bool:
    number = t[:13].replace("2A", "19").replace("2B", "18")
    months = (*range(1, 13), *range(20, 43), *range(50, 100))
    return int(number[3:5]) in months and 97 - int(number) % 97 == int(t[13:])


def _es_dni(t: str) -> bool:
    number = t[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == t[-1]


def _it_code(t: str) -> bool:
    ten = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21)
    odd = dict(
        zip(
            "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            (*ten, *ten, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
            strict=True,
        )
    )
    even = {c: int(c) if c.isdigit() else ord(c) - 65 for c in odd}
    total = sum((even if i % 2 else odd)[c] for i, c in enumerate(t[:15]))
    return chr(65 + total % 26) == t[15]


def _nl_bsn(d: str) -> bool:
    return weighted(d, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and int(d) > 0


def _br_cpf(d: str) -> bool:
    first = weighted(d, tuple(range(10, 1, -1))) * 10 % 11 % 10
    second = weighted(d, tuple(range(11, 1, -1))) * 10 % 11 % 10
    return len(set(d)) > 1 and (first, second) == (int(d[9]), int(d[10]))


def _cn_resident(t: str) -> bool:
    return t[6:8] in ("19", "20") and _day(t[6:10], t[10:12], t[12:14]) and mod_11_2(t)


def _pl_pesel(d: str) -> bool:
    month = int(d[2:4]) % 20
    total = weighted(d, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1))
    return 1 <= month <= 12 and 1 <= int(d[4:6]) <= 31 and total % 10 == 0


def _se_number(t: str) -> bool:
    d = re.sub(r"\D", "", t)[-10:]
    day = int(d[4:6])
    # From 61 on: people without a number in the population register.
    return _day(d[:2], d[2:4], f"{day - 60 if day > 60 else day}") and luhn(d)


def _fi_number(t: str) -> bool:
    digits = t[:6] + t[-4:-1]
    return (
        _day(t[4:6], t[2:4], t[:2]) and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(digits) % 31] == t[-1]
    )


def _no_number(d: str) -> bool:
    day = int(d[:2])
    return (
        _day(d[4:6], d[2:4], f"{day - 40 if day > 40 else day}")
        and weighted(d, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
        and weighted(d, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    )


def _be_number(d: str) -> bool:
    checks = (97 - int(d[:9]) % 97, 97 - int("2" + d[:9]) % 97)
    return int(d[2:4]) % 20 <= 12 and int(d[4:6]) <= 31 and int(d[9:]) in checks


def _ch_ahv(d: str) -> bool:
    return weighted(d, (1, 3) * 6 + (1,)) % 10 == 0


def _tr_number(d: str) -> bool:
    n = list(map(int, d))
    tenth = (7 * sum(n[0:9:2]) - sum(n[1:8:2])) % 10
    return n[0] > 0 and n[9] == tenth and n[10] == sum(n[:10]) % 10


def _kr_number(d: str) -> bool:
    total = weighted(d, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5))
    return _day(d[:2], d[2:4], d[4:6]) and (11 - total % 11) % 10 == int(d[12])


def _za_number(d: str) -> bool:
    return _day(d[:2], d[2:4], d[4:6]) and d[10] in "012" and luhn(d)


def _ro_cnp(d: str) -> bool:
    check = weighted(d, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return _day(d[1:3], d[3:5], d[5:7]) and (1 if check == 10 else check) == int(d[12])


def _gr_amka(d: str) -> bool:
    return _day(d[4:6], d[2:4], d[:2]) and luhn(d)


def _ru_inn(d: str) -> bool:
    first = weighted(d, (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    second = weighted(d, (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    return (first, second) == (int(d[10]), int(d[11]))


def _ua_number(d: str) -> bool:
    return weighted(d, (-1, 5, 7, 9, 4, 6, 10, 5, 7)) % 11 % 10 == int(d[9])


def _any(_: str) -> bool:
    return True


ISSUED = (
    Issued("US SSN", r"\d{3}-\d{2}-\d{4}", _us_ssn, 0.0, written=True),
    Issued("US SSN", r"\d{9}", _us_ssn, 1.0),
    Issued(
        "UK NINO",
        r"(?![DFIQUV])[A-Z](?![DFIQUVO])[A-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]",
        _uk_nino,
        0.01,
        True,
    ),
    Issued("DE tax number", r"\d{2} ?\d{3} ?\d{3} ?\d{3}", _de_tax, 0.08),
    Issued(
        "FR NIR",
        r"[1-478] ?\d{2} ?\d{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}",
        _fr_nir,
        0.01,
        True,
    ),
    Issued("ES DNI", r"(?:\d{8}|[XYZ]-?\d{7})-?[A-Z]", _es_dni, 0.05, written=True),
    Issued(
        "IT codice fiscale", r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", _it_code, 0.04, True
    ),
    Issued("NL BSN", r"\d{9}", _nl_bsn, 0.1),
    Issued("BR CPF", r"\d{3}\.\d{3}\.\d{3}-\d{2}", _br_cpf, 0.01, written=True),
    Issued("BR CPF", r"\d{11}", _br_cpf, 0.01),
    Issued("IN Aadhaar", r"[2-9]\d{3} ?\d{4} ?\d{4}", verhoeff, 0.1),
    Issued("CN resident number", r"[1-9]\d{16}[\dX]", _cn_resident, 0.01, written=True),
    Issued("PL PESEL", r"\d{11}", _pl_pesel, 0.07),
    Issued("SE personnummer", r"(?:\d{2})?\d{6}[-+]\d{4}", _se_number, 0.05, written=True),
    Issued("SE personnummer", r"(?:19|20)?\d{10}", _se_number, 0.05),
    Issued("FI henkilotunnus", r"\d{6}[-+A]\d{3}[0-9A-Y]", _fi_number, 0.02, written=True),
    Issued("NO fodselsnummer", r"\d{6} ?\d{5}", _no_number, 0.005),
    Issued("DK CPR", r"\d{6}-\d{4}", lambda d: _day(d[4:6], d[2:4], d[:2]), 0.2, written=True),
    Issued("BE national number", r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}|\d{11}", _be_number, 0.01),
    Issued("CH AHV", r"756\.?\d{4}\.?\d{4}\.?\d{2}", _ch_ahv, 0.001, written=True),
    Issued("TR kimlik no", r"\d{11}", _tr_number, 0.01),
    Issued("KR resident number", r"\d{6}-?[1-8]\d{6}", _kr_number, 0.03),
    Issued("ZA ID number", r"\d{13}", _za_number, 0.01),
    Issued("RO CNP", r"[1-8]\d{12}", _ro_cnp, 0.02),
    Issued("CA SIN", r"[1-79]\d{2}[ -]\d{3}[ -]\d{3}", luhn, 0.1, written=True),
    Issued("CA SIN", r"[1-79]\d{8}", luhn, 0.1),
    Issued("HR OIB", r"\d{11}", mod_11_10, 0.1),
    Issued("GR AMKA", r"\d{11}", _gr_amka, 0.02),
    Issued("RU INN", r"\d{12}", _ru_inn, 0.015),
    Issued("UA tax number", r"\d{10}", _ua_number, 0.11),
    Issued("MX CURP", r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d", _any, 0.0, written=True),
)

_TEXT_FORMS = "|".join(
    rf"(?:{one.form})"
    for one in ISSUED
    if one.written or one.name in ("IN Aadhaar", "BE national number")
)


_DIGITS = re.compile(r"\d.*\d.*\d")


class NationalId(Recogniser):
    """Numbers of some twenty countries; plain digits count only beyond what chance would give."""

    kind = "national_id"
    hint = (
        r"\bssn\b|\bsocial (security|insurance)\b|\bnational (id|insurance|identi\w+)\b|\bnino\b|\bsin\b"
        r"|\btax ?(id|no|number|payer)\b|\bsteuer ?(id|nummer)\w*\b|\bnir\b|\bsecurite sociale\b|\binsee\b"
        r"|\bdni\b|\bnie\b|\bnif\b|\bcodice fiscale\b|\bbsn\b|\bburgerservice\w*\b|\bcpf\b|\baadhaa?r\b"
        r"|\bpesel\b|\bperson ?(nummer|nr)\b|\bcpr\b|\bahv\b|\bavs\b|\bfodselsnummer\b|\bhetu\b|\bcurp\b"
        r"|\boib\b|\bamka\b|\binn\b|инн|\bcitizen(ship)? (id|no|number)\b|\bcnp\b|身份证|주민"
    )
    hinted_share = 0.5
    bare_share = 0.9
    in_text = re.compile(rf"(?<![\w.-])(?:{_TEXT_FORMS})(?![\w-]|\.\d)")

    def applies(self, sample: Sample) -> bool:
        """Text or whole numbers."""
        return sample.is_whole or sample.data_type == "double"

    def holds(self, value: str) -> bool:
        """Whether a country could have given it."""
        capitals = value.upper()
        return any(one.holds(capitals) for one in ISSUED)

    def match(self, sample: Sample, *, hinted: bool) -> Match:
        """By the country that most values are of, beyond what chance gives."""
        # Shorter than the shortest, longer than the longest, or without digits: none of all these.
        values = [v.upper() for v in sample.values if 8 <= len(v) <= 24 and _DIGITS.search(v)]
        best = Match(0)
        for one in ISSUED:
            if one.chance == 1.0 and not hinted:
                continue
            chance = 0.0 if hinted and one.chance == 1.0 else one.chance
            found = Match(sum(map(one.holds, values)), chance, one.name)
            best = max(best, found, key=lambda m: m.n - m.chance * len(values))
        return best

    def mask(self, value: str) -> str:
        """The last two characters stay."""
        return hidden(value, keep=2)

    def invent(self, faker: Any, value: str) -> str:
        """Other letters and digits in the same form: check digits are not kept, so nobody has it."""
        digits = re.sub(r"\d", lambda _: str(faker.random_digit()), value)
        return re.sub(r"[A-Z]", lambda _: str(faker.random_uppercase_letter()), digits)
