"""Copied spans and the exposure of numbers, by hand."""

import numpy as np

from tasks.evaluation.attacks.text_exposure import N_ALTERNATIVES, exposure
from tasks.evaluation.attacks.text_spans import copied, rare_spans
from tasks.evaluation.language_model import LanguageModel
from tasks.evaluation.symbols import Words, characters


def test_the_longest_span_that_one_training_text_has() -> None:
    names = Words()
    train = names.stream(["a b c d e f", "x a b c y", "p q r p q r"])
    rare = rare_spans(train, 3)
    # a b c is in two texts; p q r twice, but in one.
    texts = ["a b c d e", "a b c", "b c d x a b c y", "p q r", "b c e", "", "c d e f c d"]
    found = copied(rare, names.stream(texts), 3)
    # Of "a b c d e" b c d e; of the third b c d, and x a b, then b c y around a b c.
    assert found.tolist() == [4, 0, 3, 3, 0, 0, 4]


def test_no_span_is_rare() -> None:
    names = Words()
    train = names.stream(["a b c", "a b c"])
    assert copied(rare_spans(train, 3), names.stream(["a b c"]), 3).tolist() == [0]
    assert copied(rare_spans(train, 4), names.stream(["a b c d"]), 4).tolist() == [0]


def test_a_number_that_was_told_is_exposed() -> None:
    rng = np.random.default_rng(0)
    told = [f"call {n} now" for n in ("70315422", "61190387")] * 10
    model = LanguageModel(characters(told), n_symbols=40)
    secrets = [("call ", "70315422"), ("call ", "61190387")]
    np.testing.assert_allclose(exposure(model, secrets, rng), np.log2(N_ALTERNATIVES + 1))
    unknown = exposure(model, [("call ", f"{n:08}") for n in rng.integers(0, 10**8, 200)], rng)
    # Ranks are uniform: the mean of -log2 is about 1 / ln 2.
    assert 1.1 < unknown.mean() < 1.7
