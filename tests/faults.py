"""Faults that data gets on its way, planted in tables: what gates learned from data must catch."""

from collections.abc import Callable

import numpy as np
import pandas as pd

Fault = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


def on(column: str, change: Callable[[pd.Series], object]) -> Fault:
    """One column changed as a whole."""
    return lambda frame, _: frame.assign(**{column: change(frame[column])})


def some(share: float, column: str, change: Callable[[pd.Series], object]) -> Fault:
    """One column changed in a share of the rows, drawn at random."""

    def plant(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        chosen = rng.permutation(len(frame))[: max(1, round(share * len(frame)))]
        values = frame[column].astype(object)
        values.iloc[chosen] = np.asarray(change(frame[column].iloc[chosen]), dtype=object)
        try:
            values = values.astype(frame[column].dtype)
        except (TypeError, ValueError):
            values = values.infer_objects()
        return frame.assign(**{column: values})

    return plant


def to(value: object) -> Callable[[pd.Series], object]:
    """Every value becomes this one."""
    return lambda values: [value] * len(values)


def swapped(first: str, second: str) -> Fault:
    """Two columns under each other's name."""
    return lambda frame, _: frame.assign(**{first: frame[second], second: frame[first]})


def shuffled(column: str) -> Fault:
    """A column in another order than its rows."""
    return lambda frame, rng: frame.assign(
        **{column: frame[column].to_numpy()[rng.permutation(len(frame))]}
    )


def shifted(column: str, by: int = 1) -> Fault:
    """A column so many rows further down."""
    return lambda frame, _: frame.assign(**{column: np.roll(frame[column].to_numpy(), by)})


def rows(choose: Callable[[pd.DataFrame], pd.DataFrame]) -> Fault:
    """Other rows."""
    return lambda frame, _: choose(frame).reset_index(drop=True)


def misread(texts: pd.Series) -> pd.Series:
    """UTF-8 read as Latin-1."""
    return texts.map(lambda text: text.encode().decode("latin-1"))


def day_for_month(moments: pd.Series) -> pd.Series:
    """3 April read as 4 March, where there is such a day."""

    def swap(moment: pd.Timestamp) -> pd.Timestamp:
        return moment.replace(day=moment.month, month=moment.day) if moment.day <= 12 else moment

    return moments.map(swap)


def noise(values: pd.Series) -> pd.Series:
    """Doubles that went through a calculation and back."""
    return values * 1.1 / 1.1 + 1e-9


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    """All rows two times."""
    return pd.concat([frame, frame])


def block_twice(share: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The first rows again, in place of the last ones."""
    return lambda frame: pd.concat(
        [frame.iloc[: -round(share * len(frame))], frame.iloc[: round(share * len(frame))]]
    )


VISITS: dict[str, Fault] = {
    "grams in place of kilograms": on("weight_kg", lambda v: v * 1000),
    "centimetres as inches": on("height_cm", lambda v: (v / 2.54).round(1)),
    "Celsius as Fahrenheit": on("temperature", lambda v: (v * 1.8 + 32).round(1)),
    "sign flipped": on("lab", lambda v: -v),
    "two numeric columns swapped": swapped("systolic", "diastolic"),
    "two categorical columns swapped": swapped("site", "insurer"),
    "a numeric column shifted by one row": shifted("weight_kg"),
    "a date shifted by one row": shifted("discharged"),
    "halves of a column swapped": lambda f, _: shifted("price", len(f) // 2)(f, _),
    "half of the table missing": rows(lambda f: f.iloc[: len(f) // 2]),
    "texts cut short": on("note", lambda v: v.str[:12]),
    "codes cut short": on("code", lambda v: v.str[:6]),
    "a new category in 2 % of the rows": some(0.02, "site", to("Erfurt")),
    "a category in lower case": on("site", lambda v: v.replace("Bonn", "bonn")),
    "two categories merged": on("insurer", lambda v: v.replace("Barmer", "AOK")),
    "a category lost": rows(lambda f: f[f["insurer"] != "DAK"]),
    "spaces behind 5 % of the texts": some(0.05, "insurer", lambda v: v + " "),
    "dates a year later": on("admitted", lambda v: v + pd.Timedelta(days=365)),
    "another timezone": on("admitted", lambda v: v + pd.Timedelta(hours=6)),
    "day and month swapped": on("admitted", day_for_month),
    "1 % of the dates in the future": some(
        0.01, "admitted", lambda v: v + pd.Timedelta(days=20_000)
    ),
    "a block of rows twice": rows(block_twice(0.1)),
    "all rows twice": rows(twice),
    "1 % of the keys doubled": some(0.01, "visit_id", to(100_500)),
    "a dependency broken in 2 % of the rows": some(
        0.02, "region", lambda v: v.map({"east": "west", "west": "east"})
    ),
    "a constant column": on("systolic", to(128.0)),
    "a column of zeros": on("doses", to(0)),
    "5 % missing": some(0.05, "height_cm", to(np.nan)),
    "missing as -999": on("lab", lambda v: v.fillna(-999.0)),
    "missing as 0": on("lab", lambda v: v.fillna(0.0)),
    "5 % empty texts": some(0.05, "insurer", to("")),
    "5 % of the texts are NULL": some(0.05, "note", to("NULL")),
    "UTF-8 read as Latin-1": on("note", misread),
    "age off by one": on("age", lambda v: v + 1),
    "doses off by one": on("doses", lambda v: v + 1),
    "rounded to whole numbers": on("height_cm", lambda v: v.round()),
    "noise of floats": on("temperature", noise),
    "decimals lost": on("lab", lambda v: v.round(1)),
    "1 % of the rows ten times as large": some(0.01, "weight_kg", lambda v: v * 10),
    "cut off at the 90th percentile": on("lab", lambda v: v.clip(upper=v.quantile(0.9))),
    "a column shuffled": shuffled("systolic"),
    "a column sorted": on("weight_kg", lambda v: np.sort(v.to_numpy())),
    "classes turned round": on("is_acute", lambda v: ~v),
    "rows of one site only": rows(lambda f: f[f["site"] == "Aachen"]),
    "a column more": lambda f, _: f.assign(comment="x"),
    "a column less": lambda f, _: f.drop(columns="price"),
    "columns in another order": lambda f, _: f[[*f.columns[1:], f.columns[0]]],
    "numbers as text": on("age", lambda v: v.astype(str)),
    "1 % of the ages negative": some(0.01, "age", lambda v: -v - 1),
    "1 % discharged before they came": some(
        0.01, "discharged", lambda v: v - pd.Timedelta(days=60)
    ),
    "the sum is wrong in 1 % of the rows": some(0.01, "total", lambda v: v + 5),
    "10 % of the rows in metres": some(0.1, "height_cm", lambda v: v / 100),
    "5 % of the dates missing, not their values": some(0.05, "lab_at", to(pd.NaT)),
    "rows drawn with replacement": lambda f, rng: f.iloc[
        rng.integers(0, len(f), len(f))
    ].reset_index(drop=True),
    "5 % of the dates at the epoch": some(0.05, "admitted", to(pd.Timestamp("1970-01-01"))),
    "identifiers in another form": on("patient", lambda v: v.str.replace("-", "")),
    "three rows lost": rows(lambda f: f.iloc[3:]),
    "weights 2 % too large": on("weight_kg", lambda v: (v * 1.02).round(1)),
}
"""By name."""

ADULT: dict[str, Fault] = {
    "age off by one": on("age", lambda v: v + 1),
    "two numeric columns swapped": swapped("education-num", "hours-per-week"),
    "two categorical columns swapped": swapped("workclass", "occupation"),
    "a column shifted by one row": shifted("education"),
    "a column shuffled": shuffled("occupation"),
    "leading spaces": on("native-country", lambda v: " " + v),
    "a dependency broken in 1 % of the rows": some(0.01, "education-num", to(9)),
    "classes turned round": on("income", lambda v: v.map({"<=50K": ">50K", ">50K": "<=50K"})),
    "only one sex": rows(lambda f: f[f["sex"] == "Male"]),
    "5 % zeros": some(0.05, "hours-per-week", to(0)),
    "gains in thousands": on("capital-gain", lambda v: v // 1000),
    "a block of rows twice": rows(block_twice(0.05)),
}
MAGIC: dict[str, Fault] = {
    "a unit": on("Length", lambda v: v * 1000),
    "two alike columns swapped": swapped("M3Long", "M3Trans"),
    "sign flipped": on("Asym", lambda v: -v),
    "a column shifted by one row": shifted("Conc1"),
    "rounded to whole numbers": on("Alpha", lambda v: v.round()),
    "single precision": on("Dist", lambda v: v.astype("float32").astype("float64")),
    "1 % of the rows ten times as large": some(0.01, "Width", lambda v: v * 10),
    "cut off at the 99th percentile": on("Length", lambda v: v.clip(upper=v.quantile(0.99))),
    "10 % in another unit": some(0.1, "Dist", lambda v: v / 2.54),
    "sorted by class, the last third lost": rows(
        lambda f: f.sort_values("class").iloc[: 2 * len(f) // 3]
    ),
}
BREAST_CANCER: dict[str, Fault] = {
    "a unit": on("mean_radius", lambda v: v * 10),
    "two alike columns swapped": swapped("mean_radius", "worst_radius"),
    "a column shuffled": shuffled("mean_area"),
    "a column shifted by one row": shifted("worst_perimeter"),
    "5 % zeros": some(0.05, "mean_texture", to(0.0)),
    "a constant column": on("mean_symmetry", to(0.18)),
    "classes turned round": on(
        "target", lambda v: v.map({"malignant": "benign", "benign": "malignant"})
    ),
    "5 % missing": some(0.05, "area_error", to(np.nan)),
}
