"""The first screen: may I use it, for what, and how private is it, in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.metrics import Result
from tasks.publishing.page import Page
from tasks.publishing.wording import allowance, bounds_in_words, number

_CARDS = 6


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
    """Up to six results for the first screen: what failed, then those that judge, each family once."""
    measured = [r for r in page.results if r.measurement.value is not None]
    ranked = sorted(measured, key=lambda r: (r.threshold is None, not r.measurement.decisive))
    first_of_family = {r.measurement.family: r for r in reversed(ranked)}
    chosen = [r for r in ranked if r.passed is False]
    chosen += [r for r in ranked if first_of_family[r.measurement.family] is r and r not in chosen]
    chosen += [r for r in ranked if r not in chosen]
    return [r for r in measured if r in chosen[:_CARDS]]


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
        return Answer(question, "Yes, by all thresholds", f"{thresholds.capitalize()}", True)
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
    # Without a threshold nobody has said how good is good enough.
    good = True if all(r.passed for r in results) else None
    if any(r.passed is False for r in results):
        good = False
    elif any(r.passed for r in results):
        good = True
    best = _best_model(page.plots.get("utility") or {})
    details = best or "; ".join(_beside(r) for r in _judging_first(results)[:2]) + "."
    short = f"Not for models of “{target}”" if good is False else f"Models of “{target}”"
    return Answer(question, short, details, good)


def _best_model(utility: Mapping[str, Any]) -> str:
    """How the model that learns most from real rows does when it learns from synthetic ones."""
    models = utility.get("models") or []
    if not models:
        return ""
    best = max(models, key=lambda model: model["real"])
    return (
        f"On real rows that it never saw, a model ({best['model']}) learned from this data reaches"
        f" {utility.get('score', 'a score')} {number(best['synthetic'])}; learned from the real"
        f" data, {number(best['real'])}."
    )


def _how_private(page: Page) -> Answer:
    question = "How private is it?"
    results = [r for r in page.of_family("privacy") if r.measurement.value is not None]
    formal = _guarantee(page)
    if not results:
        details = f"{formal} Treat it like the real data."
        return Answer(question, "Not measured", details, False)
    judged = [r for r in results if r.passed is not None]
    strongest = max(_attacks(results), key=_severity)
    details = f"{_strongest(strongest)} {formal}"
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


def _attacks(results: Sequence[Result]) -> Sequence[Result]:
    """Attacks and copies that were counted; a mere distance speaks only where nothing else does."""
    return [r for r in results if r.measurement.decisive] or results


def _severity(result: Result) -> tuple[bool, float]:
    """How near a finding is to what is not allowed; of those without a limit, how far from chance."""
    used = allowance(result)
    return result.passed is False, -1.0 if used is None else used


def _strongest(result: Result) -> str:
    """The finding that comes nearest to its limit, and whether chance explains it."""
    m = result.measurement
    above, below = result.noise
    excess = _excess(result)
    by_chance = excess is not None and excess <= (above if m.goal == "lower" else below)
    found = _beside(result)
    limit = bounds_in_words(result).split(" (")[0]
    found += f", required {limit}" if limit else ""
    if result.passed is not False and by_chance:
        return f"No attack found more than chance would explain. Nearest to its limit: {found}."
    return f"Strongest finding: {found}."


def _excess(result: Result) -> float | None:
    """By how much the value is worse than that of fresh real data."""
    m = result.measurement
    if m.value is None or m.reference is None:
        return None
    return m.value - m.reference if m.goal == "lower" else m.reference - m.value


def _guarantee(page: Page) -> str:
    if page.guarantee:
        delta = number(page.guarantee.get("delta"))
        return (
            f"The generator was trained with differential privacy"
            f" (ε = {number(page.guarantee.get('epsilon'))}, δ = {delta})."
        )
    if page.generator is None:
        return "Measured by attacks; whether there is a formal guarantee is unknown."
    return "Measured by attacks, without a formal guarantee."


def _beside(result: Result) -> str:
    """A result beside what fresh real data reaches."""
    m = result.measurement
    real = "" if m.reference is None else f" (fresh real data: {number(m.reference)})"
    return f"{m.label}: {number(m.value)}{real}"


def _judging_first(results: Sequence[Result]) -> list[Result]:
    return sorted(results, key=lambda r: r.threshold is None)
