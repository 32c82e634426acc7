"""Identifiers are made anew, in the pattern of the column."""

import re

import numpy as np
import pyarrow as pa
import pytest

from tasks.encoding.columns.identifier import IdentifierEncoder
from tasks.errors import DataError
from tasks.schema import Column


def _made(values: pa.Array, n: int, first_row: int = 0) -> list[object]:
    column = Column(name="id", type=str(values.type), meaning="identifier")
    fitted = IdentifierEncoder.fit(column, values)
    encoder = IdentifierEncoder.from_state(column, *fitted.state())
    rng = np.random.default_rng(0)
    made = encoder.decode(np.zeros(n, dtype=int), np.empty(0), rng, first_row)
    assert made.type == values.type
    return list(made.to_pylist())


@pytest.mark.parametrize(
    ("values", "made"),
    [
        (pa.array([901, 17]), [1, 2, 3]),
        (pa.array([901.0, 17.0]), [1.0, 2.0, 3.0]),
        (pa.array([f"C-{i:05d}" for i in range(17, 99, 9)]), ["C-00001", "C-00002", "C-00003"]),
        (pa.array(["gq", "zb", "kc", "xyz"]), ["lo", "lp", "lq"]),
        (pa.array([None, ""], pa.string()), ["1", "2", "3"]),
    ],
)
def test_they_count_in_the_pattern_of_the_column(values: pa.Array, made: list[object]) -> None:
    assert _made(values, 3) == made


def test_uuids_keep_their_form() -> None:
    values = pa.array([f"{0x1357BD * i:08x}-{7 * i:04x}" for i in range(900)])
    made = [str(text) for text in _made(values, 90)]
    assert len(set(made)) == 90
    assert all(re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}", text) for text in made)


def test_they_differ_beyond_the_room_of_the_pattern_and_between_pieces() -> None:
    values = pa.array(["A1", "A2", "A4", "A7", "A8"])
    made = _made(values, 250) + _made(values, 250, first_row=250)
    assert len(set(made)) == 500
    assert made[:5] == ["A5", "A6", "A7", "A8", "A9"]
    assert made[5] == "A01"


def test_a_type_too_narrow_for_the_rows_is_told() -> None:
    with pytest.raises(DataError, match="int8 has no room for row 300"):
        _made(pa.array([1], pa.int8()), 300)


def test_real_texts_do_not_come_out_while_there_is_room() -> None:
    rng = np.random.default_rng(0)
    for real in ([f"u{i}.{'ab'[i % 2]}@x.org" for i in range(150)], [f"K{i:03d}" for i in range(300)],
                 [f"{i:05d}" for i in rng.permutation(90_000)[:2_000]]):  # fmt: skip
        made = _made(pa.array(real), 10 if real[0][0].isdigit() else 100)
        assert not set(real) & set(made)


def test_what_repeats_in_addresses_stays_and_what_tells_apart_does_not() -> None:
    names = ["ann", "bob", "cyd", "dan", "eve", "fay"]
    values = pa.array([f"{n}@mail.org" for n in names] + ["gina.hall@secret.com", "h@own.name"])
    made = [str(text) for text in _made(values, 200)]
    assert all(re.fullmatch("[a-z]{3}@mail.org", text) for text in made)
    # Room for 26^3 addresses, then digits before the at sign.
    assert str(_made(values, 1, first_row=26**3)[0]).endswith("1@mail.org")


@pytest.mark.parametrize(
    "texts", [["Ärger", "o", "käse-brot"], ["王小明"], ["a!b", "c?d", "#e"], ["x1y2", "x1y", "x1"]]
)
def test_nothing_of_a_text_that_stands_alone_gets_out(texts: list[str]) -> None:
    made = _made(pa.array(texts), 40)
    assert len(set(made)) == 40
    assert not any(text in str(new) for text in texts for new in made if len(text) > 1)


def test_missing_values_are_learned_and_numbers_go_on_beside_them() -> None:
    values = pa.array(["K1", None, "K2", "K3", None, "K5", "K6", "K8"])
    encoder = IdentifierEncoder.fit(Column(name="k", type="string", meaning="identifier"), values)
    assert encoder.n_tokens == 2
    tokens = encoder.encode(values).tokens
    assert tokens.tolist() == [0, 1, 0, 0, 1, 0, 0, 0]
    made = encoder.decode(tokens[:4], np.empty(0), np.random.default_rng(0), 4)
    assert made.to_pylist() == ["K8", None, "K01", "K11"]
