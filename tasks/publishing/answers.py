"""The first screen: may I use it, for what, and how private is it, in plain words."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.metrics import Family, Result
from tasks.publishing.page import Page
from tasks.publishing.wording import allowance, bounds_in_words, number

_CARDS = 6

_FAMILIES: tuple[Family, ...] = ("fidelity", "utility", "privacy", "diversity")
"""As their turn comes on the first screen."""

_WELL_KNOWN = (
    "shape_error",
    "trend_error",
    "c2st_auc",
    "utility",
    "coverage",
    "exact_copies",
    "membership_density",
)
"""Metrics that readers know from elsewhere, in the order in which they ask for them."""


@dataclass(frozen=True)
class Answer:
    """One of the three questions that a reader comes with."""

    question: str
    short: str
    details: str
    good: bool | None
    """Whether it is good news; null: neither."""


@dataclass(frozen=True)
class Reason:
    """Why the data was refused."""

    what: str
    found: str
    allowed: str
    reference: str
    explanation: str


def answers(page: Page) -> list[Answer]:
    """The three answers, in the order of the questions."""
    return [_may_i_use_it(page), _for_what(page), _how_private(page)]


def key_results(page: Page) -> list[Result]:
    """Up to six results for the first screen: what failed, then the families in turn.

    Of each family those that judge come first, the best known of them before the others.
    """
    measured = [r for r in page.results if r.measurement.value is not None]
    chosen = [r for r in measured if r.passed is False][:_CARDS]
    for judging in (True, False):
        some = [r for r in measured if (r.threshold is not None) is judging]
        queues = [sorted(_family(some, name), key=_prominence) for name in _FAMILIES]
        in_turn = [r for turn in itertools.zip_longest(*queues) for r in turn if r is not None]
        chosen += [r for r in in_turn if r not in chosen][: _CARDS - len(chosen)]
    return [r for r in measured if r in chosen]


def _family(results: Sequence[Result], name: Family) -> list[Result]:
    return [r for r in results if r.measurement.family == name]


def _prominence(result: Result) -> tuple[bool, int]:
    name = result.measurement.name
    known = _WELL_KNOWN.index(name) if name in _WELL_KNOWN else len(_WELL_KNOWN)
    return not result.measurement.decisive, known


def reasons(page: Page) -> list[Reason]:
    """Each threshold that is not met, in words; then what else the verdict holds against the data."""
    failed = [r for r in page.results if r.passed is False]
    about_metrics = {r.measurement.name for r in page.results}
    others = [
        check
        for check in page.verdict.get("checks", [])
        if check.get("passed") is False and check.get("target") not in about_metrics
    ]
    return [_reason(result) for result in failed] + [
        Reason(
            what=str(check.get("target", "")).capitalize(),
            found=str(check.get("observed", "")),
            allowed=str(check.get("description", "")),
            reference="",
            explanation="",
        )
        for check in others
    ]


def _reason(result: Result) -> Reason:
    m = result.measurement
    found = number(m.value)
    if any(bound is not None and number(bound) == found for bound in result.bounds):
        found = f"{m.value:.6g}"
    if m.value is None:
        found = f"no value: {m.not_applicable or 'it could not be measured'}"
    elif m.interval:
        found += f" (95 %: {number(m.interval[0])} to {number(m.interval[1])})"
    return Reason(
        what=m.label,
        found=found,
        allowed=bounds_in_words(result),
        reference="" if m.reference is None else number(m.reference),
        explanation=m.explanation,
    )


def _may_i_use_it(page: Page) -> Answer:
    question = "May I use it?"
    judged = [r for r in page.results if r.passed is not None]
    met = sum(r.passed is True for r in judged)
    if not page.passed:
        n_reasons = len(reasons(page))
        why = {0: "It was refused.", 1: "It was refused for the reason below."}.get(
            n_reasons, f"It was refused for the {n_reasons} reasons below."
        )
        return Answer(question, "No", f"{why} {met} of {len(judged)} thresholds are met.", False)
    informing = sum(r.measurement.value is not None for r in page.results) - len(judged)
    thresholds = f"{met} of {len(judged)} thresholds are met" + (
        f"; {informing} more metrics inform." if informing > 0 else "."
    )
    if page.licence is None:
        return Answer(
            question, "Yes, by all thresholds", f"{thresholds} Its licence is not known here.", True
        )
    gates = "its release gate" if len(page.gates) < 4 else "all four gates"
    return Answer(question, f"Yes, under {page.licence}", f"It passed {gates}; {thresholds}", True)


def _for_what(page: Page) -> Answer:
    question, target = "For what?", page.schema.target
    results = [r for r in page.of_family("utility") if r.measurement.value is not None]
    if not results or target is None:
        close = [r for r in page.of_family("fidelity") if r.measurement.value is not None]
        details = "".join(f"{_beside(r)}. " for r in _judging_first(close)[:1])
        details += "How well models learn from it was not measured."
        return Answer(question, "Exploring, developing, teaching", details, None)
    verdicts = [r.passed for r in results if r.passed is not None]
    # Without a threshold nobody has said how good is good enough.
    good = all(verdicts) if verdicts else None
    if good and not page.passed:
        good = None  # no praise for what may not be used
    best = _best_model(page.plots.get("utility") or {})
    details = best or "; ".join(_beside(r) for r in _judging_first(results)[:2]) + "."
    short = f"Not for models of “{target}”" if good is False else f"Models of “{target}”"
    return Answer(question, short, details, good)


def _best_model(utility: Mapping[str, Any]) -> str:
    """How the model that learns most from real rows does when it learns from synthetic ones."""
    models = [
        model
        for model in utility.get("models") or []
        if model.get("real") is not None and model.get("synthetic") is not None
    ]
    if not models:
        return ""
    best = max(models, key=lambda model: model["real"])
    return (
        f"Judged by real rows that it never saw, the best model ({best['model']}) reaches"
        f" {utility.get('score', 'a score')} {number(best['synthetic'])} when it learns from this"
        f" data, {number(best['real'])} when it learns from the real data."
    )


def _how_private(page: Page) -> Answer:
    question = "How private is it?"
    results = [r for r in page.of_family("privacy") if r.measurement.value is not None]
    formal = _guarantee(page)
    if not results:
        details = f"{formal} Treat it like the real data."
        return Answer(question, "Not measured", details, False)
    judged = [r for r in results if r.passed is not None]
    details = f"{_strongest(results)} {formal}"
    if not judged:
        return Answer(question, "Measured; no limit was set", details, None)
    n_met = sum(r.passed is True for r in judged)
    if n_met < len(judged):
        short = f"Outside {len(judged) - n_met} of {len(judged)} limits"
        return Answer(question, short, details, False)
    short = "Within the limit that was set" if n_met == 1 else f"Within all {n_met} limits"
    if page.guarantee:
        short += f", ε = {number(page.guarantee.get('epsilon'))}"
    return Answer(question, short, details, True)


def _strongest(results: Sequence[Result]) -> str:
    """How many attacks and searches for copies stand out, and which the most."""
    # A mere distance speaks only where nothing else does.
    attacks = [r for r in results if r.measurement.decisive] or results
    telling = [r for r in attacks if _stands_out(r)]
    worst = max(attacks, key=_severity)
    limit = bounds_in_words(worst).split(" (")[0].replace(" ", "\N{NO-BREAK SPACE}")
    found = _beside(worst) + (f", required {limit}" if limit else "")
    if len(attacks) == 1:
        return f"{found}."
    if not telling:
        return (
            f"None of {len(attacks)} attacks and searches for copies stands out from fresh real"
            f" data. Nearest to its limit: {found}."
        )
    return (
        f"{len(telling)} of {len(attacks)} attacks and searches for copies stand"
        f"{'s' if len(telling) == 1 else ''} out from fresh real data. The strongest: {found}."
    )


def _severity(result: Result) -> tuple[bool, bool, float]:
    """Failed, standing out, and near to what is not allowed."""
    used = allowance(result)
    return result.passed is False, _stands_out(result), -1.0 if used is None else used


def _stands_out(result: Result) -> bool:
    """Whether the value is worse than that of fresh real data by more than their intervals."""
    m, (above, below) = result.measurement, result.noise
    if m.value is None or m.reference is None:
        return False
    if m.goal == "lower":
        return m.value - m.reference > above
    return m.reference - m.value > below


def _guarantee(page: Page) -> str:
    if page.guarantee:
        delta = number(page.guarantee.get("delta"))
        return (
            f"Trained with differential privacy"
            f" (ε = {number(page.guarantee.get('epsilon'))}, δ = {delta})."
        )
    if page.generator is None:
        return "Whether there is a formal guarantee is unknown."
    return "There is no formal guarantee."


def _beside(result: Result) -> str:
    """A result beside what fresh real data reaches."""
    m = result.measurement
    real = "" if m.reference is None else f" (fresh real data: {number(m.reference)})"
    return f"{m.label}: {number(m.value)}{real}"


def _judging_first(results: Sequence[Result]) -> list[Result]:
    return sorted(results, key=lambda r: r.threshold is None)
