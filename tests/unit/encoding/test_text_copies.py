"""What few training texts have is not repeated, what many have may be."""

import numpy as np
import pytest

from tasks.encoding.text_copies import RareSpans

NINE = "one two three four five six seven eight nine"


def _repeated(training: list[str], *texts: str) -> list[bool]:
    spans = RareSpans.learn(lambda: [training[:1], training[1:]])
    return spans.repeated_by(list(texts)).tolist()


def test_nine_words_in_a_row_are_too_many() -> None:
    texts = [f"zero {NINE} ten eleven", "something else"]
    eight = " ".join(NINE.split()[:8])
    assert _repeated(texts, NINE, f"so {NINE} then", eight, f"{eight} four {eight}") == [
        True,
        True,
        False,
        False,
    ]


def test_case_and_signs_do_not_hide_a_copy() -> None:
    assert _repeated([NINE], NINE.upper().replace(" ", ", "), NINE.replace("nine", "nein")) == [
        True,
        False,
    ]


def test_signs_that_stand_as_words_count() -> None:
    # Eight words of letters, so only what is between spaces tells.
    assert _repeated(["a b c d - e f g h and z"], "a b c d - e f g h") == [True]


@pytest.mark.parametrize(("n_texts", "refused"), [(1, True), (4, True), (5, False)])
def test_what_five_texts_have_may_be_said(n_texts: int, refused: bool) -> None:
    assert _repeated([f"{i} {NINE} {i}" for i in range(n_texts)], NINE) == [refused]


def test_one_text_that_repeats_itself_is_still_one() -> None:
    assert _repeated([" ".join([NINE] * 6)], NINE) == [True]


def test_a_long_span_is_rare_though_its_parts_are_common() -> None:
    # "b … i" and "c … j" are in five texts each; only one has "a … j" as a whole.
    words = list("abcdefghij")
    first, second = " ".join(words[:9]), " ".join(words[1:])
    training = [first] * 5 + [second] * 5 + [" ".join(words)]
    assert _repeated(training, first, second, " ".join(words)) == [False, False, True]


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("Call my brother Rumpel now", True),
        ("call my brother RUMPEL, now!", True),
        ("Ok then", False),
    ],
)
def test_short_texts_are_refused_as_a_whole_from_five_words_on(text: str, refused: bool) -> None:
    assert _repeated(["call my brother Rumpel now", "ok then"], text) == [refused]


def test_a_short_text_may_be_part_of_another_one() -> None:
    assert _repeated(["call my brother Rumpel now"], "please call my brother Rumpel now") == [False]


def test_scripts_without_spaces_are_told_by_characters() -> None:
    text = "我昨天在北京的一家书店里买了三本关于历史的书"
    assert _repeated([text, "别的"], text[2:19], text[2:18], text[:4]) == [True, False, False]


def test_numbers_codes_and_addresses_of_few_are_not_said() -> None:
    training = [
        "ring 0171 234-5678",
        "mail Eve@Example.org!",
        "see www.x.org/a?b",
        "code XK7Q9",
        "in 2026",
    ]
    given = [
        "02 01712345678 x",
        "ask (0171) 2345678",
        "to eve@example.org",
        "at www.x.org/a?b.",
        "use xk7q9",
        "in 2026",
        "ring 0171 234-5679",
    ]
    assert _repeated(training, *given) == [True, True, True, True, True, False, False]
    assert _repeated(training * 5, *given) == [False] * 7


def _child(parent: list[str], child: list[str]) -> RareSpans:
    inherited = RareSpans.learn(lambda: [parent])
    return RareSpans.learn(lambda: [child], inherited)


def test_what_a_parent_must_not_say_its_child_must_not_either() -> None:
    private = [
        NINE,
        "call my brother Rumpel now",
        "pin 90125",
        "我昨天在北京的一家书店里买了三本书",
    ]
    own = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
    child = _child(private, [own, "else"])
    assert child.repeated_by([*private, own, "else"]).tolist() == [True] * 5 + [False]
    grandchild = RareSpans.learn(lambda: [["nothing of it"] * 2], child)
    assert grandchild.repeated_by([*private, own]).all()


@pytest.mark.parametrize(("n_texts", "refused"), [(4, True), (5, False)])
def test_what_five_texts_of_the_child_have_it_may_say(n_texts: int, refused: bool) -> None:
    private = [f"so {NINE} then", "call my brother Rumpel now", "pin 90125"]
    child = _child(private, private[1:] * n_texts + [f"{i} {NINE}" for i in range(n_texts)])
    assert child.repeated_by([NINE, *private[1:]]).tolist() == [refused] * 3
    # Two spans of nine words that no text of the child has.
    assert child.repeated_by(private[:1]).all()


def test_what_the_parent_may_say_the_child_may_not_where_few_have_it() -> None:
    assert _child([NINE] * 5, [NINE, "else"]).repeated_by([NINE]).all()


def test_of_a_parent_that_knows_nothing_rare_nothing_is_inherited() -> None:
    assert _child(["ok", "yes"], [NINE, "ok"]).repeated_by(["yes", NINE]).tolist() == [False, True]


def test_nothing_to_learn_refuses_nothing() -> None:
    assert _repeated(["", "a"], "", "a", NINE) == [False] * 3
    nothing = RareSpans(np.zeros(0, np.uint64), {})
    assert nothing.repeated_by([NINE]).tolist() == [False]
