"""Units of measurement, as multiples of one unit for each quantity; all factors are exact.

Source: NIST Special Publication 811 (2008), Appendix B; the inch, pound, mile and their kin as
    agreed in 1959, the US gallon of 231 cubic inches, the imperial one of 4.54609 l.
"""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Unit:
    """A value v in this unit is (v + offset) * factor in the unit of the quantity.

    Attributes:
        quantity: what is measured.
        factor: how many of the quantity's unit one of this is.
        offset: added before; 0 but for temperatures.
    """

    quantity: str
    factor: Fraction
    offset: Fraction = Fraction(0)


_FACTORS = {
    "length": {
        "m": "1", "km": "1000", "dm": "0.1", "cm": "0.01", "mm": "0.001", "um": "0.000001",
        "in": "0.0254", "ft": "0.3048", "yd": "0.9144", "mi": "1609.344", "nmi": "1852",
    },
    "mass": {
        "kg": "1", "g": "0.001", "mg": "0.000001", "ug": "0.000000001", "t": "1000",
        "lb": "0.45359237", "oz": "0.028349523125", "st": "6.35029318",
    },
    "time": {
        "s": "1", "ms": "0.001", "us": "0.000001", "min": "60", "h": "3600", "d": "86400",
        "wk": "604800",
    },
    "volume": {
        "l": "1", "dl": "0.1", "cl": "0.01", "ml": "0.001", "ul": "0.000001", "m3": "1000",
        "gal": "3.785411784", "qt": "0.946352946", "pt": "0.473176473",
        "fl_oz": "0.0295735295625", "gal_uk": "4.54609", "pt_uk": "0.56826125",
    },
    "area": {
        "m2": "1", "km2": "1000000", "cm2": "0.0001", "mm2": "0.000001", "ha": "10000",
        "sq_ft": "0.09290304", "sq_in": "0.00064516", "sq_mi": "2589988.110336",
        "acre": "4046.8564224",
    },
    "speed": {"m/s": "1", "km/h": "1/3.6", "mph": "0.44704", "kn": "1852/3600"},
    "pressure": {
        "Pa": "1", "hPa": "100", "kPa": "1000", "bar": "100000", "mbar": "100", "atm": "101325",
        "mmHg": "133.322387415", "psi": "6894.757293168",
    },
    "energy": {
        "J": "1", "kJ": "1000", "MJ": "1000000", "cal": "4.184", "kcal": "4184", "Wh": "3600",
        "kWh": "3600000",
    },
}  # fmt: skip

_TEMPERATURES = {
    "K": Unit("temperature", Fraction(1)),
    "C": Unit("temperature", Fraction(1), Fraction("273.15")),
    "F": Unit("temperature", Fraction(5, 9), Fraction("459.67")),
}

_SPELLINGS = {
    "m": "meter meters metre metres", "km": "kms kilometer kilometers kilometre kilometres",
    "cm": "cms centimeter centimeters centimetre centimetres",
    "mm": "millimeter millimeters millimetre millimetres",
    "in": 'inch inches " ″ ”', "ft": "foot feet ' ′ ’", "yd": "yard yards yds",
    "mi": "mile miles", "kg": "kgs kilo kilos kilogram kilograms", "g": "gram grams gr",
    "mg": "milligram milligrams", "ug": "µg μg mcg", "t": "tonne tonnes",
    "lb": "lbs pound pounds", "oz": "ounce ounces", "st": "stone stones",
    "s": "sec secs second seconds", "ms": "millisecond milliseconds", "us": "µs μs",
    "min": "mins minute minutes", "h": "hr hrs hour hours", "d": "day days", "wk": "week weeks",
    "l": "liter liters litre litres", "ml": "milliliter milliliters millilitre millilitres",
    "ul": "µl μl", "gal": "gallon gallons", "qt": "quart quarts", "pt": "pint pints",
    "m2": "m² sqm", "km2": "km²", "cm2": "cm²", "mm2": "mm²", "m3": "m³",
    "sq_ft": "sqft ft²", "acre": "acres", "ha": "hectare hectares", "km/h": "kmh kph",
    "kn": "knot knots kt kts", "K": "kelvin", "C": "°c celsius", "F": "°f fahrenheit",
}  # fmt: skip


def unit(name: str) -> Unit:
    """The unit called so in settings.

    Raises:
        ValueError: there is none; the message has all of them.
    """
    if name not in UNITS:
        raise ValueError(f"unknown unit {name!r}; choose from: {', '.join(UNITS)}")
    return UNITS[name]


def spellings(quantity: str) -> dict[str, Unit]:
    """The units of one quantity by every way to write them in a text, in small letters."""
    names = {name: u for name, u in UNITS.items() if u.quantity == quantity}
    written = {name.lower().replace("_", " "): u for name, u in names.items()}
    for name, u in names.items():
        written |= dict.fromkeys(_SPELLINGS.get(name, "").split(), u)
    return written


def conversion(source: Unit, target: Unit) -> tuple[Fraction, Fraction]:
    """Factor and summand that turn a value in `source` into one in `target`."""
    factor = source.factor / target.factor
    return factor, source.offset * factor - target.offset


def _exact(text: str) -> Fraction:
    above, _, below = text.partition("/")
    return Fraction(above) / Fraction(below or 1)


UNITS = {
    name: Unit(quantity, _exact(factor))
    for quantity, factors in _FACTORS.items()
    for name, factor in factors.items()
} | _TEMPERATURES
"""All units by the names that settings use."""
