"""The closest tie of each column, and what is lost of it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import NotApplicable, measure
from tasks.evaluation.fidelity import ties
from tasks.evaluation.fidelity.jackknife import InMemory, dealt, whole
from tasks.evaluation.fidelity.ties import Tie, closest, losses, worst_trend_error
from tasks.metrics import judged
from tests.columns import NAN, columns, mixed
from tests.comparisons import compare, schema_of


def passes(folder: Path, train: pa.Table, holdout: pa.Table, synthetic: pa.Table) -> bool | None:
    data = compare(folder, schema_of(train), train, holdout, synthetic)
    return judged(measure([worst_trend_error], data)[0], {})[0].passed


def test_each_column_has_its_closest_tie() -> None:
    x = np.arange(400.0)
    numbers = [x, x + 60 * (x % 3), (x - 200) ** 2, np.full(400, 5.0)]
    codes = [(x >= 200).astype(int), np.zeros(400, int)]
    found = closest(
        whole(columns([one.tolist() for one in numbers], [one.tolist() for one in codes])),
        (4, 2),
        6,
    )
    # The code is the half of x, which tells it wholly; of x the square is told by levels alone.
    assert Tie(0, 4, is_ranked=False) in found
    assert Tie(0, 1, is_ranked=True) in found
    assert Tie(0, 2, is_ranked=False) in found
    # The constants have none.
    assert {place for tie in found for place in tie[:2]} == {0, 1, 2, 4}


def test_independent_columns_have_none() -> None:
    first, second = [0, 0, 1, 1] * 100, [0, 1, 0, 1] * 100
    assert closest(whole(columns([], [first, second])), (0, 2), 6) == []


def test_a_loss_of_ranks_is_the_difference_of_correlations() -> None:
    real = whole(columns([[1, 2, 3, 4], [1, 2, 3, 4]], []))
    # Ranks 1, 2, 3, 4 beside 2, 1, 4, 3: 1 - 6 * 4 / (4 * 15) = 0.6.
    looser = whole(columns([[1, 2, 3, 4], [2, 1, 4, 3]], []))
    turned = whole(columns([[1, 2, 3, 4], [4, 3, 2, 1]], []))
    lost = whole(columns([[1, 2, 3, 4], [9, 9, 9, 9]], []))
    found = losses((real, looser, turned, lost, real), 2, [Tie(0, 1, is_ranked=True)], 2)
    assert [float(one[0, 0]) for one in found] == pytest.approx([40, 100, 100, 0])


def test_a_loss_of_levels_is_the_difference_of_contingencies() -> None:
    real = whole(columns([], [[0] * 40 + [1] * 40, [0] * 40 + [1] * 40]))
    other = whole(columns([], [[0] * 40 + [1] * 40, [0] * 30 + [1] * 10 + [0] * 10 + [1] * 30]))
    found = losses((real, other), 0, [Tie(0, 1, is_ranked=False)], 2)
    phi2 = 0.25 - 1 / 79
    expected = 100 * (np.sqrt(156 / 157) - np.sqrt(2 * phi2 / (1 + phi2)))
    assert found[0][0, 0] == pytest.approx(expected)


def test_a_tie_that_became_closer_is_no_loss() -> None:
    loose = whole(columns([[1, 2, 3, 4], [2, 1, 4, 3]], []))
    tight = whole(columns([[1, 2, 3, 4], [1, 2, 3, 4]], []))
    assert losses((loose, tight), 2, [Tie(0, 1, is_ranked=True)], 2)[0][0, 0] == 0


def test_losses_without_a_group() -> None:
    real, other = whole(mixed(3_000, 0)), dealt(mixed(400, 1), 400, np.random.default_rng(0))
    found = losses((real, other), 3, closest(real, (3, 3), 6), 6)[0]
    assert found.shape[0] == 1 + 20 + 2
    assert ((found >= 0) & (found <= 100)).all()


def rows(n: int, rng: np.random.Generator) -> pa.Table:
    """Twenty columns of chance, and one that depends on one other."""
    x = rng.normal(size=n)
    noise = {f"noise{i}": rng.normal(size=n) for i in range(20)}
    return pa.table({**noise, "x": x, "c": np.where(x + 0.5 * rng.normal(size=n) > 0, "yes", "no")})


@pytest.mark.parametrize("n_rows", [1_000, 3_000])
def test_one_column_that_was_cut_loose(tmp_path: Path, n_rows: int) -> None:
    rng = np.random.default_rng(0)
    train, holdout, fresh = rows(n_rows, rng), rows(n_rows // 2, rng), rows(n_rows, rng)
    assert passes(tmp_path / "fresh", train, holdout, fresh) is True
    for name, is_seen in (("c", True), ("noise3", False)):
        place = fresh.column_names.index(name)
        shuffled = fresh[name].take(pa.array(rng.permutation(n_rows))).combine_chunks()
        spoiled = fresh.set_column(place, name, shuffled)
        assert passes(tmp_path / name, train, holdout, spoiled) is not is_seen


def test_a_sample_of_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ties, "SAMPLE_ROWS", 500)
    rng = np.random.default_rng(0)
    assert passes(tmp_path, rows(3_000, rng), rows(900, rng), rows(2_000, rng)) is True


@pytest.mark.parametrize(
    "train",
    [
        {"x": [1.0, 2.0] * 30},
        {"x": pa.nulls(60, pa.float64()), "y": pa.nulls(60, pa.string())},
        {"x": [1e300] * 60, "y": ["a"] * 60},
    ],
    ids=["one column", "empty", "constant"],
)
def test_no_ties(tmp_path: Path, train: dict[str, object]) -> None:
    rows = pa.table(train)
    other = pa.table({"x": [1.0, 2.0], "y": ["a", "b"]}).select(rows.column_names)
    data = compare(tmp_path, schema_of(rows), rows, other, rows)
    with pytest.raises(NotApplicable, match="two columns"):
        worst_trend_error(data)


@pytest.mark.parametrize("n_rows", [1, 2, 30, 3_000])
def test_any_number_of_rows(tmp_path: Path, n_rows: int) -> None:
    rng = np.random.default_rng(0)

    def made(n: int) -> pa.Table:
        x = rng.normal(size=n)
        return pa.table(
            {
                "x": x,
                "y": x * rng.choice([1.0, 1e290, NAN], n),
                "many": [f"{i}" for i in range(n)],
                "none": pa.nulls(n, pa.string()),
                "c": np.where(x > 0, "a", "b"),
            }
        )

    data = compare(tmp_path, schema_of(made(1)), made(300), made(200), made(n_rows))
    found = worst_trend_error(data)
    assert 0 <= found.value <= 100
    assert found.reference is not None
    assert found == worst_trend_error(data)


def test_losses_of_columns_that_became_empty() -> None:
    real = InMemory(columns([[1, 2, 3, 4] * 20], [[0, 0, 1, 1] * 20]).rows)
    empty = InMemory(columns([[NAN] * 80], [[-1] * 80]).rows)
    found = losses((whole(real), whole(empty)), 1, closest(whole(real), (1, 1), 2), 2)
    assert found[0][0, 0] > 90
