"""The accountant against Opacus itself, and against closed forms."""

import math

import pytest
from opacus.accountants import PRVAccountant
from opacus.accountants.utils import get_noise_multiplier
from scipy.special import ndtr

from tasks.errors import TrainingError
from tasks.privacy.accounting import epsilon_of, noise_multiplier_of_one, noise_multiplier_of_steps

DELTA = 1e-5

pytestmark = pytest.mark.filterwarnings("ignore:Optimal order is")
"""Opacus' own warning of a bound from which it only chooses the width of its grid."""


def test_epsilon_is_that_of_opacus() -> None:
    accountant = PRVAccountant()
    for _ in range(100):
        accountant.step(noise_multiplier=1.1, sample_rate=0.02)
    assert epsilon_of(((1.1, 0.02, 100),), DELTA) == accountant.get_epsilon(DELTA)


@pytest.mark.parametrize("noise", [0.8, 3.0])
def test_one_release_costs_what_the_gaussian_mechanism_does(noise: float) -> None:
    epsilon = epsilon_of(((noise, 1.0, 1),), DELTA)
    # Balle and Wang 2018, theorem 8, arXiv:1805.06530.
    delta = ndtr(0.5 / noise - epsilon * noise) - math.exp(epsilon) * ndtr(
        -0.5 / noise - epsilon * noise
    )
    assert delta <= DELTA
    # The accountant adds 0.01 to epsilon for the errors of its grid.
    assert delta > 0.5 * DELTA


def test_releases_together_are_one_release_with_less_noise() -> None:
    # 1 / s^2 adds up: 4 releases of noise 6 are one of noise 3.
    together = epsilon_of(((6.0, 1.0, 4),), DELTA)
    assert together == pytest.approx(epsilon_of(((3.0, 1.0, 1),), DELTA), abs=0.02)


def test_the_noise_of_steps_is_that_of_opacus_where_nothing_was_spent_before() -> None:
    ours = noise_multiplier_of_steps(2.0, DELTA, spent=(), sample_rate=0.02, steps=200)
    theirs = get_noise_multiplier(
        target_epsilon=2.0, target_delta=DELTA, sample_rate=0.02, steps=200, accountant="prv"
    )
    assert ours == pytest.approx(theirs, rel=0.01)
    assert 1.97 < epsilon_of(((ours, 0.02, 200),), DELTA) <= 2.0


def test_what_was_spent_before_counts() -> None:
    spent = ((noise_multiplier_of_one(0.5, DELTA), 1.0, 1),)
    noise = noise_multiplier_of_steps(2.0, DELTA, spent=spent, sample_rate=0.02, steps=200)
    alone = noise_multiplier_of_steps(2.0, DELTA, spent=(), sample_rate=0.02, steps=200)
    assert noise > alone
    assert (
        1.95
        < epsilon_of(
            (
                *spent,
                (noise, 0.02, 200),
            ),
            DELTA,
        )
        <= 2.0
    )


def test_an_impossible_target_is_told() -> None:
    with pytest.raises(TrainingError, match="raise epsilon"):
        noise_multiplier_of_one(1e-5, DELTA)
