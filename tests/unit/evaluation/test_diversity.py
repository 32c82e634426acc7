"""Coverage, density, precision and recall, repeated rows: worked out by hand, and of known cheats."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation import intervals
from tasks.evaluation.base import Metric, NotApplicable, measure
from tasks.evaluation.diversity import (
    alpha_precision,
    beta_recall,
    coverage,
    covered_share,
    density,
    duplicates,
    integrated,
    near_duplicates,
)
from tasks.evaluation.groups import cluster_coverage, rare_groups
from tasks.privacy.distances import nearest, pairwise
from tasks.privacy.points import euclidean, gower, to_centre
from tests.comparisons import compare, images, schema_of

ALL = (
    coverage,
    density,
    alpha_precision,
    beta_recall,
    duplicates,
    near_duplicates,
    cluster_coverage,
    rare_groups,
)

VARIED = {"v": ["a", "b", "c"] * 20}
"""Beside columns that say nothing: real rows that are all alike are refused."""


def table(n_rows: int, seed: int) -> pa.Table:
    """Two numbers, a class that one of them decides, and a rare kind of row."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n_rows)
    kinds = rng.choice(["common", "other", "rare"], n_rows, p=[0.72, 0.25, 0.03])
    return pa.table(
        {
            "x": x,
            "y": 2 * x + rng.normal(0, 0.5, n_rows),
            "c": ["high" if one > 0 else "low" for one in x],
            "kind": kinds.tolist(),
        }
    )


def line(*values: float) -> np.ndarray:
    return np.array(values, float)[:, None]


def test_coverage_counts_real_rows_with_a_neighbour() -> None:
    # Two groups of six real points; only the first has a synthetic one near.
    real = euclidean(line(*range(6), *range(100, 106)))
    radius = nearest(real, real, 6)[:, 5]
    assert covered_share(real, euclidean(line(2.5, 3.5)), radius) == 0.5
    # Every point of ten equal ones is covered by one more of them.
    same = euclidean(np.zeros((10, 1)))
    assert covered_share(same, euclidean(np.zeros((1, 1))), np.zeros(10)) == 1.0


def test_the_area_between_the_curve_and_the_diagonal() -> None:
    assert integrated(np.linspace(0, 1, 3_001)[1:]) == pytest.approx(1, abs=1e-3)
    # All rows come in at once: the shares are 1 and the levels 1/30, 2/30 … 1, 31/60 on average.
    assert integrated(np.zeros(10)) == pytest.approx(1 - 2 * (1 - 31 / 60))
    # None ever comes in.
    assert integrated(np.full(10, np.inf)) == pytest.approx(1 - 2 * 31 / 60)


def test_distances_of_all_pairs_and_to_the_centre() -> None:
    rows = gower(line(0, 1, 2), np.array([[0], [0], [1]]), line(0, 1, 2))
    # Ranks 1/6, 3/6, 5/6; two columns.
    expected = np.sqrt([[0, 1 / 18, (4 / 9 + 1) / 2], [1 / 18, 0, (1 / 9 + 1) / 2]])
    np.testing.assert_allclose(pairwise(rows.take(np.arange(2)), rows), expected)
    # Shares 2/3 and 1/3: (1/3)² + (1/3)² over 2 from the first corner, of squared side 1.
    corners = np.array([1 / 9 + 1 / 9, 1 / 9 + 1 / 9, 4 / 9 + 4 / 9]) / 2
    numbers = np.array([1 / 9, 0, 1 / 9])
    np.testing.assert_allclose(to_centre(rows, rows), np.sqrt((numbers + corners) / 2))


def test_fresh_rows_are_as_diverse_as_the_holdout(tmp_path: Path) -> None:
    train = table(1_200, 0)
    data = compare(tmp_path, schema_of(train), train, table(600, 1), table(700, 2))
    for metric in ALL:
        found = metric(data)
        assert found.interval is not None
        assert found.interval[0] <= found.value <= found.interval[1]
        assert found.reference_interval is not None
        assert found.value == pytest.approx(found.reference, abs=0.12), metric.name
    assert coverage(data).value > 0.9
    assert density(data).value == pytest.approx(1, abs=0.1)
    assert alpha_precision(data).value > 0.9
    assert beta_recall(data).value == pytest.approx(0.5, abs=0.1)
    assert rare_groups(data).value == 1
    assert duplicates(data).value == 0


def test_a_collapse_to_few_rows(tmp_path: Path) -> None:
    train = table(800, 0)
    few = table(10, 2).take(pa.array(np.random.default_rng(0).integers(0, 10, 800)))
    data = compare(tmp_path, schema_of(train), train, table(400, 1), few)
    assert coverage(data).value < 0.3
    assert beta_recall(data).value < 0.1
    assert duplicates(data).value == pytest.approx(1 - 10 / 800)
    assert cluster_coverage(data).value < 0.6


def test_a_collapse_to_variants_of_few_rows(tmp_path: Path) -> None:
    train, rng = table(300, 0), np.random.default_rng(0)
    few = table(40, 2).take(pa.array(rng.integers(0, 40, 300)))
    for place, name in enumerate(("x", "y")):
        near = few[name].to_numpy() + 1e-3 * rng.normal(size=300)
        few = few.set_column(place, name, pa.array(near))
    found = near_duplicates(compare(tmp_path, schema_of(train), train, table(300, 1), few))
    assert found.value > 0.9
    assert found.reference == pytest.approx(0.05, abs=0.03)


def test_close_rows_are_not_independent(tmp_path: Path) -> None:
    data = compare(tmp_path, schema_of(table(500, 0)), table(500, 0), table(500, 1), table(500, 2))
    found = near_duplicates(data)
    assert found.interval == intervals.of_share(found.value, 100)
    assert found.reference is not None
    assert found.reference_interval == intervals.of_share(found.reference, 100)


def test_synthetic_rows_only_in_the_middle(tmp_path: Path) -> None:
    train = table(800, 0)
    middle = table(6_000, 2)
    near = np.abs(middle["x"].to_numpy()) < 0.3
    data = compare(tmp_path, schema_of(train), train, table(400, 1), middle.filter(pa.array(near)))
    assert density(data).value == pytest.approx(1, abs=0.1)
    assert coverage(data).value < 0.6
    assert alpha_precision(data).value < 0.8


def test_the_projection_shows_no_cell_of_few_real_rows(tmp_path: Path) -> None:
    train = table(800, 0)
    data = compare(tmp_path, schema_of(train), train, table(400, 1), table(500, 2))
    plot = coverage(data).plots["projection"]
    real, synthetic = np.array(plot["real"]), np.array(plot["synthetic"])
    assert real.shape == synthetic.shape == (len(plot["y_edges"]) - 1, len(plot["x_edges"]) - 1)
    assert synthetic.sum() == pytest.approx(1, abs=1e-3)
    assert 0.3 < real.sum() < 1
    assert (real[real > 0] * 800 > 4.9).all()
    assert [axis.split(" (")[0] for axis in plot["axes"]] == ["component 1", "component 2"]


@pytest.mark.parametrize(
    "metric", [coverage, density, alpha_precision, beta_recall, near_duplicates]
)
def test_three_rows_are_too_few(tmp_path: Path, metric: Metric) -> None:
    rows = table(3, 0)
    with pytest.raises(NotApplicable, match="more than 5 rows of each set, found 3"):
        metric(compare(tmp_path, schema_of(rows), rows, rows, rows))


@pytest.mark.parametrize(
    "columns",
    [
        {"x": pa.nulls(60, pa.float64()), "c": pa.nulls(60, pa.string()), **VARIED},
        {"x": np.ones(60), "c": ["a"] * 60, **VARIED},
        {"x": np.concatenate([np.full(30, 1e299), np.full(30, -1e299)])},
        {"x": np.concatenate([np.zeros(30), np.full(30, -0.0)]), **VARIED},
        {"c": [str(i) for i in range(60)]},
        {"c": ["a", "b"] * 30},
    ],
    ids=["all null", "constant", "huge", "negative zero", "all different", "two values"],
)
@pytest.mark.parametrize("n_synthetic", [1, 30, 300])
def test_odd_tables_have_values_or_reasons(
    tmp_path: Path, columns: dict[str, object], n_synthetic: int
) -> None:
    rows = pa.table(columns)
    synthetic = rows.take(pa.array(np.arange(n_synthetic) % 60))
    found, _ = measure(ALL, compare(tmp_path, schema_of(rows), rows, rows, synthetic))
    assert all(one.value is not None or one.not_applicable for one in found)


def test_images_have_diversity_too(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (540, 8, 8), dtype=np.uint8)
    schema, rows = images(pixels, np.arange(540) % 5)
    parts = [rows.slice(start, 180) for start in (0, 180, 360)]
    found, plots = measure(ALL, compare(tmp_path, schema, *parts))
    assert {one.name for one in found if one.value is None} <= {"rare_groups"}
    assert "projection" in plots
