"""The default thresholds for texts: cheats are refused for the right reason, real texts never.

What most tests learn from is a made-up language; those of sms_spam are skipped where it is absent.
"""

from collections.abc import Collection
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import measure, metrics_of
from tasks.metrics import Result, judged, unproved
from tests import cheats_of_texts as cheats
from tests.cheats_of_texts import Cheat
from tests.comparisons import SHARED, compare, schema_of

Parts = tuple[pa.Table, pa.Table, pa.Table]
"""Texts that the generator saw, a holdout, and more texts that it did not see."""

COPIES = {"copied_rows", "copied_spans", "exact_copies"}
LANGUAGE = {"word_pair_error", "bits_per_byte", "reverse_bits_per_byte"}
VARIETY = {"distinct_phrases", "duplicates", "coverage"}
SECRETS = {"leaked_secrets", "texts_with_secrets", "secret_exposure"}

SECRET = "QX48ZZ17"

CHEATS: dict[str, tuple[Cheat, set[str]]] = {
    "copies": (cheats.copies, COPIES),
    "copies with a few other words": (cheats.changes(0.15), COPIES),
    "copies with every third word another": (cheats.changes(0.3), {"membership_language"}),
    "leaks 5 %": (cheats.leaks(0.05), COPIES),
    "repeats one text": (cheats.repeats(1), VARIETY),
    "repeats twenty texts": (cheats.repeats(20), VARIETY),
    "cuts texts short": (cheats.cuts, {"text_length_error"}),
    "word salad": (cheats.salad, LANGUAGE),
    "shuffles labels": (cheats.shuffles_labels, {"utility"}),
    "tells numbers": (cheats.tells_numbers, SECRETS),
    "tells a secret in 3 % of the texts": (cheats.plants(SECRET, 0.03), SECRETS),
}
"""Each with the metrics of which one at least must be the reason."""

COPYING = ("copies", "leaks 5 %", "tells a secret in 3 % of the texts")
"""Their texts are real but for the secret, so that nothing but privacy may refuse them."""


@cache
def _made_up(n_texts: int, seed: int, script: str = "latin") -> Parts:
    rows = cheats.letters(3 * n_texts, np.random.default_rng(seed), script)
    n_held = max(n_texts // 2, 40)
    seen = rows.slice(0, n_texts)
    secret = pa.array([f"{seen['text'][0].as_py()} {SECRET}", *seen["text"].to_pylist()[1:]])
    return seen.set_column(0, "text", secret), rows.slice(n_texts, n_held), rows.slice(2 * n_texts)


@cache
def _messages(n_texts: int, seed: int) -> Parts:
    path = SHARED / "sms_spam" / "SMSSpamCollection"
    if not path.exists():
        pytest.skip("needs the data sms_spam beside the repository")
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    labels, texts = zip(*(line.split("\t", 1) for line in lines), strict=True)
    rows = pa.table({"text": texts, "label": labels})
    rows = rows.take(pa.array(np.random.default_rng(seed).permutation(len(rows))))
    n_held = len(rows) - 2 * n_texts
    return rows.slice(0, n_texts), rows.slice(2 * n_texts, n_held), rows.slice(n_texts, n_texts)


def _judged(
    root: Path, parts: Parts, synthetic: pa.Table, names: Collection[str] = ()
) -> tuple[Result, ...]:
    """The metrics that decide, or those of these names, and what they decide."""
    seen, holdout, _ = parts
    target = "label" if "label" in seen.column_names else None
    schema = schema_of(seen, target=target, kind="text", meanings={"text": "text"})
    found = metrics_of("text").values()
    deciding = [m for m in found if m.threshold and (not names or m.name in names)]
    return judged(measure(deciding, compare(root, schema, seen, holdout, synthetic))[0], {})


def _refused(results: tuple[Result, ...]) -> dict[str, str]:
    """The metrics that refuse, each with its family and the numbers."""
    return {
        r.measurement.name: f"{r.measurement.family}: {r.measurement.value}, allowed {r.bounds}"
        for r in results
        if r.passed is False
    }


def _made_by(name: str, parts: Parts) -> pa.Table:
    seen, _, unseen = parts
    return CHEATS[name][0](seen, unseen, np.random.default_rng(0))


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_refused_for_the_right_reason(name: str, tmp_path: Path) -> None:
    parts, right = _made_up(800, seed=1), CHEATS[name][1]
    refused = _refused(_judged(tmp_path, parts, _made_by(name, parts), right))
    assert right & refused.keys(), refused


@pytest.mark.slow
@pytest.mark.parametrize("name", COPYING)
def test_real_texts_that_leak_are_refused_for_nothing_else(name: str, tmp_path: Path) -> None:
    parts = _made_up(800, seed=1)
    refused = _refused(_judged(tmp_path, parts, _made_by(name, parts)))
    assert {told.split(":")[0] for told in refused.values()} == {"privacy"}, refused


def test_a_label_that_is_missing_is_refused(tmp_path: Path) -> None:
    parts, right = _made_up(800, seed=1), {"class_share_error", "utility"}
    rows = cheats.drops("note")(parts[0], parts[2], np.random.default_rng(0))
    assert _refused(_judged(tmp_path, parts, rows, right)).keys() == right


@pytest.mark.parametrize(("n_texts", "script"), [(60, "latin"), (300, "latin"), (300, "han")])
def test_fresh_texts_pass_every_default(n_texts: int, script: str, tmp_path: Path) -> None:
    parts = _made_up(n_texts, 2, script)
    results = _judged(tmp_path, parts, parts[2].slice(0, n_texts))
    assert _refused(results) == {}
    assert unproved(results) == []


def test_texts_without_labels_are_judged(tmp_path: Path) -> None:
    seen, holdout, unseen = (one.select(["text"]) for one in _made_up(100, seed=3))
    results = _judged(tmp_path, (seen, holdout, unseen), unseen.slice(0, 100))
    assert _refused(results) == {}
    assert unproved(results) == []


@pytest.mark.parametrize("content", ["", "ok", "😀", "a" * 3000])
def test_odd_synthetic_texts_are_refused_not_a_crash(content: str, tmp_path: Path) -> None:
    parts = _made_up(60, seed=4)
    odd = parts[0].set_column(0, "text", pa.array([content] * 60))
    assert "fidelity" in str(_refused(_judged(tmp_path, parts, odd)))


def test_odd_real_texts_are_measured(tmp_path: Path) -> None:
    """One-word texts, a constant text and one label leave little to measure, and that is said."""
    words = pa.table({"text": ["yes", "no", "ok", ""] * 20, "label": ["a"] * 80})
    constant = pa.table({"text": ["same text"] * 80, "label": ["a", "b"] * 40})
    for number, rows in enumerate((words, constant)):
        results = _judged(tmp_path / str(number), (rows, rows, rows), rows)
        assert "fidelity" not in str(_refused(results))


@pytest.mark.slow
@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_at_messages_is_refused(name: str, tmp_path: Path) -> None:
    parts, right = _messages(2_000, seed=0), CHEATS[name][1]
    if name == "tells a secret in 3 % of the texts":
        pytest.skip("nobody planted it")
    refused = _refused(_judged(tmp_path, parts, _made_by(name, parts), right))
    assert right & refused.keys(), refused


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_texts", "seed"), [*((150, s) for s in range(8)), *((600, s) for s in range(4)), (2_200, 0)]
)
def test_fresh_messages_pass(n_texts: int, seed: int, tmp_path: Path) -> None:
    parts = _messages(n_texts, seed)
    results = _judged(tmp_path, (parts[0], parts[1].slice(0, n_texts), parts[2]), parts[2])
    assert _refused(results) == {}
    assert unproved(results) == []
