"""What becomes of personal data."""

import base64
import datetime
import logging
import pickle
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from tasks.errors import ParamsError, WorkspaceError
from tasks.privacy.pii.actions import Treatment, proposed
from tasks.privacy.pii.pseudonyms import number, pseudonym_key, token
from tasks.schema import DatasetSchema, ForeignKey, TableSchema
from tests.cleaned import clean, clean_tables, column

KEY = bytes(range(32))

TEXT, WHOLE, DATE = pa.string(), pa.int64(), pa.date32()


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFMINT_PSEUDONYM_KEY", base64.b64encode(KEY).decode())


def one_column(kind: str | None, data_type: pa.DataType = TEXT, **given: Any) -> DatasetSchema:
    described = column("x", data_type, "identifier", personal=True, personal_kind=kind, **given)
    other = column("other", WHOLE, "numeric")
    return DatasetSchema(
        kind="tabular", tables=(TableSchema(name="t", columns=(described, other)),)
    )


def done(action: Any, kind: str | None, values: list[Any], data_type: pa.DataType = TEXT) -> Any:
    rows = {"x": pa.array(values, data_type), "other": pa.array(range(len(values)))}
    return clean(rows, {"personal": {"x": action}}, schema=one_column(kind, data_type))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("card", "4111 1111 1111 1111", "**** **** **** 1111"),
        ("email", "ann.lee@example.org", "***.***@example.org"),
        ("phone", "+49 30 1234567", "+** ** *****67"),
        ("iban", "GB82WEST12345698765432", "GB****************5432"),
        ("person_name", "Ann Mary Lee", "A** M*** L**"),
        ("postcode", "94110", "94***"),
        ("national_id", "078-05-1120", "***-**-**20"),
        ("profile_url", "https://github.com/somebody", "https://github.com/********"),
        (None, "A-17", "*-**"),
        ("free_text", "write to ann@example.org now", "write to ***@example.org now"),
    ],
)
def test_masked_values_keep_their_form(kind: str | None, value: str, expected: str) -> None:
    found = done("mask", kind, [value, None])
    assert found.values("x") == [expected, None]
    assert found.effects["personal"] == {
        "rows_dropped": 0,
        "masked": {"x": 1},
        "learned": {"actions": {"x": "mask"}},
    }
    assert found.schema.main.column("x").personal


def test_masked_numbers_become_text() -> None:
    found = done("mask", "card", [4111111111111111], WHOLE)
    assert found.values("x") == ["************1111"]
    assert found.schema.main.column("x").type == "string"


@pytest.mark.parametrize(
    ("kind", "value", "data_type", "expected"),
    [
        ("birth_date", datetime.date(1984, 5, 17), DATE, datetime.date(1984, 1, 1)),
        (
            "birth_date",
            pd.Timestamp("1984-05-17 03:00").to_pydatetime(),
            pa.timestamp("us"),
            pd.Timestamp("1984-01-01").to_pydatetime(),
        ),
        ("birth_date", "1984-05-17", TEXT, "1984"),
        ("birth_date", 1984, WHOLE, 1980),
        ("birth_date", 19840517, WHOLE, 19840101),
        ("birth_date", "19840517", TEXT, "1984"),
        ("birth_date", "May 17, 1984", TEXT, "1984"),
        ("postcode", "SW1A 1AA", TEXT, "SW"),
        ("postcode", 94110, WHOLE, 94000),
        ("location", 52.520008, pa.float64(), 52.5),
        ("location", "52.520008, 13.404954", TEXT, "52.5, 13.4"),
        ("ip_address", "192.0.2.17", TEXT, "192.0.2.0/24"),
        ("email", "ann@Example.org", TEXT, "example.org"),
        (None, 37, WHOLE, 30),
        (None, 37.5, pa.float64(), 30.0),
    ],
)
def test_generalised_values_are_shared_by_many(
    kind: str | None, value: Any, data_type: pa.DataType, expected: Any
) -> None:
    found = done("generalise", kind, [value, None], data_type)
    assert found.values("x") == [expected, None]
    assert not found.schema.main.column("x").personal


def test_what_is_found_in_texts_is_redacted() -> None:
    text = "Call Mr. Miller at +1 202-555-0143, or ann@example.org; card 4111 1111 1111 1111."
    found = done("redact", "free_text", [text, "nothing here", None])
    assert found.values("x") == [
        "Call <PERSON_NAME> at <PHONE>, or <EMAIL>; card <CARD>.",
        "nothing here",
        None,
    ]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("phone", "001-644-566-9433x611"),
        ("address", "998 Maria Square Apt. 863"),
        ("username", "somebody"),
        ("passport", "X1234567"),
        (None, "A-17"),
    ],
)
def test_a_value_of_which_the_columns_name_alone_tells_is_redacted_whole(
    kind: str | None, value: str
) -> None:
    found = done("redact", kind, [value, None, "94110"])
    mark = f"<{(kind or 'personal').upper()}>"
    assert found.values("x") == [mark, None, mark]
    assert found.effects["personal"]["redacted"] == {"x": 2}
    assert not found.schema.main.column("x").personal


@pytest.mark.parametrize(
    ("action", "kind", "value"),
    [
        ("mask", "email", "Ann Lee"),
        ("mask", "card", "1984"),
        ("generalise", "email", "Ann Lee"),
        ("generalise", "ip_address", "Ann Lee"),
        ("generalise", "birth_date", "17th May 84"),
        ("replace", "phone", "Ann Lee"),
        ("replace", "passport", "Ann 7"),
    ],
)
def test_nothing_stays_of_values_of_another_form(action: str, kind: str, value: str) -> None:
    (found,) = done(action, kind, [value]).values("x")
    assert not any(letter.isalnum() for letter in found)


def test_what_stays_as_it_is_is_not_counted() -> None:
    found = done("redact", "free_text", ["write to ann@example.org", "nothing here"])
    assert found.effects["personal"]["redacted"] == {"x": 1}
    rows = {"x": ["write to ann@example.org", "nothing"]}
    found = clean(rows, {"personal": {"x": "redact"}})
    assert found.values("x") == ["write to <EMAIL>", "nothing"]


def test_pseudonyms_are_the_same_everywhere() -> None:
    found = done("pseudonymise", "email", ["a@b.org", "c@d.org", None, "a@b.org"])
    one, other, missing, again = found.values("x")
    assert one == again == token("a@b.org", KEY) != other
    assert missing is None
    assert one.endswith("@example.invalid")
    # By hand: HMAC-SHA-256 of "pseudonym/7" begins with the bytes that 62 bits are taken of.
    numbers = done("pseudonymise", None, [7, 8, None], WHOLE)
    assert numbers.values("x") == [number(7, KEY), number(8, KEY), None]
    assert 0 <= number(7, KEY) < 2**62
    assert token("7", KEY) != token("7", bytes(32))


def test_a_narrow_number_gets_room_for_its_pseudonym() -> None:
    found = done("pseudonymise", None, [7], pa.int32())
    assert found.schema.main.column("x").type == "int64"
    assert found.values("x") == [number(7, KEY)]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("email", ["ann@b.org", "bob@b.org"]),
        ("person_name", ["Ann Lee", "Bob Ray"]),
        ("phone", ["+49 30 1234567", "+49 30 7654321"]),
        ("address", ["12 Main Street", "7 Oak Road"]),
        ("username", ["ann1", "bob2"]),
        ("card", ["4111111111111111", "5555555555554444"]),
        ("iban", ["GB82WEST12345698765432", "DE89370400440532013000"]),
        ("national_id", ["078-05-1120", "219-09-9999"]),
    ],
)
def test_replaced_values_are_of_the_same_kind_and_always_the_same(
    kind: str, values: list[str]
) -> None:
    from tasks.privacy.pii.search import recogniser

    found = done("replace", kind, [*values, None, values[0]]).values("x")
    assert found[0] == found[3]
    assert found[0] != found[1]
    assert found[2] is None
    assert not set(found) & set(values)
    if kind != "national_id":  # whose check digits are not kept on purpose
        assert all(recogniser(kind).holds(v) for v in found[:2])
    if kind in ("phone", "national_id"):
        assert [len(v) for v in found[:2]] == [len(v) for v in values]


def test_invented_emails_stay_different() -> None:
    values = [f"person{i}@example.org" for i in range(3_000)]
    assert len(set(done("replace", "email", values).values("x"))) == 3_000


def test_what_is_invented_follows_the_locale() -> None:
    french = done({"action": "replace", "locale": "ja_JP"}, "person_name", ["Ann Lee"])
    assert not french.values("x")[0].isascii()
    with pytest.raises(ParamsError, match="no locale 'xx_YY'"):
        done({"action": "replace", "locale": "xx_YY"}, "person_name", ["Ann Lee"])


def test_dropped_columns_go() -> None:
    found = done("drop", "email", ["a@b.org"])
    assert found.schema.main.column_names == ["other"]


@pytest.mark.parametrize(
    ("action", "kind", "data_type", "advice"),
    [
        ("redact", "card", WHOLE, "`pseudonymise` can"),
        ("mask", "birth_date", DATE, "`generalise` can"),
        ("pseudonymise", "location", pa.float64(), "`generalise` can"),
        ("replace", None, TEXT, "`pseudonymise` can; or say its kind under `source.personal`"),
        ("generalise", "national_id", TEXT, "`pseudonymise` can"),
    ],
)
def test_an_action_that_does_not_fit_is_refused(
    action: str, kind: str | None, data_type: pa.DataType, advice: str
) -> None:
    with pytest.raises(ParamsError, match=f"`{action}` cannot work on; {advice}"):
        done(action, kind, [], data_type)


def test_unknown_columns_and_actions_are_refused() -> None:
    with pytest.raises(ParamsError, match="names 'y', which is no column"):
        clean({"x": ["a"]}, {"personal": {"y": "drop"}})
    with pytest.raises(ParamsError, match=r"personal.*is not valid"):
        clean({"x": ["a"]}, {"personal": {"x": "encrypt"}})


def test_columns_without_a_decision_are_named_and_stay(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = clean(
            {"x": pa.array(["a@b.org"]), "other": pa.array([1])}, {}, schema=one_column("email")
        )
    assert found.values("x") == ["a@b.org"]
    assert found.effects["personal"]["learned"] == {"undecided": {"x": "email"}}
    (record,) = caplog.records
    assert "1 columns hold personal data, and nobody decided" in record.message
    assert "`personal: {x: pseudonymise}`" in record.message
    assert "a@b.org" not in record.message


def test_what_people_keep_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = done("keep", "email", ["a@b.org"])
    assert not caplog.records
    assert found.schema.main.column("x").personal


def linked() -> tuple[DatasetSchema, dict[str, dict[str, Any]]]:
    mail = column("mail", TEXT, "identifier", personal=True, personal_kind="email")
    by = column("by", TEXT, "identifier")
    total = column("total", WHOLE, "numeric")
    phone = column("phone", TEXT, "identifier", personal=True, personal_kind="phone")
    key = ForeignKey(columns=("by",), references="people", referenced_columns=("mail",))
    people = TableSchema(name="people", columns=(mail, phone), primary_key=("mail",))
    orders = TableSchema(name="orders", columns=(by, total), foreign_keys=(key,))
    rows = {
        "orders": {"by": ["a@b.org", "c@d.org", "a@b.org"], "total": [1, 2, 3]},
        "people": {"mail": ["a@b.org", "c@d.org"], "phone": ["+1 202 555 0143", None]},
    }
    return DatasetSchema(kind="tabular", tables=(orders, people)), rows


@pytest.mark.parametrize(
    "settings", [{"people.mail": "pseudonymise"}, {"by": "pseudonymise"}, {"*": "replace"}]
)
def test_keys_and_what_points_to_them_are_treated_alike(settings: dict[str, str]) -> None:
    schema, rows = linked()
    found, after, _ = clean_tables(rows, {"personal": settings}, schema=schema)
    tokens = [token(v, KEY) for v in ("a@b.org", "c@d.org")]
    assert [row["mail"] for row in found["people"]] == tokens
    assert [row["by"] for row in found["orders"]] == [tokens[0], tokens[1], tokens[0]]
    assert after.table("orders").foreign_keys == schema.table("orders").foreign_keys
    has_changed = found["people"][0]["phone"] != "+1 202 555 0143"
    assert has_changed == ("*" in settings)


def test_a_key_goes_with_what_points_to_it() -> None:
    schema, rows = linked()
    _, after, _ = clean_tables(rows, {"personal": {"by": "drop"}}, schema=schema)
    assert after.table("people").column_names == ["phone"]
    assert after.table("orders").column_names == ["total"]
    assert not after.table("orders").foreign_keys


def test_keys_are_not_torn_apart() -> None:
    schema, rows = linked()
    settings = {"by": "drop", "people.mail": "pseudonymise"}
    with pytest.raises(ParamsError, match="treats columns of one key differently"):
        clean_tables(rows, {"personal": settings}, schema=schema)
    with pytest.raises(ParamsError, match=r"people\.mail is part of a key, of which `mask`"):
        clean_tables(rows, {"personal": {"people.mail": "mask"}}, schema=schema)


def test_the_key_is_made_once_and_never_shown(tmp_path: Any, monkeypatch: Any) -> None:
    assert pseudonym_key(tmp_path) == KEY
    monkeypatch.delenv("PROOFMINT_PSEUDONYM_KEY")
    with pytest.raises(WorkspaceError, match="found none"):
        pseudonym_key(None)
    made = pseudonym_key(tmp_path)
    assert pseudonym_key(tmp_path) == made != KEY
    assert (tmp_path / "keys" / "pseudonyms.key").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("PROOFMINT_PSEUDONYM_KEY", "a passphrase of mine")
    with pytest.raises(WorkspaceError, match="32 random bytes") as caught:
        pseudonym_key(tmp_path)
    assert "passphrase" not in str(caught.value)
    assert repr(made) not in repr(Treatment("pseudonymise", "email", made))


def test_a_treatment_can_be_sent_to_another_process() -> None:
    treatment = Treatment("replace", "person_name", KEY)
    values = pa.array(["Ann Lee", None])
    assert pickle.loads(pickle.dumps(treatment))(values) == treatment(values)  # noqa: S301


@pytest.mark.parametrize(
    ("kind", "data_type", "meaning", "expected"),
    [
        ("person_name", TEXT, "categorical", "replace"),
        ("person_name", TEXT, "identifier", "pseudonymise"),
        ("card", WHOLE, "numeric", "pseudonymise"),
        ("phone", WHOLE, "numeric", "pseudonymise"),
        ("birth_date", DATE, "datetime", "generalise"),
        ("location", pa.float64(), "numeric", "generalise"),
        ("free_text", TEXT, "text", "redact"),
        (None, TEXT, "categorical", "pseudonymise"),
        (None, pa.decimal128(10, 2), "numeric", "drop"),
        (None, pa.float64(), "numeric", "generalise"),
    ],
)
def test_what_is_proposed_can_be_done(
    kind: str | None, data_type: pa.DataType, meaning: str, expected: str
) -> None:
    described = column("x", data_type, meaning, personal=True, personal_kind=kind)
    assert proposed(described) == expected
    values = {
        "birth_date": datetime.date(1990, 2, 3),
        "location": 1.23456,
    }.get(
        str(kind),
        {"decimal128(10, 2)": Decimal(1), "double": 1.5, "int64": 5}.get(described.type, "a b"),
    )
    schema = DatasetSchema(
        kind="tabular",
        tables=(TableSchema(name="t", columns=(described, column("o", WHOLE, "numeric"))),),
    )
    rows = {"x": pa.array([values], data_type), "o": pa.array([1])}
    clean(rows, {"personal": {"x": expected}}, schema=schema)


def test_all_others_get_what_fits_them() -> None:
    described = [
        column("born", DATE, "datetime", personal=True, personal_kind="birth_date"),
        column("mail", TEXT, "categorical", personal=True, personal_kind="email"),
        column("note", TEXT, "text", personal=True, personal_kind="free_text"),
        column("age", WHOLE, "numeric"),
    ]
    schema = DatasetSchema(
        kind="tabular", tables=(TableSchema(name="t", columns=tuple(described)),)
    )
    rows = {
        "born": pa.array([datetime.date(1984, 5, 17)]),
        "mail": pa.array(["a@b.org"]),
        "note": pa.array(["write to a@b.org now"]),
        "age": pa.array([37]),
    }
    found = clean(rows, {"personal": {"*": "mask"}}, schema=schema)
    assert found.rows == [
        {
            "born": datetime.date(1984, 1, 1),
            "mail": "*@b.org",
            "note": "write to *@b.org now",
            "age": 37,
        }
    ]
    assert [c.personal for c in found.schema.main.columns] == [False, True, True, False]
    replaced = clean(rows, {"personal": {"*": "replace"}}, schema=schema)
    assert "a@b.org" not in replaced.values("note")[0]
    assert replaced.schema.main.column("note").personal  # what was not found is still there


def test_threads_invent_the_same() -> None:
    treatment = Treatment("replace", "person_name", KEY)
    values = [pa.array([f"Ann{i} Lee{j}" for i in range(50)]) for j in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(treatment, values)) == [treatment(v) for v in values]
