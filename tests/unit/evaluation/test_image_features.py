"""What a network sees in images, worked out by hand where a hand can."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.copied_images import copied_images, n_queries, variants
from tasks.evaluation.exhibits import by_label, closest_images, closest_of_release
from tasks.evaluation.features.images import features_of
from tasks.evaluation.features.network import learn
from tasks.evaluation.fidelity.image_labels import label_coverage, label_variety, spread
from tasks.evaluation.precision_recall import within
from tasks.evaluation.rows import Rows
from tasks.evaluation.utility.scores import lowest_recall
from tasks.privacy.points import euclidean
from tests.comparisons import compare, images


def stripes(n_images: int, seed: int, sides: tuple[int, int] = (8, 8)) -> tuple[np.ndarray, ...]:
    """Noise with a bright stripe, at the left or at the right: labels 0 and 1."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n_images)
    pixels = rng.integers(0, 80, (n_images, *sides), dtype=np.uint8)
    for one, label in zip(pixels, labels, strict=True):
        one[:, 1 + (sides[1] - 3) * label] += rng.integers(100, 170, dtype=np.uint8)
    return pixels, labels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    schema, train = images(*stripes(120, 0))
    others = [images(*stripes(n, seed))[1] for n, seed in ((60, 1), (90, 2))]
    return compare(tmp_path_factory.mktemp("stripes"), schema, train, *others)


def _with_synthetic(data: Comparison, synthetic: Rows) -> Comparison:
    return replace(data, synthetic=synthetic, _done={})


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 3), (8, 8, 1), (9, 7, 3)])
def test_images_of_any_size_are_learned_the_same_way_twice(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype=np.uint8)
    before = torch.random.get_rng_state()
    first, second = (
        learn(pixels, np.arange(20) % 2, 2, np.random.default_rng(7)) for _ in range(2)
    )
    assert (first.features(pixels) == second.features(pixels)).all()
    assert first.probabilities(pixels).sum(axis=1) == pytest.approx(np.ones(20))
    assert (torch.random.get_rng_state() == before).all()


def test_thirty_images_are_enough_to_learn_what_is_plain() -> None:
    pixels, labels = stripes(30, 0)
    network = learn(pixels[..., None], labels, 2, np.random.default_rng(0))
    unseen, wanted = stripes(200, 1)
    right = network.probabilities(unseen[..., None]).argmax(axis=1) == wanted
    assert right.mean() > 0.9


def test_the_network_has_not_learned_from_what_it_judges(data: Comparison) -> None:
    found = features_of(data)
    assert (len(found.real), len(found.holdout), len(found.synthetic)) == (60, 60, 90)
    assert found.real.vectors.mean(axis=0) == pytest.approx(np.zeros(64), abs=1e-9)
    right = found.network.probabilities(data.holdout.contents).argmax(axis=1)  # type: ignore[arg-type]
    assert (right == data.holdout.codes[:, 0]).mean() > 0.95


@pytest.mark.parametrize("sides", [(8, 8), (6, 9)])
def test_without_labels_it_learns_which_way_up(sides: tuple[int, int], tmp_path: Path) -> None:
    schema, rows = images(stripes(100, 0, sides)[0], np.zeros(100))
    unlabelled = schema.model_copy(update={"target": None})
    found = features_of(compare(tmp_path, unlabelled, rows, rows, rows))
    assert found.network.head.out_features == 4
    assert found.real.codes.shape == (50, 0)


def test_few_images_are_judged_by_their_pixels(tmp_path: Path) -> None:
    schema, rows = images(*stripes(99, 0))
    few = compare(tmp_path, schema, rows, images(*stripes(30, 1))[1], images(*stripes(30, 2))[1])
    with pytest.raises(NotApplicable, match="needs 100 training images"):
        features_of(few)
    assert copied_images(few).value == 0


def test_which_rows_lie_in_a_ball() -> None:
    others = euclidean(np.array([[0.0], [10.0]]))
    rows = euclidean(np.array([[1.0], [2.5], [9.0], [10.6]]))
    assert within(rows, others, np.array([2.0, 0.5])).tolist() == [True, False, False, False]


def test_the_spread_is_the_distance_of_pairs() -> None:
    vectors = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 4.0]])
    # Squared distances 25, 16, 9.
    assert spread(vectors) == pytest.approx(np.sqrt(50 / 3))
    assert spread(vectors[:1]) == 0


def test_the_recall_of_the_worst_label() -> None:
    target = np.repeat([0, 1, 2], [20, 20, 3])
    chosen = np.array([*[0] * 19, 1, *[1] * 15, *[0] * 5, *[0] * 3])
    guess = np.eye(3)[chosen]
    weights = np.ones((2, 43))
    weights[1, 19] = 19  # the one mistake of label 0 as often as it was right
    # Label 2 has too few rows to count.
    assert lowest_recall(target, guess, weights) == pytest.approx([0.75, 0.5])


def test_a_label_that_is_missing_or_of_one_image(data: Comparison) -> None:
    made = data.synthetic
    kept = made.take(made.codes[:, 0] == 0)
    missing = _with_synthetic(data, kept.take(np.arange(90) % len(kept)))
    assert label_coverage(missing).value == 0
    assert label_variety(missing).value == 0
    places = np.where(made.codes[:, 0] == 1, np.flatnonzero(made.codes[:, 0] == 1)[0], range(90))
    collapsed = _with_synthetic(data, made.take(places))
    assert label_variety(collapsed).value == pytest.approx(0, abs=1e-6)
    honest = label_variety(data)
    assert honest.value == pytest.approx(1, abs=0.35)
    assert honest.reference == pytest.approx(1, abs=0.35)


def test_variants_leave_the_edges_out() -> None:
    pixels = np.arange(2 * 8 * 9, dtype=np.uint8).reshape(2, 8, 9, 1)
    found = variants(pixels)
    assert len(found) == 12
    assert {one.shape for one in found} == {(2, 6, 7, 1)}
    assert (found[0] == pixels[:, 1:-1, 1:-1]).all()
    # One of them is the inner part of the image that was moved a pixel down and right.
    moved = np.roll(pixels, (-1, 1), (1, 2))
    assert any((one == moved[:, 1:-1, 1:-1]).all() for one in found)
    assert [one.shape for one in variants(pixels[:, :7])] == [(2, 7, 9, 1)] * 4


def test_variants_are_up_to_an_eighth_of_a_side_aside() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 28, 16, 3), dtype=np.uint8)
    found = variants(pixels)
    # 3 pixels up and down, 2 to the left and to the right; and three mirror images.
    assert len(found) == 7 * 5 + 3
    assert {one.shape for one in found} == {(1, 22, 12, 3)}

    def is_found(move: tuple[int, int]) -> bool:
        moved = np.roll(pixels, move, (1, 2))[:, 3:-3, 2:-2]
        return any((one == moved).all() for one in found)

    assert is_found((3, -2))
    assert is_found((-3, 0))
    assert not is_found((4, 0))
    assert not is_found((0, 3))


def test_searching_among_many_images_takes_fewer_queries() -> None:
    assert n_queries(1_000) == 2_000
    # 6,000,000,000 distances at most: of images of 32 x 32, 84 variants among three times 20,000.
    assert n_queries(84 * 60_000) == 1_190
    assert n_queries(10**9) == 500


def test_copies_are_found_a_pixel_aside_and_brighter(data: Comparison) -> None:
    assert copied_images(data).value == 0
    train, made = data.train, data.synthetic
    assert train.contents is not None
    assert made.contents is not None
    disguised = np.roll(train.contents[:90], 1, axis=2) // 2 + 60
    hidden = _with_synthetic(data, replace(made, contents=disguised))
    assert copied_images(hidden).value > 0.5


def test_the_closest_images_are_found_with_their_real_one(data: Comparison) -> None:
    made, train = data.synthetic, data.train
    numbers = made.numbers.copy()
    numbers[7] = train.numbers[30]
    found = closest_images(_with_synthetic(data, replace(made, numbers=numbers)))
    assert (found.synthetic[0], found.train[0], found.distances[0]) == (7, 30, 0)
    assert (np.diff(found.distances) >= 0).all()
    told = closest_of_release(data)
    assert len(told) == 10
    assert all(one.keys() == {"row", "distance"} for one in told)


def test_real_and_synthetic_images_of_each_label(data: Comparison) -> None:
    shown = list(by_label(data))
    assert [one.label for one in shown] == ["0", "1"]
    assert {one.real.shape for one in shown} == {(10, 8, 8, 1)}
    assert {one.synthetic.shape for one in shown} == {(10, 8, 8, 1)}
