"""Measurements in one unit, by hand."""

from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest

from tasks.cleaning.units import UNITS, conversion, spellings
from tasks.errors import ParamsError
from tests.cleaned import clean


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        ("in", "cm", 10, 25.4),
        ("cm", "in", 25.4, 10.0),
        ("lb", "kg", 1, 0.45359237),
        ("F", "C", 212, 100.0),
        ("C", "F", 37, 98.6),
        ("K", "C", 0, -273.15),
        ("km/h", "m/s", 36, 10.0),
        ("h", "min", 1.5, 90.0),
        ("gal", "l", 1, 3.785411784),
        ("mmHg", "kPa", 120, 15.9986864898),
        ("sq_ft", "m2", 1, 0.09290304),
        ("kWh", "kJ", 1, 3600.0),
    ],
)
def test_numbers_are_converted(source, target, value, expected):
    rule = {"from": source, "to": target}
    found = clean({"x": pa.array([value, None])}, {"units": {"x": rule}})
    assert found.values("x") == [pytest.approx(expected, rel=1e-15, abs=1e-13), None]
    assert found.schema.main.column("x").type == "double"
    assert found.effects["units"]["converted"] == {"x": 1}


def test_conversions_are_exact_there_and_back():
    for name, unit in UNITS.items():
        for other in UNITS.values():
            if other.quantity == unit.quantity:
                factor, summand = conversion(unit, other)
                back, other_summand = conversion(other, unit)
                assert factor * back == 1, name
                assert summand * back + other_summand == 0, name
    assert conversion(UNITS["F"], UNITS["C"]) == (Fraction(5, 9), Fraction(-160, 9))


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("180 cm", "cm", 180.0),
        ("1.80m", "cm", 180.0),
        ("5 ft 11 in", "cm", 180.34),
        ("5'11\"", "cm", 180.34),
        ("-5 ft 6 in", "in", -66.0),
        (".5 ft.", "in", 6.0),
        ("72 KG", "kg", 72.0),
        ("1,200 Pounds", "kg", 544.310844),
        ("11 st 2 lb", "lb", 156.0),
        ("37.5 °C", "K", 310.65),
        ("98.6f", "C", 37.0),
        ("2 h 30 min", "min", 150.0),
        ("20 fl oz", "ml", 591.47059125),
        ("100 m²", "m2", 100.0),
        ("100 m2", "m2", 100.0),
        ("12", "kg", 12.0),
        ("12 parsecs", "kg", None),
        ("kg", "kg", None),
        ("1 kg kg", "kg", None),
        ("5 ft 11", "cm", None),
        ("20 °C 3 °C", "C", None),
        ("12 kg", "cm", None),
        ("", "kg", None),
    ],
)
def test_texts_say_their_units(text, target, expected):
    rule = (
        {"from": "text", "to": target, "assume": "kg"}
        if target == "kg"
        else {
            "from": "text",
            "to": target,
        }
    )
    found = clean({"x": [text, None]}, {"units": {"x": rule}})
    assert found.values("x") == [expected and pytest.approx(expected, rel=1e-12), None]
    lost = {"unreadable": {"x": 1}} if expected is None else {"converted": {"x": 1}}
    assert found.effects["units"] == {"rows_dropped": 0, **lost}


def test_a_number_without_a_unit_is_missing_unless_one_is_assumed():
    rule = {"from": "text", "to": "cm"}
    assert clean({"x": ["12"]}, {"units": {"x": rule}}).values("x") == [None]


def test_every_spelling_has_one_unit():
    for quantity in {unit.quantity for unit in UNITS.values()}:
        written = spellings(quantity)
        assert all(written[name.lower().replace("_", " ")] for name in written)


def test_decimals_become_doubles_and_what_is_too_large_is_missing():
    values = pa.array([Decimal("1.50")])
    rule = {"from": "m", "to": "cm"}
    assert clean({"x": values}, {"units": {"x": rule}}).values("x") == [150.0]
    found = clean({"x": [1.7e308]}, {"units": {"x": rule}})
    assert found.values("x") == [None]
    assert found.effects["units"]["unreadable"] == {"x": 1}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"from": "in", "to": "kg"}, r"one quantity, found 'in' \(length\) and 'kg' \(mass\)"),
        ({"from": "inch", "to": "cm"}, "unknown unit 'inch'; choose from: m, km"),
        ({"from": "in", "to": "cm", "assume": "in"}, "`assume` goes with `from: text`"),
        ({"from": "text", "to": "cm"}, "'x' of 't' is of type int64, expected texts"),
        ({"to": "cm"}, "from: field required"),
        ({"from": "in", "to": "cm", "of": 1}, "of: unknown key"),
    ],
)
def test_what_does_not_fit_is_named(rule, message):
    with pytest.raises(ParamsError, match=message):
        clean({"x": [1]}, {"units": {"x": rule}})
