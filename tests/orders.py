"""A made-up table of orders that keeps every kind of constraint, with missing values where allowed."""

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from tasks.constraints.declared import Constraint
from tasks.schema import Column, TableSchema, arrow_schema

CONSTRAINTS: list[Constraint] = TypeAdapter(list[Constraint]).validate_python(
    [
        {"type": "inequality", "columns": ["ordered", "shipped", "delivered"]},
        {"type": "inequality", "columns": ["cost", "price"], "strict": True},
        {"type": "fixed_combinations", "columns": ["city", "country"]},
        {"type": "formula", "column": "total", "formula": "price * quantity", "decimals": 2},
        {"type": "range", "column": "quantity", "min_value": 1, "max_value": 30},
        {"type": "range", "column": "delivered", "max_value": "2024-12-31"},
        {"type": "unique", "columns": ["customer", "ordered"]},
        {"type": "not_null", "columns": ["ordered", "quantity"]},
    ]
)

_CITIES = {"DE": ["Berlin", "Hamburg", "Köln"], "FR": ["Paris", "Lyon"], "IT": ["Roma", "Milano"]}
_START = np.datetime64("2020-01-01")


def orders(n_rows: int, seed: int = 0) -> tuple[TableSchema, pa.RecordBatch]:
    """The table with all constraints, and rows of it."""
    rng = np.random.default_rng(seed)

    def some(share: float) -> np.ndarray:
        return rng.random(n_rows) < share

    def days(numbers: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
        return pa.array(_START + numbers.astype("timedelta64[D]"), pa.date32(), mask=missing)

    customer = rng.permutation(20 * n_rows)[:n_rows] // 1_000
    ordered = rng.permutation(20 * n_rows)[:n_rows] % 1_500
    # A pair that is there already gets a customer of its own.
    pairs = customer * 1_500 + ordered
    repeated = np.ones(n_rows, dtype=bool)
    repeated[np.unique(pairs, return_index=True)[1]] = False
    customer[repeated] = customer.max() + 1 + np.arange(repeated.sum())
    shipped = ordered + rng.poisson(3, n_rows)
    delivered = shipped + rng.choice([0, 1, 2, 3, 10], n_rows, p=[0.1, 0.4, 0.3, 0.15, 0.05])
    cents = np.rint(np.exp(rng.normal(3, 1, n_rows)) * 100).astype(int) + 2
    price, quantity = cents / 100, rng.poisson(2, n_rows) + 1
    country = rng.choice(list(_CITIES), n_rows, p=[0.5, 0.3, 0.2])
    city = [rng.choice(_CITIES[name]) for name in country]
    columns = {
        "order": (pa.array(range(1, n_rows + 1)), "identifier"),
        "ordered": (days(ordered), "datetime"),
        "shipped": (days(shipped, some(0.1)), "datetime"),
        "delivered": (days(delivered, some(0.1)), "datetime"),
        "city": (pa.array(city), "categorical"),
        "country": (pa.array(country), "categorical"),
        "cost": (pa.array(np.floor(cents * rng.uniform(0.3, 0.99, n_rows)) / 100), "numeric"),
        "price": (pa.array(price, mask=some(0.05)), "numeric"),
        "quantity": (pa.array(quantity), "numeric"),
        "total": (pa.array(np.round(price * quantity, 2), mask=some(0.02)), "numeric"),
        "customer": (pa.array(customer), "numeric"),
    }
    described = tuple(
        Column(name=name, type=str(a.type), meaning=meaning, nullable=a.null_count > 0)
        for name, (a, meaning) in columns.items()
    )
    table = TableSchema(name="orders", columns=described, primary_key=("order",))
    arrays = [values for values, _ in columns.values()]
    batch = pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(table))
    return table.constrained(CONSTRAINTS), batch
