"""Any table and any settings: clean data, the same for any batches, or an error that names the fault."""

import contextlib
import datetime
import random
from decimal import Decimal

import pyarrow as pa
import pytest

from tasks.errors import ProofmintError
from tests.cleaned import clean

VALUES = {
    "whole": ([0, 1, -1, 2**63 - 1, -(2**63)], pa.int64()),
    "unsigned": ([0, 1, 2**64 - 1], pa.uint64()),
    "small": ([-128, 0, 127], pa.int8()),
    "double": ([0.0, -0.0, 1.5, float("nan"), float("inf"), 1e308, -1.7e308, 5e-324], pa.float64()),
    "single": ([0.0, 1.5, float("nan"), 3e38], pa.float32()),
    "decimal": ([Decimal("1.25"), -(Decimal(10) ** 35), Decimal(0)], pa.decimal128(38, 2)),
    "date": ([datetime.date(1, 1, 1), datetime.date(9999, 12, 31)], pa.date32()),
    "moment": ([0, 2**62, -5], pa.timestamp("ns")),
    "zoned": ([0, 10**15, -5], pa.timestamp("us", tz="UTC")),
    "time": ([0, 1, 86_399_999_999], pa.time64("us")),
    "span": ([0, 1, 10**9], pa.duration("s")),
    "truth": ([True, False], pa.bool_()),
    "text": (
        ["", "A ", "🙂", "1", "2.5", "$1,000", "2024-01-01", "N/A", "5 ft", "<b>é"],
        pa.string(),
    ),
    "bytes": ([b"", b"\0", b"x"], pa.binary()),
}
METHODS = ["drop", "mean", "median", "mode", "forward", "backward", "interpolate", "regression"]
TYPES = [
    "int64",
    "double",
    "decimal128(10, 2)",
    "date32",
    "timestamp[us]",
    "bool",
    "string",
    "infer",
]


def drawn(rng: random.Random) -> tuple[dict[str, pa.Array], dict]:
    n_rows = rng.choice([0, 1, 2, 5, 30])
    columns = {}
    for name in rng.sample(sorted(VALUES), rng.randint(1, 5)):
        values, kind = VALUES[name]
        n_missing = rng.choice([0, 1, 20])
        cells = [rng.choice([*values, *[None] * n_missing]) for _ in range(n_rows)]
        columns[name] = pa.array(cells, kind)
    one = rng.choice(sorted(columns))
    bounds = {
        "method": rng.choice(["iqr", "sigma"]),
        "action": rng.choice(["flag", "clip", "drop"]),
    }
    forest = {"method": "isolation_forest", "action": "flag"}
    steps = {
        "missing": {rng.choice([one, "*", "numeric", "categorical"]): rng.choice(METHODS)},
        "outliers": rng.choice([{one: bounds}, {"*": bounds}, {"*": forest}]),
        "drop_duplicates": rng.choice([True, [one], {"by": [one], "keep": "last"}]),
        "drop_missing": rng.choice([True, [one]]),
        "types": rng.choice(["infer", {one: rng.choice(TYPES)}]),
        "text": {"*": rng.sample(["nfc", "trim", "lower", "strip_html", "strip_accents"], 3)},
        "replace": {rng.choice([one, "*"]): {rng.choice(["A ", 1, True]): rng.choice([None, 2])}},
        "units": {one: rng.choice([{"from": "in", "to": "cm"}, {"from": "text", "to": "cm"}])},
        "scale": {one: rng.choice(["standard", "minmax", "robust", "log1p"])},
        "length": {one: {"min": 1}},
    }
    return columns, {name: steps[name] for name in rng.sample(sorted(steps), rng.randint(1, 3))}


@pytest.mark.parametrize("seed", range(60))
def test_any_table_is_cleaned_or_its_fault_is_named(seed):
    columns, settings = drawn(random.Random(seed))  # noqa: S311  for a test
    with contextlib.suppress(ProofmintError):
        found = [clean(columns, settings, cut=cut) for cut in ([3, 1], [100])]
        assert repr(found[0]) == repr(found[1])
