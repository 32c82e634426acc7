"""Numbers, codes and addresses are found wherever they stand."""

import time

import pytest

from tasks.encoding.text_identifiers import identifiers

PHONE = "so 0845 281 0075 now"
MAIL = "so foo@bar.com ok"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # Numbers beside numbers, and with other signs between the digits.
        ("Call 0845 281 0075 2 claim", PHONE),
        ("on 12.03.2024 0845 281 0075 call", PHONE),
        ("no 08452810075over18 now", PHONE),
        ("no 0845-281-0075.", PHONE),
        ("no 0845_281_0075", PHONE),
        ("no 0845, 281, 0075", PHONE),
        ("(0845) 281/0075", PHONE),
        ("0845 - 281 - 0075", PHONE),
        ("+44 845 281 0075", PHONE),
        ("+44 (0)845 2810075", PHONE),
        ("0044-845-2810075 1", PHONE),
        ("account 1,234,567", "my 1234567 is"),
        ("born 1.2.1961", "on 1.2.1961 5 came"),
        ("pay NL91 ABNA 0417 1643 00", "to NL91ABNA0417164300."),
        ("pay DE89 3704 0044 0532 0130 00 now", "DE89370400440532013000"),
        ("card 4111 1111 1111 1234 ok", "4111-1111-1111-1234"),
        # Signs that look the same, and digits of other scripts.
        ("\uff2e\uff2f \uff10\uff1845 281 0075", PHONE),
        ("0845\u200b2810075", PHONE),
        ("\u0661\u0662\u0663\u0664\u0665", "12345"),
        # Addresses inside of words and signs.
        ("Mail (foo@bar.com) now", MAIL),
        ('Mail "foo@bar.com", now', MAIL),
        ("Mail 'Foo@Bar.com'!", MAIL),
        ("Mail:foo@bar.com;", MAIL),
        ("<mailto:foo@bar.com>", MAIL),
        ("[foo@bar.com]...", MAIL),
        ("other@bar.com", MAIL),
        ("ask @eve_of_x.", "(@Eve_of_x)"),
        # With and without a scheme.
        ("see http://x.de/abc now", "so x.de/abc."),
        ("(https://www.secret.co.uk/)", "secret.co.uk"),
        ("see www.secret.co.uk", "http://secret.co.uk/a?b"),
        ("at bit.ly/x1", "BIT.LY/x1)"),
        ("at my.place/of-it", "my.place/of-it!"),
        # Codes.
        ("codeXYZ123", "XYZ123"),
        ("code:XYZ123.", "xyz123"),
        ("id_XK7Q9", "(xk7q9)"),
        ("plate ZH-123-AB", "ZH123AB"),
        ("key ABCD-EFGH-1234", "abcdefgh1234"),
    ],
)
def test_the_same_thing_is_found_in_both(one: str, other: str) -> None:
    assert identifiers(one) & identifiers(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PHONE, "so 0845 281 0076 now"),
        ("ring 0171 234-5678", "ring 0171 234-5679"),
        (MAIL, "so foo@else.org ok"),
        ("use XK7Q9", "use XK7Q8"),
        ("www.x.org/a", "www.y.org/a"),
    ],
)
def test_others_are_not_the_same(one: str, other: str) -> None:
    assert identifiers(one)
    assert not identifiers(one) & identifiers(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "from 10 to 99, 24/7 in 2026",
        "at 7.30 or 12:45, 5 @ home",
        "a 20-year-old with covid-19",
        "done.it and so on...then",
        "R2D2 e.g. 3rd",
    ],
)
def test_what_everybody_says_is_nothing(text: str) -> None:
    assert identifiers(text) == set()


def test_all_spellings_by_hand() -> None:
    assert identifiers("+44 (0)171-234.5678 or A1b2C") == {
        "identifier 4401712345678",
        "identifier 712345678",
        "identifier 01712345678",
        "identifier a1b2c",
    }
    assert identifiers("Eve@X.org, 12345") == {
        "identifier eve@x.org",
        "identifier x.org",
        "identifier 12345",
    }


@pytest.mark.parametrize("unit", ["a", "1", "a.", "1 ", "a-", "@", "a1", "/", "x.y/", "-"])
def test_long_texts_take_no_long_time(unit: str) -> None:
    began = time.process_time()
    identifiers(unit * 20_000)
    assert time.process_time() - began < 2
