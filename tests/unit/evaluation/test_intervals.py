"""95 % intervals against published or simulated numbers."""

import numpy as np
import pytest

from tasks.evaluation import intervals


def test_of_a_share() -> None:
    # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I.
    assert intervals.of_share(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert intervals.of_share(0.0, 20) == (0.0, pytest.approx(0.1611, abs=5e-5))
    assert intervals.of_share(1.0, 29) == (pytest.approx(0.8830, abs=5e-5), 1.0)


def test_of_a_mean() -> None:
    assert intervals.of_mean(np.array([0.0, 1.0] * 50)) == pytest.approx((0.4015, 0.5985), abs=1e-4)
    assert intervals.of_mean(np.ones(3)) == (1.0, 1.0)


def test_of_an_auc_holds_it_19_times_of_20() -> None:
    rng = np.random.default_rng(0)
    truth = 0.7602499  # of two normal distributions one apart
    hits = 0
    for _ in range(400):
        a, b = rng.normal(size=80), rng.normal(1, size=60)
        auc = float((b[:, None] > a[None, :]).mean())
        low, high = intervals.of_auc(auc, 60, 80)
        hits += low <= truth <= high
    assert 0.92 <= hits / 400 <= 0.98
    low, high = intervals.of_auc(0.3, 60, 80)
    assert intervals.of_auc(0.7, 60, 80) == pytest.approx((1 - high, 1 - low), abs=0.02)


def test_of_a_score() -> None:
    values = np.random.default_rng(0).normal(size=400)
    rng = np.random.default_rng(1)
    found = intervals.of_score(lambda drawn: float(values[drawn].mean()), 400, rng)
    assert found == pytest.approx((values.mean() - 0.098, values.mean() + 0.098), abs=0.02)
    assert intervals.of_score(lambda drawn: float("nan"), 400, rng) is None


def test_of_a_jackknife() -> None:
    # Variance 3/4 x 4 x 10^2 = 300; three degrees of freedom: 3.18244 standard errors.
    low, high = intervals.of_jackknife(50.0, np.array([40.0, 40, 60, 60])) or (0, 0)
    assert (low, high) == (0.0, pytest.approx(50 + 3.182446 * 300**0.5))
    assert intervals.of_jackknife(50.0, np.array([40.0, 40, 60, 60]), 100.0) == (0.0, 100.0)
    assert intervals.of_jackknife(50.0, np.array([])) is None
