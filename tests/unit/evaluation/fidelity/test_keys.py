"""Keys: unique, made anew, pointing to rows that exist; worked out by hand."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation import comparison
from tasks.evaluation.base import NotApplicable
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.keys import (
    alike,
    chance_of_a_hit,
    identifiers_reused,
    key_duplicates,
    orphan_rows,
)
from tasks.schema import DatasetSchema, ForeignKey
from tasks.storage import write_dataset
from tests.comparisons import compare, schema_of


def with_keys(
    rows: pa.Table, primary: tuple[str, ...] = (), foreign: tuple[ForeignKey, ...] = ()
) -> DatasetSchema:
    schema = schema_of(rows, meanings=dict.fromkeys(("id", "boss", "code"), "identifier"))
    table = schema.main.model_copy(update={"primary_key": primary, "foreign_keys": foreign})
    return schema.model_copy(update={"tables": (table,)})


def staff(ids: list[int | None], bosses: list[int | None]) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "boss": pa.array(bosses, pa.int64()),
            "x": [1.0] * len(ids),
        }
    )


BOSS = ForeignKey(columns=("boss",), references="rows", referenced_columns=("id",))


def test_rows_that_share_a_key_or_lack_it(tmp_path: Path) -> None:
    train = staff([1, 2, 3, 4, 5], [None] * 5)
    made = staff([7, 7, 8, None, 9], [None] * 5)
    data = compare(tmp_path / "a", with_keys(train, ("id",)), train, train, made)
    found = key_duplicates(data)
    assert (found.value, found.reference) == (pytest.approx(3 / 5), 0.0)
    both = with_keys(train, ("id", "boss"))
    pairs = staff([7, 7, 8, 8, 9], [1, 2, 3, 3, 1])
    found = key_duplicates(compare(tmp_path / "b", both, pairs, pairs, pairs))
    assert found.value == pytest.approx(2 / 5)


def codes(*values: str | None) -> pa.Table:
    return pa.table({"code": pa.array(values, pa.string()), "x": [1.0] * len(values)})


def test_identifiers_of_real_rows(tmp_path: Path) -> None:
    train, holdout = codes("A1", "A2", "A3", "A4"), codes("B1", "B2")
    made = codes("A1", "C1", "C2", "A4", None)
    found = identifiers_reused(compare(tmp_path, with_keys(train), train, holdout, made))
    assert (found.value, found.reference) == (0.5, 0.0)
    assert found.interval is not None
    assert found.interval[0] < 0.5 < found.interval[1]


def test_numbers_that_chance_hits(tmp_path: Path) -> None:
    # A fifth of the numbers from 0 to 99 is taken; all ten synthetic ones are from there.
    known, values = pa.array(range(0, 100, 5)), pa.chunked_array([[0, 99]])
    assert chance_of_a_hit(values, known) == 0.2
    assert chance_of_a_hit(pa.chunked_array([["a"]]), pa.array(["a"])) == 0
    train, holdout = (staff([10 * i + d for i in range(50)], [None] * 50) for d in (0, 1))
    half = staff([10 * i + i % 2 for i in range(50)], [None] * 50)
    found = identifiers_reused(compare(tmp_path, with_keys(train), train, holdout, half))
    # 25 of 50; known are the 50 tens among the 492 numbers from 0 to 491.
    assert found.value == pytest.approx((0.5 - 50 / 492) / (1 - 50 / 492))
    assert found.reference == 0


def test_numbers_that_count_rows_tell_nothing(tmp_path: Path) -> None:
    train = staff(list(range(1, 101)), [None] * 100)
    data = compare(tmp_path, with_keys(train), train, train.slice(50), train)
    with pytest.raises(NotApplicable, match="they only count them"):
        identifiers_reused(data)


def test_identifiers_of_another_type() -> None:
    assert [one.type for one in alike(pa.chunked_array([[1.0]]), pa.chunked_array([[1]]))] == [
        pa.int64(),
        pa.int64(),
    ]
    texts = alike(pa.chunked_array([["u1"]]), pa.chunked_array([[1]]))
    assert [one.to_pylist() for one in texts] == [["u1"], ["1"]]


def test_rows_that_refer_to_nothing(tmp_path: Path) -> None:
    # In the real table all bosses exist, though a split parts them from their staff.
    train, holdout = staff([1, 2, 3], [None, 4, 1]), staff([4, 5], [1, 4])
    made = staff([1, 2, 3, 4], [9, 1, None, 8])
    data = compare(tmp_path, with_keys(train, ("id",), (BOSS,)), train, holdout, made)
    found = orphan_rows(data)
    assert (found.value, found.reference) == (pytest.approx(2 / 3), 0.0)


def several(root: Path, *, with_albums: bool) -> Comparison:
    tracks = pa.table({"album": ["a", "b", "c"], "n": [1.0, 2.0, 3.0]})
    albums = pa.table({"code": ["a", "b"]})
    link = ForeignKey(columns=("album",), references="albums", referenced_columns=("code",))
    main = schema_of(tracks).main.model_copy(update={"name": "tracks", "foreign_keys": (link,)})
    other = schema_of(albums).main.model_copy(update={"name": "albums"})
    both = DatasetSchema(kind="tabular", tables=(main, other))
    alone = DatasetSchema(kind="tabular", tables=(main.model_copy(update={"foreign_keys": ()}),))
    for part in ("split/train", "split/holdout", "synthetic"):
        (root / part).mkdir(parents=True)
        schema = both if with_albums or part == "split/train" else alone
        tables = {"tracks": tracks.to_batches(), "albums": albums.to_batches()}
        write_dataset(root / part, schema, tables)
    return comparison.load(root / "split", root / "synthetic", seed=0)


def test_links_to_another_table(tmp_path: Path) -> None:
    found = orphan_rows(several(tmp_path / "a", with_albums=True))
    assert (found.value, found.reference) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    with pytest.raises(NotApplicable, match="whose table is at hand"):
        orphan_rows(several(tmp_path / "b", with_albums=False))


def test_schemas_without_keys(tmp_path: Path) -> None:
    rows = pa.table({"x": np.arange(3.0)})
    data = compare(tmp_path, schema_of(rows), rows, rows, rows)
    for metric, message in (
        (key_duplicates, "no primary key"),
        (identifiers_reused, "no identifier"),
        (orphan_rows, "no foreign key"),
    ):
        with pytest.raises(NotApplicable, match=message):
            metric(data)
