"""Images as a whole, worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.closeness import exact_copies
from tasks.evaluation.fidelity.image import (
    class_share_error,
    frechet_distance,
    gaussian_distance,
    jackknife,
)
from tests.comparisons import compare, images


def test_distance_of_gaussians() -> None:
    # Means 3 apart; variances 4 and 1: 9 + (2 - 1) ** 2.
    first, second = np.array([[-1.0], [1.0]]), np.array([[-1.0], [1.0]])
    first = first / first.std(ddof=1) * 2
    second = second / second.std(ddof=1) + 3
    assert gaussian_distance(first, second) == pytest.approx(10)
    assert gaussian_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_images_without_labels_or_variance(tmp_path: Path) -> None:
    schema, rows = images(np.zeros((100, 8, 8), np.uint8), np.zeros(100, int))
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
    assert found.value == pytest.approx(25)
    assert found.reference == 0
    assert found.interval is not None
    assert found.interval[0] < 25 < found.interval[1]
    [plot] = found.plots["columns"]
    assert (plot["categories"], plot["synthetic"]) == (["0", "1"], [0.75, 0.25])


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    rows = np.random.default_rng(0).normal(10, 2, 4_000)
    value, interval = jackknife(lambda drawn: float(drawn.mean()), rows, np.random.default_rng(0))
    assert value == rows.mean()
    assert interval is not None
    # 1.96 times 2 / sqrt(4000), as far as 20 groups can tell.
    assert interval[1] - value == pytest.approx(1.96 * 2 / np.sqrt(4_000), rel=0.35)
    assert (
        jackknife(lambda drawn: float(drawn.mean()), rows[:39], np.random.default_rng(0))[1] is None
    )
