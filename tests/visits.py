"""A made-up table with a column of every kind, as large as asked for."""

import numpy as np
import pandas as pd

from tasks.schema import Column, TableSchema

SITES = {"Aachen": "west", "Bonn": "west", "Cottbus": "east", "Dresden": "east"}
INSURERS = ["AOK", "Barmer", "TK", "DAK", "IKK", "KKH", "HEK", "hkk", "BIG", "SBK"]
_WORDS = [
    "Kontrolle",
    "Husten",
    "Fieber",
    "müde",
    "Schmerz",
    "besser",
    "Übelkeit",
    "stabil",
    "läuft",
]

VISITS = TableSchema(
    name="visits",
    columns=(
        Column(name="visit_id", type="int64", meaning="identifier"),
        Column(name="patient", type="string", meaning="identifier"),
        Column(name="site", type="string", meaning="categorical"),
        Column(name="region", type="string", meaning="categorical"),
        Column(name="insurer", type="string", meaning="categorical"),
        Column(name="sex", type="string", meaning="categorical"),
        Column(name="is_acute", type="bool", meaning="boolean"),
        Column(name="age", type="int64", meaning="numeric"),
        Column(name="height_cm", type="double", meaning="numeric"),
        Column(name="weight_kg", type="double", meaning="numeric"),
        Column(name="temperature", type="double", meaning="numeric"),
        Column(name="systolic", type="double", meaning="numeric"),
        Column(name="diastolic", type="double", meaning="numeric"),
        Column(name="lab", type="double", meaning="numeric"),
        Column(name="lab_at", type="timestamp[us]", meaning="datetime"),
        Column(name="admitted", type="timestamp[us]", meaning="datetime"),
        Column(name="discharged", type="timestamp[us]", meaning="datetime"),
        Column(name="doses", type="int64", meaning="numeric"),
        Column(name="price", type="double", meaning="numeric"),
        Column(name="total", type="double", meaning="numeric"),
        Column(name="note", type="string", meaning="text"),
        Column(name="code", type="string", meaning="categorical"),
        Column(name="name", type="string", meaning="categorical", personal=True),
    ),
)


def visits(n_rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """So many rows, each drawn alike and on its own."""
    n = n_rows
    site = rng.choice(list(SITES), n, p=[0.4, 0.3, 0.2, 0.1])
    weights = 0.5 ** np.arange(len(INSURERS))
    sex = rng.choice(["female", "male"], n)
    height = rng.normal(np.where(sex == "male", 178.0, 165.0), 7.0)
    temperature = rng.normal(37.0, 0.6, n)
    systolic = np.round(rng.normal(128, 14, n))
    day = rng.integers(0, 3 * 365, n)
    second = np.clip(rng.normal(11.5, 2.5, n), 0, 23.9) * 3600
    admitted = np.datetime64("2021-01-01", "us") + (
        (day * 86_400 + second).astype(np.int64) * 1_000_000
    ).astype("timedelta64[us]")
    stay = (rng.exponential(3.0, n) * 24 * 3600).astype(np.int64) * 1_000_000
    lab = np.where(rng.random(n) < 0.15, np.nan, np.round(rng.lognormal(1.0, 0.8, n), 3))
    lab_at = pd.Series(admitted + np.timedelta64(3600, "s")).where(~np.isnan(lab))
    doses = 1 + rng.poisson(2.0, n)
    price = np.round(rng.gamma(2.0, 20.0, n) + 1, 2)
    words = rng.choice(_WORDS, (n, 6))
    lengths = rng.integers(2, 7, n)
    letters = np.array(list("ABCDEFGHKLMN"))
    return pd.DataFrame(
        {
            "visit_id": np.arange(n) + 100_001,
            "patient": [f"P-{i:06d}" for i in rng.integers(0, 10**6, n)],
            "site": site,
            "region": [SITES[name] for name in site],
            "insurer": rng.choice(INSURERS, n, p=weights / weights.sum()),
            "sex": sex,
            "is_acute": rng.random(n) < 1 / (1 + np.exp(-3 * (temperature - 37.5))),
            "age": np.clip(rng.normal(55, 18, n), 0, 99).astype(np.int64),
            "height_cm": np.round(height, 1),
            "weight_kg": np.round((height - 100) * rng.lognormal(0, 0.15, n), 1),
            "temperature": np.round(temperature, 1),
            "systolic": systolic,
            "diastolic": np.round(systolic * rng.uniform(0.55, 0.75, n)),
            "lab": lab,
            "lab_at": lab_at,
            "admitted": admitted,
            "discharged": admitted + stay.astype("timedelta64[us]"),
            "doses": doses,
            "price": price,
            "total": np.round(doses * price, 2),
            "note": [" ".join(w[:k]) for w, k in zip(words, lengths, strict=True)],
            "code": [
                f"{''.join(pair)}-{number:04d}"
                for pair, number in zip(
                    rng.choice(letters, (n, 2)), rng.integers(0, 10_000, n), strict=True
                )
            ],
            "name": [f"Person {i}" for i in rng.integers(0, 10**5, n)],
        }
    )
