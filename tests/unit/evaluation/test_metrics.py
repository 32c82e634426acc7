"""Two-sample test, utility, coverage, privacy: what they say of data whose answer is known."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation import boosting
from tasks.evaluation.base import Metric, NotApplicable
from tasks.evaluation.closeness import dcr_share, exact_copies, near_copies, noisy_copies
from tasks.evaluation.diversity import coverage, covered_share
from tasks.evaluation.fidelity.image import (
    class_share_error,
    frechet_distance,
    gaussian_distance,
)
from tasks.evaluation.fidelity.two_sample import c2st_auc
from tasks.privacy.distances import euclidean
from tests.comparisons import compare, images, schema_of


def table(n_rows: int, seed: int, shift: float = 0.0) -> pa.Table:
    """Numbers x and y, and a class that x decides."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n_rows)
    y = 2 * x + rng.normal(0, 0.1, n_rows) + shift
    return pa.table({"x": x, "y": y, "c": ["high" if one > 0 else "low" for one in x]})


def test_area_under_the_curve_counts_ties_half() -> None:
    positive = np.array([False, True, True])
    assert boosting.auc(positive, np.array([1.0, 1.0, 2.0])) == pytest.approx(0.75)
    assert np.isnan(boosting.auc(positive[1:], np.array([1.0, 2.0])))


def test_the_two_sample_test_names_the_column_that_gives_it_away(tmp_path: Path) -> None:
    train, holdout = table(300, 0), table(200, 1)
    schema = schema_of(train)
    same = c2st_auc(compare(tmp_path / "same", schema, train, holdout, table(300, 2)))
    assert abs(same.value - 0.5) < 0.08
    moved = c2st_auc(compare(tmp_path / "moved", schema, train, holdout, table(300, 2, shift=30)))
    assert moved.value == 1.0
    assert abs(moved.reference - 0.5) < 0.08
    giveaways = moved.plots["giveaways"]
    assert giveaways[0]["column"] == "y"
    assert sum(one["importance"] for one in giveaways) == pytest.approx(1, abs=1e-3)


def test_coverage_counts_real_rows_with_a_neighbour() -> None:
    # Two groups of six real points; only the first has a synthetic one near.
    real = euclidean(np.array([*range(6), *range(100, 106)], float)[:, None])
    assert covered_share(real, euclidean(np.array([[2.5], [3.5]]))) == 0.5
    # Every point of ten equal ones is covered by one more of them.
    assert covered_share(euclidean(np.zeros((10, 1))), euclidean(np.zeros((1, 1)))) == 1.0


def test_a_few_distinct_rows_are_not_called_copies(tmp_path: Path) -> None:
    def rows(n: int, seed: int) -> pa.Table:
        values = np.random.default_rng(seed).integers(0, 2, (2, n))
        return pa.table(
            {name: [str(v) for v in column] for name, column in zip("ab", values, strict=True)}
        )

    train = rows(300, 0)
    data = compare(tmp_path, schema_of(train), train, rows(200, 1), rows(300, 2))
    assert (exact_copies(data).value, exact_copies(data).reference) == (1.0, 1.0)
    assert (near_copies(data).value, near_copies(data).reference) == (1.0, 1.0)
    assert (dcr_share(data).value, dcr_share(data).reference) == (0.5, 0.5)
    with pytest.raises(NotApplicable, match="every holdout row equals a training row"):
        noisy_copies(data)


def test_copies_with_a_little_noise_are_near_copies(tmp_path: Path) -> None:
    train, holdout = table(300, 0), table(300, 1)
    noise = np.random.default_rng(3).normal(0, 1e-4, (2, 300))
    close = pa.table(
        {
            "x": train["x"].to_numpy() + noise[0],
            "y": train["y"].to_numpy() + noise[1],
            "c": train["c"],
        }
    )
    data = compare(tmp_path, schema_of(train), train, holdout, close)
    assert exact_copies(data).value == 0
    assert near_copies(data).value > 0.9
    assert near_copies(data).reference == pytest.approx(0.05, abs=0.01)
    assert noisy_copies(data).value > 0.8
    assert noisy_copies(data).reference == 0
    assert dcr_share(data).value > 0.9
    assert dcr_share(data).reference == pytest.approx(0.5, abs=0.15)
    plot = dcr_share(data).plots["dcr"]
    assert len(plot["edges"]) == 41
    for name in ("to_train", "to_holdout", "holdout_to_train"):
        assert sum(plot[name]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (c2st_auc, "needs 20 rows on each side, found 3"),
        (coverage, "more than 5 rows of each set, found 3"),
        (dcr_share, "needs 20 holdout rows, found 3"),
        (near_copies, "needs 20 holdout rows, found 3"),
    ],
)
def test_three_rows_are_too_few(tmp_path: Path, metric: Metric, message: str) -> None:
    rows = table(3, 0)
    with pytest.raises(NotApplicable, match=message):
        metric(compare(tmp_path, schema_of(rows), rows, rows, rows))


def test_distance_of_gaussians() -> None:
    # Means 3 apart; variances 4 and 1: 9 + (2 - 1) ** 2.
    first, second = np.array([[-1.0], [1.0]]), np.array([[-1.0], [1.0]])
    first = first / first.std(ddof=1) * 2
    second = second / second.std(ddof=1) + 3
    assert gaussian_distance(first, second) == pytest.approx(10)
    assert gaussian_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_images_without_labels_or_variance(tmp_path: Path) -> None:
    schema, rows = images(np.zeros((30, 8, 8), np.uint8), np.zeros(30, int))
    data = compare(tmp_path, schema.model_copy(update={"target": None}), rows, rows, rows)
    with pytest.raises(NotApplicable, match="no labels"):
        class_share_error(data)
    with pytest.raises(NotApplicable, match="all training images are the same"):
        frechet_distance(data)
    assert exact_copies(data).value == 1


def test_labels_in_other_shares(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    schema, rows = images(pixels, np.arange(40) % 2)
    _, synthetic = images(pixels, np.arange(40) % 4 // 3)
    found = class_share_error(compare(tmp_path, schema, rows, rows, synthetic))
    assert (found.value, found.reference) == (pytest.approx(25), 0)
    [plot] = found.plots["columns"]
    assert (plot["categories"], plot["synthetic"]) == (["0", "1"], [0.75, 0.25])
