"""The default thresholds for images: cheats are refused for the right reason, real images never.

The quick tests measure what must refuse; the slow ones everything, on many splits.
"""

from collections.abc import Collection
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tasks.evaluation.base import measure, metrics_of
from tasks.metrics import Result, judged, unproved
from tests import cheats_of_images as cheats
from tests.cheats_of_images import Cheat, Labelled
from tests.comparisons import SHARED, compare, images

Parts = tuple[Labelled, Labelled, Labelled]
"""Images that the generator saw, a holdout, and more images that it did not see."""

COPYING: dict[str, tuple[Cheat, set[str]]] = {
    "copies": (cheats.copies(cheats.same), {"copied_images", "copied_rows", "exact_copies"}),
    "copies with 1 % noise": (cheats.copies(cheats.noisy(2.55)), {"copied_images", "copied_rows"}),
    "copies aside": (cheats.copies(cheats.shifted), {"copied_images"}),
    "mirrored copies": (cheats.copies(cheats.mirrored), {"copied_images"}),
    "dimmed copies": (cheats.copies(cheats.dimmed), {"copied_images"}),
    "leaks 5 %": (cheats.leaks(0.05, cheats.same), {"copied_images", "copied_rows"}),
    "leaks 5 % aside": (cheats.leaks(0.05, cheats.shifted), {"copied_images"}),
}

FAILING: dict[str, tuple[Cheat, set[str]]] = {
    "one mean image": (cheats.one_mean, {"frechet_distance", "precision", "recall", "coverage"}),
    "a mean image for each label": (cheats.label_means(0), {"recall", "label_variety"}),
    "noisy means": (cheats.label_means(10), {"recall", "label_variety"}),
    "noise": (cheats.pure_noise, {"frechet_distance", "recall"}),
    "a label of one image": (cheats.collapses(3, 1), {"label_coverage", "label_variety"}),
    "a label that is missing": (cheats.drops(3), {"label_coverage", "label_variety"}),
    "shuffled labels": (cheats.shuffles_labels, {"label_coverage"}),
    "two labels swapped": (cheats.swaps(3, 5), {"label_coverage"}),
}

QUICK = (
    "copies aside",
    "leaks 5 %",
    "one mean image",
    "a label of one image",
    "shuffled labels",
)

UNUSABLE: dict[str, Cheat] = {
    name: FAILING[name][0]
    for name in (
        "a label of one image",
        "a label that is missing",
        "shuffled labels",
        "two labels swapped",
    )
}
"""A model that learned from them does not know at least one label."""


@cache
def _digits(seed: int, n_images: int = 1797) -> Parts:
    data = load_digits()
    pixels = (data.images * 255 / 16).round().astype(np.uint8)
    return _cut(pixels, data.target, n_images, seed)


@cache
def _mnist(seed: int, n_images: int) -> Parts:
    path = SHARED / "mnist" / "mnist_10k.npz"
    if not path.exists():
        pytest.skip("needs the data mnist beside the repository")
    with np.load(path) as data:
        return _cut(data["x"], data["y"].astype(int), n_images, seed)


def _cut(pixels: np.ndarray, labels: np.ndarray, n_images: int, seed: int) -> Parts:
    order = np.random.default_rng(seed).permutation(len(pixels))[:n_images]
    ends = [round(0.35 * n_images), round(0.65 * n_images)]
    seen, held, unseen = ((pixels[i], labels[i]) for i in np.split(order, ends))
    return seen, held, unseen


def _refused(results: Collection[Result]) -> dict[str, str]:
    return {
        r.measurement.name: f"{r.measurement.family}: {r.measurement.value}, allowed {r.bounds}"
        for r in results
        if r.passed is False
    }


def _judged(
    root: Path, parts: Parts, cheat: Cheat, names: Collection[str] | None = None
) -> tuple[Result, ...]:
    """What the metrics of these names decide, or all that decide."""
    seen, held, unseen = parts
    made = cheat(seen, unseen, np.random.default_rng(0))
    schema, train = images(*seen)
    data = compare(root, schema, train, images(*held)[1], images(*made)[1])
    known = metrics_of("image").values()
    asked = [m for m in known if m.threshold and (names is None or m.name in names)]
    return judged(measure(asked, data)[0], {})


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in (*COPYING, *FAILING)
    ],
)
def test_a_cheat_is_refused_by_what_must_see_it(name: str, tmp_path: Path) -> None:
    cheat, right = {**COPYING, **FAILING}[name]
    results = _judged(tmp_path, _digits(0), cheat, right)
    assert _refused(results).keys() == right


def test_fresh_real_images_pass(tmp_path: Path) -> None:
    results = _judged(tmp_path, _digits(0), cheats.fresh)
    assert _refused(results) == {}
    assert unproved(results) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", COPYING)
def test_copies_of_mnist_are_refused(name: str, tmp_path: Path) -> None:
    cheat, right = COPYING[name]
    refused = _refused(_judged(tmp_path, _mnist(0, 2_000), cheat, right))
    assert refused.keys() == right


@pytest.mark.slow
@pytest.mark.parametrize("name", FAILING)
def test_failures_on_mnist_are_refused(name: str, tmp_path: Path) -> None:
    cheat, right = FAILING[name]
    refused = _refused(_judged(tmp_path, _mnist(0, 2_000), cheat, right))
    assert refused.keys() == right


@pytest.mark.slow
@pytest.mark.parametrize("name", UNUSABLE)
def test_a_label_that_is_of_no_use_shows_in_its_recall(name: str, tmp_path: Path) -> None:
    names = {"utility", "utility_worst_label"}
    results = _judged(tmp_path, _digits(0), UNUSABLE[name], names)
    assert "utility_worst_label" in _refused(results)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("n_images", [100, 300, 1797])
def test_fresh_real_images_pass_whatever_the_split(
    n_images: int, seed: int, tmp_path: Path
) -> None:
    assert _refused(_judged(tmp_path, _digits(seed, n_images), cheats.fresh)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_fresh_digits_of_mnist_pass_whatever_the_split(seed: int, tmp_path: Path) -> None:
    assert _refused(_judged(tmp_path, _mnist(seed, 2_000), cheats.fresh)) == {}
