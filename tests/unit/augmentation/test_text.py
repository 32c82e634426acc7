"""Changes of texts, with words worked out by hand."""

import numpy as np
import pytest

from tasks.augmentation.text import BackOff, TextAugmentation, augment_text

OFF = {"typos": 0.0, "swaps": 0.0, "deletions": 0.0, "replacements": 0.0}
NOTHING = BackOff([])
TEXT = "  one two,\tthree  four\n"


def changed(text=TEXT, *, mate="", seed=0, model=NOTHING, **settings):
    rng = np.random.default_rng(seed)
    return augment_text(text, mate, TextAugmentation(**OFF | settings), model, rng)


def test_nothing_is_changed_where_all_is_off():
    assert changed() == TEXT


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_a_text_without_words_stays(text):
    everything = dict.fromkeys(OFF, 1.0)
    assert changed(text, mate="other words", mixing=1.0, **everything) == text


def test_words_swap_and_spaces_stay():
    # Each word changes places with the next, one pair after the other: the first ends last.
    assert changed(swaps=1.0) == "  two, three\tfour  one\n"


def test_one_word_stays_where_all_should_go():
    left = {changed(deletions=1.0, seed=seed) for seed in range(40)}
    assert left == {f"  {word}\n" for word in ("one", "two,", "three", "four")}


def test_half_of_the_words_go():
    lengths = [
        len(changed("a b c d e f g h i j", deletions=0.5, seed=s).split()) for s in range(200)
    ]
    assert 4.5 < np.mean(lengths) < 5.5


def test_a_typo_is_one_slip_in_letters():
    slips = {changed("ab", typos=1.0, seed=seed) for seed in range(40)}
    assert slips == {"ba", "aab", "b"}
    for text in ("12345", "+49-30", "\U0001f469\u200d\U0001f467 :-)", "a"):
        assert changed(text, typos=1.0) == text


def test_words_come_from_the_longest_known_context():
    model = BackOff(["we go home", "we go out", "they go home", "rain"])
    rng = np.random.default_rng(0)
    # After "we go" came home and out; after "x go" only the shorter context is known.
    assert model.draw(["we", "go"], "home", rng) == "out"
    assert {model.draw(["x", "go"], "?", rng) for _ in range(20)} == {"home", "out"}
    # After "they go" came home alone, so the shorter context gives another word.
    # Four draws of home, out and home are all home in a fifth of the cases: any word then.
    others = [model.draw(["they", "go"], "home", rng) for _ in range(100)]
    assert others.count("home") <= 3
    assert others.count("out") > 60
    every = {"we", "go", "home", "out", "they", "rain"}
    assert {model.draw(["never", "seen"], "?", rng) for _ in range(200)} == every
    # At the start, what texts begin with.
    assert {model.draw([], "?", rng) for _ in range(50)} == {"we", "they", "rain"}
    assert NOTHING.draw(["a"], "b", rng) == "b"


def test_replaced_words_are_of_the_model():
    model = BackOff(["x y z", "y z x", "z x y"])
    made = changed(replacements=1.0, model=model).split()
    assert len(made) == 4
    assert set(made) <= {"x", "y", "z"}


def test_the_end_comes_from_another_text():
    for seed in range(30):
        words = changed("a b c d", mate="1 2 3 4", mixing=1.0, seed=seed).split()
        n_own = sum(word.isalpha() for word in words)
        assert n_own >= 2
        assert words == [*"abcd"[:n_own], *"1234"[n_own:]]
    assert changed("a b", mate="", mixing=1.0) == "a b"


def test_scripts_without_spaces_are_changed_by_character():
    assert changed("\u65e5\u672c\u8a9e", swaps=1.0) == "\u672c\u8a9e\u65e5"


def test_the_same_rng_gives_the_same_text():
    model = BackOff([TEXT, "two three"])
    settings = dict.fromkeys(OFF, 0.5)
    one, again, other = (changed(seed=s, model=model, **settings) for s in (1, 1, 2))
    assert one == again != other
