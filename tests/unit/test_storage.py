import base64
import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import shards, storage
from tasks.errors import DataError, SchemaError
from tasks.schema import Column, DatasetSchema, TableSchema

TABLE = TableSchema(
    name="t",
    columns=(
        Column(name="n", type="int64", meaning="numeric", nullable=False),
        Column(name="s", type="string", meaning="categorical"),
    ),
)
SCHEMA = DatasetSchema(kind="tabular", tables=(TABLE,))


def batch(start: int, stop: int) -> pa.RecordBatch:
    numbers = list(range(start, stop))
    return pa.RecordBatch.from_pydict({"n": numbers, "s": [str(n) for n in numbers]})


def write(folder: Path, *batches: pa.RecordBatch) -> dict[str, int]:
    with storage.new_folder(folder) as draft:
        return storage.write_dataset(draft, SCHEMA, {"t": batches})


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    assert write(tmp_path / "d", batch(0, 3), batch(3, 5)) == {"t": 5}
    assert storage.read_table(tmp_path / "d", "t").column("n").to_pylist() == [0, 1, 2, 3, 4]
    assert storage.read_table(tmp_path / "d", "t", ["s"]).column_names == ["s"]
    assert storage.count_rows(tmp_path / "d", "t") == 5


def test_the_bytes_depend_on_the_rows_alone(tmp_path: Path) -> None:
    write(tmp_path / "a", batch(0, 20_000))
    write(tmp_path / "b", batch(0, 1), batch(1, 9_000), batch(9_000, 9_000), batch(9_000, 20_000))
    assert storage.digest(tmp_path / "a") == storage.digest(tmp_path / "b")


def test_large_tables_are_cut_into_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", 8_192)
    write(tmp_path / "d", batch(0, 20_000))
    names = sorted(path.name for path in (tmp_path / "d" / "t").iterdir())
    assert names == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert storage.read_table(tmp_path / "d", "t").column("n").to_pylist() == list(range(20_000))


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    assert write(tmp_path / "d") == {"t": 0}
    assert storage.read_table(tmp_path / "d", "t").column_names == ["n", "s"]


@pytest.mark.parametrize(
    "wrong",
    [
        pa.RecordBatch.from_pydict({"n": [1], "other": ["a"]}),
        pa.RecordBatch.from_pydict({"n": ["not a number"], "s": ["a"]}),
        pa.RecordBatch.from_pydict({"n": [None], "s": ["a"]}),
    ],
    ids=["other column", "other type", "null where none may be"],
)
def test_rows_that_do_not_follow_the_schema_leave_nothing_behind(
    tmp_path: Path, wrong: pa.RecordBatch
) -> None:
    write(tmp_path / "d", batch(0, 2))
    before = storage.digest(tmp_path / "d")
    with pytest.raises(SchemaError, match="'t'"):
        write(tmp_path / "d", batch(0, 1), wrong)
    assert storage.digest(tmp_path / "d") == before
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_new_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with storage.new_folder(tmp_path / "d") as draft:
            (draft / text).write_text(text)
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["two"]
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write(tmp_path / "d", batch(0, 2))
    shard = tmp_path / "d" / "t" / "part-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"cannot read .*part-00000\.parquet"):
        storage.read_table(tmp_path / "d", "t")
    with pytest.raises(DataError, match="found no Parquet file"):
        list(storage.read_batches(tmp_path / "d", "other"))


def test_json_is_written_whole_and_refuses_nan(tmp_path: Path) -> None:
    storage.write_json(tmp_path / "a.json", {"b": 1.5})
    assert storage.read_json(tmp_path / "a.json") == {"b": 1.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(tmp_path / "a.json", {"b": float("nan")})
    assert storage.read_json(tmp_path / "a.json") == {"b": 1.5}
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        storage.read_json(tmp_path / "a.json")
    with pytest.raises(DataError, match="found none"):
        storage.read_json(tmp_path / "b.json")


def test_the_digest_of_a_folder_is_that_of_its_listing(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "b").write_bytes(b"B")
    (tmp_path / "sub" / "a").write_bytes(b"A")
    of_a, of_b = (hashlib.sha256(text).hexdigest() for text in (b"A", b"B"))
    listing = f"{of_b}  b\n{of_a}  sub/a\n"
    assert storage.digest(tmp_path / "b") == of_b
    assert storage.digest(tmp_path) == hashlib.sha256(listing.encode()).hexdigest()


def test_files_hold_nothing_but_the_rows(tmp_path: Path) -> None:
    write(tmp_path / "d", batch(0, 2))
    metadata = pq.read_metadata(tmp_path / "d" / "t" / "part-00000.parquet").metadata
    assert set(metadata) <= {b"ARROW:schema"}


@pytest.fixture
def encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of more than one shard, stored encrypted."""
    monkeypatch.setenv("PROOFMINT_ENCRYPTION_KEY", base64.b64encode(bytes(range(32))).decode())
    monkeypatch.setattr("tasks.shards.SHARD_ROWS", 40_000)
    columns = (Column(name="n", type="int64", meaning="numeric"),)
    table = TableSchema(name="t", columns=columns, encrypted=True)
    rng = np.random.default_rng(0)
    rows = pa.RecordBatch.from_pydict({"n": rng.integers(0, 2**62, 100_000)})
    storage.write_dataset(tmp_path, DatasetSchema(kind="tabular", tables=(table,)), {"t": [rows]})
    return tmp_path


def test_encrypted_tables_are_read_as_others(encrypted: Path) -> None:
    names = sorted(path.name for path in (encrypted / "t").iterdir())
    assert names == [f"part-0000{i}.parquet.enc" for i in range(3)]
    expected = np.random.default_rng(0).integers(0, 2**62, 100_000)
    assert (storage.read_table(encrypted, "t")["n"].to_numpy() == expected).all()
    assert storage.count_rows(encrypted, "t") == 100_000
    opened = storage.OpenTable(encrypted, "t")
    assert len(opened) == 100_000
    for _ in range(2):
        read = np.concatenate([batch["n"].to_numpy() for batch in opened(["n"])])
        assert (read == expected).all()


@pytest.mark.parametrize("place", [60, 300_000, -20])
def test_encrypted_shards_that_were_altered_are_named(encrypted: Path, place: int) -> None:
    path = encrypted / "t" / "part-00001.parquet.enc"
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"part-00001\.parquet\.enc is damaged or was altered"):
        storage.read_table(encrypted, "t")
