"""What nobody may conclude from a set of results, one sentence each."""

from collections.abc import Sequence

from tasks.metrics import Result
from tasks.schema import DatasetSchema

_UNLESS_MEASURED: dict[tuple[str, ...], str] = {
    ("membership",): (
        "Membership inference: whether an attacker can tell that somebody was in the training data"
        " was not attacked beyond the distances reported here."
    ),
    ("attribute_inference",): (
        "Attribute inference: whether a secret of somebody can be guessed from the rest of their row."
    ),
    ("linkability",): (
        "Linkability: whether two halves of somebody's row can be brought together."
    ),
    ("singling_out",): (
        "Singling out: whether a description can be found that fits one person alone."
    ),
    ("subgroup", "fairness", "parity"): (
        "Fairness: averages over all rows can hide a group that is badly represented."
    ),
}
"""What is not tested unless a metric whose name holds one of these words was measured."""

_ALWAYS = (
    (
        "Attackers who know more than was assumed: the model itself, the training rows of others, or"
        " further releases from the same rows, whose leaks add up."
    ),
    "People who are in the real data with several rows: every row was taken for a person.",
    (
        "Uses other than the ones measured here: no rule of the domain was checked that is not listed"
        " here."
    ),
)

_NO_GUARANTEE = (
    "No formal privacy guarantee: the generator was not trained with differential privacy."
)
_UNKNOWN_GUARANTEE = (
    "Whether there is a formal privacy guarantee: files alone do not tell how they were made, and an"
    " attack that fails is no proof against the next one."
)


def not_tested(
    results: Sequence[Result], schema: DatasetSchema, *, guarantee: bool | None
) -> list[str]:
    """What was left out, that which does not apply here first.

    Args:
        results: of all metrics.
        schema: of the data.
        guarantee: whether the generator was trained with differential privacy; null: unknown.
    """
    skipped: dict[str, list[str]] = {}
    for m in (r.measurement for r in results):
        if m.value is None:
            skipped.setdefault(m.not_applicable or "could not be measured", []).append(m.label)
    formal: list[str] = []
    if not guarantee:
        formal = [_UNKNOWN_GUARANTEE if guarantee is None else _NO_GUARANTEE]
    measured = " ".join(r.measurement.name for r in results if r.measurement.value is not None)
    absent = [
        sentence
        for words, sentence in _UNLESS_MEASURED.items()
        if not any(word in measured for word in words)
    ]
    not_applicable = [f"{'; '.join(labels)}: {why}." for why, labels in skipped.items()]
    return [*not_applicable, *formal, *absent, *_left_out(schema), *_ALWAYS]


def _left_out(schema: DatasetSchema) -> list[str]:
    # A column of text in a table is not compared; the texts of a dataset of texts are.
    compared = {"text"} if schema.kind in ("text", "multimodal") else set()
    uncompared = {"text", "identifier"} - compared
    names = [c.name for c in schema.main.columns if c.meaning in uncompared]
    sentences = []
    if names:
        sentences.append(
            f"What texts and identifiers say: {', '.join(names)} took no part in distances, models"
            " or attacks."
        )
    if others := [table.name for table in schema.tables[1:]]:
        sentences.append(
            f"Other tables: {', '.join(others)}; what was measured is of {schema.main.name}."
        )
    return sentences
