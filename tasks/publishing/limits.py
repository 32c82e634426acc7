"""What nobody may conclude from a set of results, one sentence each."""

from collections.abc import Sequence

from tasks.metrics import Result

_GENERAL_LIMITS: dict[tuple[str, ...], str] = {
    ("membership",): (
        "Membership inference: whether an attacker can tell that somebody was in the training data"
        " was not attacked beyond the distances reported here."
    ),
    ("attribute_inference", "linkability", "singling"): (
        "Attribute inference, linkability and singling out, the three risks of the European"
        " guidance on anonymisation, were not attacked one by one."
    ),
    ("subgroup", "fairness", "parity"): (
        "Small subgroups and fairness: averages over all rows can hide a group that is badly"
        " represented."
    ),
    ("downstream",): (
        "Uses other than the ones measured here: no rule of the domain was checked that is not"
        " listed on this page."
    ),
}
"""What is not tested unless a metric whose name holds one of these words was measured."""

_NO_GUARANTEE = (
    "No formal privacy guarantee: the generator was not trained with differential privacy."
)
_UNKNOWN_GUARANTEE = (
    "Whether there is a formal privacy guarantee: files alone do not tell how they were made, and an"
    " attack that fails is no proof against the next one."
)


def not_tested(results: Sequence[Result], *, guarantee: bool | None) -> list[str]:
    """What was left out, that which does not apply here first.

    Args:
        results: of all metrics.
        guarantee: whether the generator was trained with differential privacy; null: unknown.
    """
    skipped = [
        f"{r.measurement.label}: {r.measurement.not_applicable or 'could not be measured'}."
        for r in results
        if r.measurement.value is None
    ]
    formal = {True: [], False: [_NO_GUARANTEE], None: [_UNKNOWN_GUARANTEE]}[guarantee]
    measured = " ".join(r.measurement.name for r in results if r.measurement.value is not None)
    general = [
        sentence
        for words, sentence in _GENERAL_LIMITS.items()
        if not any(word in measured for word in words)
    ]
    return [*skipped, *formal, *general]
