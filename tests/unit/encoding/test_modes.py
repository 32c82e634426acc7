"""Mode-specific normalisation: the mixtures, the standardised values, and the way back."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from tasks.encoding.modes import CountingEncoder, Mixture, ModeSpecificEncoder, fit_mixture
from tests.datasets import table_of

N = 400
NO_RNG = np.random.default_rng(0)


def _fitted(
    columns: dict[str, pa.Array], cls: type[ModeSpecificEncoder] = ModeSpecificEncoder
) -> tuple[ModeSpecificEncoder, pa.RecordBatch]:
    schema, batch = table_of(columns)
    return cls.fit(schema, lambda: iter([batch]), np.random.default_rng(0)), batch


def test_two_clear_modes_are_found_with_their_shares() -> None:
    rng = np.random.default_rng(0)
    values = np.sort(np.concatenate([rng.normal(-2, 0.1, 750), rng.normal(3, 0.5, 250)]))
    mixture = fit_mixture(values)
    np.testing.assert_allclose(mixture.weights, [0.75, 0.25], atol=0.01)
    np.testing.assert_allclose(mixture.means, [-2, 3], atol=0.1)
    np.testing.assert_allclose(mixture.stds, [0.1, 0.5], atol=0.05)


def test_one_gaussian_by_hand() -> None:
    """Two points, so two Gaussians; by symmetry their means differ in sign alone."""
    mixture = fit_mixture(np.array([-1.0, 1.0]))
    np.testing.assert_allclose(mixture.weights, [0.5, 0.5])
    assert mixture.means[0] == pytest.approx(-mixture.means[1])
    assert mixture.stds[0] == pytest.approx(mixture.stds[1])


def test_values_that_do_not_vary_have_one_narrow_mode() -> None:
    mixture = fit_mixture(np.zeros(100))
    assert mixture.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(mixture.means, 0, atol=1e-9)
    assert (mixture.stds > 0).all()


def test_values_are_standardised_and_come_back() -> None:
    values = np.random.default_rng(0).normal(50, 10, N)
    encoder, batch = _fitted({"x": pa.array(values)})
    encoded = encoder.encode(batch)
    assert encoded.keys() == {"tokens", "values"}
    standardised = encoded["values"][:, 0].numpy()
    np.testing.assert_allclose(standardised, (values - values.mean()) / values.std(), atol=0.2)
    assert abs(standardised.mean()) < 0.02
    again = encoder.decode(encoded, NO_RNG).column("x").to_numpy()
    # All but the outermost values, which are spread over their range.
    inner = np.argsort(values)[10:-10]
    np.testing.assert_allclose(again[inner], values[inner], atol=1e-3)


def test_no_decoded_value_is_beyond_the_real_ones() -> None:
    encoder, batch = _fitted({"x": pa.array(np.random.default_rng(0).normal(size=N))})
    encoded = encoder.encode(batch)
    encoded["values"] = encoded["values"] * 100
    again = encoder.decode(encoded, NO_RNG).column("x").to_numpy()
    real = batch.column("x").to_numpy()
    assert real.min() <= again.min()
    assert again.max() <= real.max()


def test_whole_numbers_stay_whole_and_missing_cells_missing() -> None:
    rng = np.random.default_rng(0)
    numbers = pa.array(rng.integers(0, 100_000, N), mask=rng.random(N) < 0.2)
    encoder, batch = _fitted({"n": numbers})
    again = encoder.decode(encoder.encode(batch), NO_RNG).column("n")
    assert again.type == pa.int64()
    assert again.is_null().equals(numbers.is_null())


@pytest.mark.parametrize(
    "columns",
    [
        {"c": pa.array(["a", "b"] * 50)},
        {"c": pa.array(["a", "b"] * 50), "same": pa.array([7.5] * 100)},
        {"c": pa.array(["a", "b"] * 50), "nothing": pa.nulls(100, pa.float64())},
        {"few": pa.array([1.5, 2.25, None])},
    ],
    ids=["no numbers", "constant", "all missing", "three rows"],
)
def test_tables_with_little_in_them(columns: dict[str, pa.Array]) -> None:
    encoder, batch = _fitted(columns)
    encoded = encoder.encode(batch)
    assert encoded["values"].shape == (len(batch), len(encoder.continuous))
    assert encoded["values"].isfinite().all()
    assert encoder.decode(encoded, NO_RNG).schema == batch.schema


def test_the_encoder_comes_back_from_its_state() -> None:
    rng = np.random.default_rng(0)
    encoder, batch = _fitted(
        {"x": pa.array(rng.normal(size=N)), "c": pa.array(rng.choice(["a", "b"], N))},
        CountingEncoder,
    )
    content, arrays = encoder.state()
    again = CountingEncoder.from_state(encoder.schema, content, arrays)
    assert torch.equal(again.encode(batch)["values"], encoder.encode(batch)["values"])
    for one, other in zip(again.mixtures, encoder.mixtures, strict=True):
        assert isinstance(one, Mixture)
        np.testing.assert_array_equal(one.means, other.means)
    assert isinstance(encoder, CountingEncoder)
    for one_count, other_count in zip(again.counts, encoder.counts, strict=True):
        np.testing.assert_array_equal(one_count, other_count)


def test_tokens_are_counted_over_all_batches() -> None:
    schema, batch = table_of({"c": pa.array(["a"] * 7 + ["b"] * 5 + [None])})
    encoder = CountingEncoder.fit(
        schema, lambda: iter([batch.slice(0, 6), batch.slice(6)]), np.random.default_rng(0)
    )
    assert [counts.tolist() for counts in encoder.counts] == [[7, 5, 1]]
