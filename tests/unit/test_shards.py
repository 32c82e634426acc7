"""The cut of rows into shards and row groups, and the threads that encode them."""

import datetime
import decimal
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import shards
from tasks.schema import IMAGE_TYPE

MIB = 2**20


def numbers(n_rows: int, first: int = 0) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"n": pa.array(range(first, first + n_rows), pa.int64())})


def blobs(*sizes: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"b": pa.array([bytes(s) for s in sizes], pa.binary())})


def cuts(batches: list[pa.RecordBatch]) -> list[tuple[int, int, int]]:
    return [(g.shard, g.n_rows, g.n_bytes) for g in shards.row_groups(batches)]


def write(folder: Path, batches: list[pa.RecordBatch], **options) -> list[bytes]:
    folder.mkdir()
    shards.write_shards(folder, batches[0].schema, batches, **options)
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def test_row_groups_end_by_rows_and_shards_with_them():
    # 65,536 rows of 8 bytes; eight such row groups are 2^19 rows, which fills a shard.
    found = cuts([numbers(70_000), numbers(1), numbers(2**19 - 70_001), numbers(10)])
    assert found == [*((0, 65_536, 524_288) for _ in range(8)), (1, 10, 80)]


def test_row_groups_of_large_values_end_by_bytes():
    # 4 bytes each beside the value; the row that fills 16 MiB is the last one of its row group.
    batch = blobs(10 * MIB, 10 * MIB, 1, 40 * MIB, 1, 30 * MIB)
    mib = [20 * MIB + 8, 40 * MIB + 1 + 8, 30 * MIB + 1 + 8]
    assert cuts([batch]) == [(0, 2, mib[0]), (0, 2, mib[1]), (0, 2, mib[2])]
    assert cuts([batch, blobs(1)])[-1] == (1, 1, 5)  # 90 MiB fill a shard of 64
    assert cuts([batch.slice(i, 1) for i in range(6)]) == cuts([batch])


def test_row_groups_of_many_columns_are_larger():
    wide = pa.RecordBatch.from_pydict({str(i): np.zeros(8_193) for i in range(512)})
    # 512 columns of 64 KiB: 8,192 rows of 8 bytes; four of these row groups are a shard.
    assert cuts([wide] * 5)[:5] == [*((0, 8_192, 32 * MIB) for _ in range(4)), (1, 8_192, 32 * MIB)]


def test_bytes_of_rows_are_those_of_their_values():
    batch = pa.RecordBatch.from_pydict(
        {
            "f": pa.array([1.0, None]),
            "b": pa.array([True, None]),
            "s": pa.array(["abc", None]),
            "i": pa.array([{"bytes": b"12345", "path": "x"}, None], IMAGE_TYPE),
            "l": pa.array([[1, 2], None], pa.list_(pa.int64())),
        }
    )
    # 8 + 1 + (4 + 3) + (4 + 5 + 4 + 1) + (4 + 2 * 16), and without the lengths.
    assert shards.row_bytes(batch).tolist() == [66, 8 + 1 + 4 + 8 + 4]
    assert shards.row_bytes(batch.slice(1)).tolist() == [25]


def everything(n_rows: int) -> pa.RecordBatch:
    """Columns of all kinds, some with missing values, some that repeat."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 1_000_000, n_rows)
    is_missing = rng.random(n_rows) < 0.1
    day = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    return pa.RecordBatch.from_pydict(
        {
            "unique": pa.array(range(n_rows)),
            "few": pa.array(values % 7, mask=is_missing),
            "float": pa.array(values / 3, mask=is_missing),
            "bool": pa.array(values % 2 == 0, mask=is_missing),
            "a.b c": pa.array([f"text {v % 90}" for v in values], mask=is_missing),
            "decimal": pa.array([decimal.Decimal(int(v)) / 100 for v in values]),
            "time": pa.array([day + datetime.timedelta(seconds=int(v)) for v in values]),
            "duration": pa.array(values, pa.duration("us")),
            "list": pa.array([[int(v), None] for v in values], pa.list_(pa.int32())),
            "image": pa.array(
                [{"bytes": b"x" * (v % 9), "path": None} for v in values], IMAGE_TYPE
            ),
        }
    )


def test_the_bytes_are_those_of_the_rows_however_they_come(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ROW_GROUP_ROWS", 1_000)
    monkeypatch.setattr(shards, "SHARD_ROWS", 3_500)
    rows = everything(12_000)
    whole = write(tmp_path / "a", [rows])
    assert len(whole) == 4
    rng = np.random.default_rng(1)
    ends = [0, *sorted(rng.choice(12_000, 40, replace=False)), 12_000]
    pieces = [rows.slice(a, b - a) for a, b in itertools.pairwise(ends)]
    copies = [pa.RecordBatch.from_pylist(p.to_pylist(), p.schema) for p in pieces]
    assert write(tmp_path / "b", pieces) == whole
    assert write(tmp_path / "c", copies, memory_bytes=1) == whole
    monkeypatch.setattr(shards, "_MAX_WORKERS", 1)
    assert write(tmp_path / "d", [rows]) == whole
    tables = [pq.read_table(path) for path in sorted((tmp_path / "a").iterdir())]
    assert [table.num_rows for table in tables] == [3_500, 3_500, 3_500, 1_500]
    assert pa.concat_tables(tables).equals(pa.Table.from_batches([rows]))


def test_columns_get_a_dictionary_where_values_repeat(tmp_path):
    write(tmp_path / "a", [everything(2_000)])
    group = pq.read_metadata(tmp_path / "a" / "part-00000.parquet").row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    with_dictionary = {c.path_in_schema for c in columns if "PLAIN_DICTIONARY" in c.encodings}
    with_dictionary |= {c.path_in_schema for c in columns if "RLE_DICTIONARY" in c.encodings}
    assert with_dictionary == {"few", "a.b c"}
    assert {c.compression for c in columns} == {"ZSTD"}


def test_rows_that_fail_to_come_end_the_threads(tmp_path):
    def failing() -> Iterator[pa.RecordBatch]:
        yield numbers(2**19)
        yield numbers(70_000)
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        shards.write_shards(tmp_path, numbers(0).schema, failing())
    assert not [t for t in threading.enumerate() if t.name.startswith("shards")]


@pytest.mark.parametrize("memory_bytes", [1, 2**30])
def test_a_disk_that_fails_is_told_and_ends_the_threads(tmp_path, memory_bytes):
    with pytest.raises(FileNotFoundError, match=r"part-00000\.parquet"):
        shards.write_shards(
            tmp_path / "none", numbers(0).schema, [numbers(2**19 + 5)] * 5, None, memory_bytes
        )
    assert not [t for t in threading.enumerate() if t.name.startswith("shards")]


def test_a_schema_that_parquet_cannot_hold_is_an_error(tmp_path):
    odd = pa.RecordBatch.from_arrays([pa.array([1])], schema=pa.schema([("n", pa.int64())]))
    with pytest.raises((pa.ArrowInvalid, ValueError)):
        shards.write_shards(tmp_path, pa.schema([("n", pa.string())]), [odd])
