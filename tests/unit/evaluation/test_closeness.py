"""Copies among synthetic rows: what each metric says of data whose answer is known."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation import closest
from tasks.evaluation.base import Metric, NotApplicable, measure
from tasks.evaluation.closeness import (
    copied_rows,
    dcr_share,
    exact_copies,
    near_copies,
    nndr,
    noisy_copies,
)
from tasks.evaluation.closest import search
from tasks.evaluation.comparison import Comparison
from tasks.privacy.points import Points
from tests.comparisons import compare, schema_of

ALL = (dcr_share, copied_rows, exact_copies, near_copies, noisy_copies, nndr)

VARIED = {"v": ["a", "b", "c"] * 20}
"""Beside columns that say nothing: real rows that are all alike are refused."""


def table(n_rows: int, seed: int) -> pa.Table:
    """Four numbers that depend on one another, and a class."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 4))
    x[:, 1] += x[:, 0]
    columns = {f"x{i}": x[:, i] for i in range(4)}
    return pa.table({**columns, "c": ["high" if one > 0 else "low" for one in x[:, 0]]})


def with_noise(rows: pa.Table, share: float, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    numbers = {
        name: rows[name].to_numpy() + share * rng.normal(size=len(rows))
        for name in rows.column_names[:-1]
    }
    return pa.table({**numbers, "c": rows["c"]})


def few_values(n: int, seed: int) -> pa.Table:
    values = np.random.default_rng(seed).integers(0, 2, (2, n))
    return pa.table(
        {name: [str(v) for v in column] for name, column in zip("ab", values, strict=True)}
    )


def test_a_few_distinct_rows_are_not_called_copies(tmp_path: Path) -> None:
    train = few_values(300, 0)
    data = compare(tmp_path, schema_of(train), train, few_values(200, 1), few_values(300, 2))
    assert (exact_copies(data).value, exact_copies(data).reference) == (1.0, 1.0)
    assert (near_copies(data).value, near_copies(data).reference) == (1.0, 1.0)
    assert (dcr_share(data).value, dcr_share(data).reference) == (0.5, 0.5)
    assert copied_rows(data).value == 0
    assert nndr(data).value == 1
    with pytest.raises(NotApplicable, match="every real row equals another one"):
        noisy_copies(data)


def test_fresh_rows_are_not_called_copies(tmp_path: Path) -> None:
    train = table(600, 0)
    data = compare(tmp_path, schema_of(train), train, table(400, 1), table(500, 2))
    found = {metric.name: metric(data) for metric in ALL}
    for one in found.values():
        assert one.interval is not None
        assert one.reference_interval is not None
        assert one.interval[0] <= one.value <= one.interval[1]
    assert found["copied_rows"].value == 0
    assert found["exact_copies"].value == 0
    assert found["near_copies"].value == pytest.approx(0.05, abs=0.03)
    assert found["near_copies"].reference == pytest.approx(0.05, abs=0.001)
    assert found["noisy_copies"].value < 0.02
    assert found["nndr"].value == pytest.approx(found["nndr"].reference, abs=0.15)
    assert found["dcr_share"].value == pytest.approx(0.5, abs=0.08)


def test_copies_with_a_little_noise_are_near_copies(tmp_path: Path) -> None:
    train = table(400, 0)
    data = compare(
        tmp_path, schema_of(train), train, table(300, 1), with_noise(train, 1e-3, 3).slice(0, 300)
    )
    assert exact_copies(data).value == 0
    assert near_copies(data).value > 0.95
    assert noisy_copies(data).value > 0.9
    assert noisy_copies(data).reference == 0
    assert copied_rows(data).value > 0.8
    assert nndr(data).value < 0.05
    assert nndr(data).reference == pytest.approx(0.4, abs=0.15)
    assert dcr_share(data).value > 0.8  # 300 of the 400 training rows are in the first block
    assert dcr_share(data).reference == pytest.approx(0.5, abs=0.15)


def test_two_percent_of_copies_among_fresh_rows_are_found(tmp_path: Path) -> None:
    train, fresh = table(4_000, 0), table(4_000, 2)
    for name, copies in (("exact", train), ("noisy", with_noise(train, 0.01, 3))):
        synthetic = pa.concat_tables([copies.slice(0, 80), fresh.slice(80)])
        data = compare(tmp_path / name, schema_of(train), train, table(2_000, 1), synthetic)
        found = copied_rows(data)
        assert copied_rows.threshold is not None
        assert copied_rows.threshold.at_most is not None
        assert copied_rows.threshold.at_most < found.value < 0.02
        assert found.interval is not None
        assert found.interval[0] <= 0.02 <= found.interval[1]


def test_a_copied_row_counts_wherever_the_files_hold_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = table(3_000, 0)
    data = compare(tmp_path, schema_of(train), train, table(500, 1), train.slice(2_000, 500))
    whole = search(data)
    assert (whole.to_train.distances[:, 0] == 0).all()
    np.testing.assert_array_equal(whole.to_train.rows[:, 0], np.arange(2_000, 2_500))
    # The same where not all training rows are in memory.
    monkeypatch.setattr("tasks.evaluation.comparison.SAMPLE_ROWS", 1_000)
    fewer = compare(
        tmp_path / "fewer", schema_of(train), train, table(500, 1), train.slice(2_000, 500)
    )
    assert len(fewer.train) == 1_000
    found = search(fewer)
    np.testing.assert_array_equal(found.to_train.rows[:, 0], np.arange(2_000, 2_500))
    assert (found.to_train.distances[:, 0] == 0).all()


def test_batches_give_the_same_as_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = table(900, 0)
    data = compare(tmp_path, schema_of(train), train, table(200, 1), table(300, 2))
    whole = search(data)

    def pieces(comparison: Comparison, part: closest.RealPart) -> Iterator[Points]:
        points = closest.sampled_points(comparison, part)
        for start in range(0, len(points), 250):
            yield points.take(np.arange(start, min(start + 250, len(points))))

    monkeypatch.setattr(closest, "_references", pieces)
    again = closest._search(data)
    np.testing.assert_array_equal(again.to_train.rows, whole.to_train.rows)
    np.testing.assert_array_equal(again.to_holdout.rows, whole.to_holdout.rows)
    np.testing.assert_allclose(again.to_train.distances, whole.to_train.distances)


def test_the_picture_of_distances_hides_bins_of_few_real_rows(tmp_path: Path) -> None:
    train = table(400, 0)
    data = compare(tmp_path, schema_of(train), train, table(300, 1), table(300, 2))
    plot = dcr_share(data).plots["dcr"]
    assert len(plot["edges"]) == 15  # twice the cubic root of 300
    for name in ("to_train", "to_holdout"):
        assert sum(plot[name]) == pytest.approx(1, abs=1e-3)
    shown = np.array(plot["holdout_to_train"]) * 300
    assert 0.8 < sum(plot["holdout_to_train"]) <= 1.001
    assert ((shown < 0.01) | (shown > 9.9)).all()


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_three_rows_are_too_few(tmp_path: Path, metric: Metric) -> None:
    rows = table(3, 0)
    data = compare(tmp_path, schema_of(rows), rows, rows, rows)
    if metric is exact_copies:
        assert metric(data).value == 1
        return
    with pytest.raises(NotApplicable, match="needs 20 holdout rows, found 3"):
        metric(data)


@pytest.mark.parametrize(
    "columns",
    [
        {"x": pa.nulls(60, pa.float64()), "c": pa.nulls(60, pa.string()), **VARIED},
        {"x": np.ones(60), "c": ["a"] * 60, **VARIED},
        {"x": np.concatenate([np.full(30, 1e299), np.full(30, -1e299)])},
        {"x": np.concatenate([np.zeros(30), np.full(30, -0.0)]), **VARIED},
        {"c": [str(i) for i in range(60)]},
    ],
    ids=["all null", "constant", "huge", "negative zero", "all different"],
)
@pytest.mark.parametrize("n_synthetic", [1, 30, 60])
def test_odd_tables_have_values_or_reasons(
    tmp_path: Path, columns: dict[str, object], n_synthetic: int
) -> None:
    rows = pa.table(columns)
    data = compare(tmp_path, schema_of(rows), rows, rows, rows.slice(0, n_synthetic))
    found, _ = measure(ALL, data)
    assert all(one.value is not None or one.not_applicable for one in found)
