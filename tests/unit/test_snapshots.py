"""Which old rows new ones replace, and what makes a snapshot another one."""

import datetime
import decimal

import pyarrow as pa
import pytest

from tasks import snapshots
from tasks.cache import Cache
from tasks.params import SourceParams
from tasks.schema import DatasetSchema
from tasks.snapshots import Merge, Snapshots
from tasks.sources.base import column, table_schema

SCHEMA = DatasetSchema(kind="tabular", tables=(table_schema("t", [column("n", pa.int64())]),))


def rows(**columns) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def test_old_rows_of_new_keys_go_and_the_others_keep_their_order():
    merge = Merge(pa.table({"shop": ["a", "b"], "n": [1, 2]}))
    old = [
        rows(n=[9, 1, 1, 2], x=["k", "gone", "l", "m"], shop=["a", "a", "b", "a"]),
        rows(n=[2, 7], x=[None, "n"], shop=["b", "b"]),
        rows(n=[5], x=["o"], shop=["c"]),
    ]
    kept = pa.Table.from_batches(list(merge.kept(old)))
    assert kept["x"].to_pylist() == ["k", "l", "m", "n", "o"]
    assert merge.n_replaced == 2
    assert merge.missing == {"n": 0, "x": 1, "shop": 0}


@pytest.mark.parametrize(
    "key",
    [
        pa.array([1.5, 2.5]),
        pa.array([b"a", b"b"]),
        pa.array([decimal.Decimal("1.50"), decimal.Decimal("2.50")], pa.decimal256(50, 2)),
        pa.array([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)]),
        pa.array([1, 2], pa.timestamp("us", "UTC")),
        pa.array([True, False]),
    ],
    ids=lambda key: str(key.type),
)
def test_keys_of_all_types(key):
    merge = Merge(pa.table({"k": key[1:]}))
    assert [len(b) for b in merge.kept([pa.RecordBatch.from_arrays([key], ["k"])])] == [1]


def test_many_rows_in_any_order_of_threads():
    n = 100_000
    merge = Merge(pa.table({"n": list(range(0, n, 3))}))
    (kept,) = merge.kept([rows(n=list(range(n)))])
    assert kept["n"].to_pylist() == [i for i in range(n) if i % 3]


def test_without_keys_all_old_rows_stay():
    merge = Merge(pa.table({}))
    assert [len(b) for b in merge.kept([rows(n=[1, 2])])] == [2]


def test_no_new_rows_replace_nothing():
    merge = Merge(pa.table({"n": pa.array([], pa.int64())}))
    assert [len(b) for b in merge.kept([rows(n=[1, 2])])] == [2]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("postgresql://ann:old@host:1/shop", "postgresql://ann:new@host:1/shop", True),
        ("postgresql://ann:pw@host:1/shop", "postgresql://bob:pw@host:1/shop", False),
        ("postgresql://ann:pw@host:1/shop", "postgresql://ann:pw@host:1/bank", False),
        ("postgresql://ann:pw@host:1/shop", "postgresql://ann:pw@other:1/shop", False),
        ('{"host": "h", "password": "a"}', '{"password": "b", "host": "h"}', True),
        ('{"host": "h", "password": "a"}', '{"host": "i", "password": "a"}', False),
        ("{odd", "{odder", False),
    ],
)
def test_another_server_is_another_source_another_password_is_not(
    tmp_path, monkeypatch, one, other, is_same
):
    found = []
    for value in (one, other):
        monkeypatch.setenv("AIRFLOW_CONN_SHOP", value)
        params = SourceParams.model_validate({"type": "sql", "connection": "shop", "table": "t"})
        found.append(Snapshots(Cache(tmp_path, 1), params, SCHEMA)._key)
    assert (found[0] == found[1]) is is_same
    assert "pw" not in found[0]


def test_other_code_that_reads_is_another_snapshot(tmp_path, monkeypatch):
    params = SourceParams.model_validate({"type": "sql", "table": "t"})
    before = Snapshots(Cache(tmp_path, 1), params, SCHEMA)._key
    (tmp_path / "new.py").write_text("")
    monkeypatch.setattr(snapshots, "_READERS", tmp_path)
    assert Snapshots(Cache(tmp_path, 1), params, SCHEMA)._key != before
