"""Formulas: what they may say, what they give."""

import numpy as np
import pytest

from tasks.constraints.formula import parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a", 6.0),
        ("a * b - 1", 11.0),
        ("a / b / 3", 1.0),
        ("-(a - b) * 0.5", -2.0),
        ("+a + 1e2", 106.0),
        ("`unit price` * a", 24.0),
        ("2 * (a + `unit price`) / b", 10.0),
    ],
)
def test_arithmetic(text: str, value: float) -> None:
    values = {"a": np.array([6.0]), "b": np.array([2.0]), "unit price": np.array([4.0])}
    assert parse(text).evaluate(values).tolist() == [value]


def test_the_columns_are_named_in_order() -> None:
    assert parse("b * `a b` + b / größe").columns == ("b", "a b", "größe")


def test_no_value_is_not_finite() -> None:
    values = {"a": np.array([1.0, np.nan, 0.0]), "b": np.array([0.0, 1.0, 0.0])}
    assert not np.isfinite(parse("a / b").evaluate(values)).any()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 + 2",
        "a +",
        "a ** 9",
        "a % b",
        "a // b",
        "a @ b",
        "~a",
        "not a",
        "a < b",
        "a if b else c",
        "a and b",
        "f(a)",
        "a.b",
        "a[0]",
        "(a := 1)",
        "lambda: a",
        "'x' * a",
        "True + a",
        "a * 1e999",
        "a + 1j",
        "a; b",
        "a = b",
        "__import__('os').system('true')",
        "(" * 300 + "a" + ")" * 300,
        "-" * 499 + "(",
        "a + 1" * 200,
        "[a]",
        "{a}",
        "`a",
        "``",
        "a\x00",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse(text)


def test_the_deepest_formula_can_be_computed() -> None:
    deep = parse("-" * 490 + "a")
    assert deep.evaluate({"a": np.array([1.0])}).tolist() == [1.0]
