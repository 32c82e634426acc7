"""`report.html`: the evidence in pictures, one file that opens anywhere, offline.

No script, no font and no picture comes from elsewhere; the page forbids itself to load any.
"""

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tasks.metrics import Family, Result
from tasks.publishing import pictures
from tasks.publishing.answers import answers, key_results, reasons
from tasks.publishing.charts.gauges import gauge
from tasks.publishing.columns import columns, hidden_columns
from tasks.publishing.page import Page
from tasks.publishing.wording import bounds_in_words, number, remark

REPORT_FILE = "report.html"

_TEMPLATES = Path(__file__).parent / "templates"
_COLUMNS_AT_ONCE = 12

_QUESTIONS: dict[Family, str] = {
    "fidelity": "Does it look like the real data?",
    "utility": "Can it stand in for the real data?",
    "diversity": "Does it cover the real data?",
    "privacy": "Does it give the training data away?",
}


@dataclass(frozen=True)
class FamilyView:
    """The metrics that answer one question."""

    name: Family
    question: str
    summary: str
    results: list[Result]
    """With a value: those that judge first, failed ones before all."""
    skipped: list[Result]
    """Not applicable."""


def report(page: Page) -> str:
    """The page as HTML.

    Raises:
        DataError: what a stage left for the pictures is malformed.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: "" if value is None else value,
    )
    environment.filters |= {"number": number, "bounds": bounds_in_words, "remark": remark}
    environment.globals |= {"gauge": gauge}
    topics = (
        pictures.pairs,
        pictures.projection,
        pictures.giveaways,
        pictures.utility,
        pictures.fairness,
        pictures.rare_groups,
        pictures.distances,
        pictures.membership,
        pictures.attributes,
        pictures.progress,
    )
    return environment.get_template("report.html.j2").render(
        page=page,
        css=Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704
        answers=answers(page),
        reasons=[] if page.passed else reasons(page),
        key_results=key_results(page),
        columns=pictures.drawn(columns, page),
        hidden_columns=pictures.drawn(hidden_columns, page),
        columns_at_once=_COLUMNS_AT_ONCE,
        families=families(page),
        **{topic.__name__: pictures.drawn(topic, page) for topic in topics},
    )


def families(page: Page) -> list[FamilyView]:
    """The metrics by the question that they answer."""
    views = []
    for name, question in _QUESTIONS.items():
        results = page.of_family(name)
        measured = [r for r in results if r.measurement.value is not None]
        if not results:
            continue
        views.append(
            FamilyView(
                name=name,
                question=question,
                summary=_summary(results),
                results=sorted(measured, key=lambda r: (r.passed is not False, r.passed is None)),
                skipped=[r for r in results if r.measurement.value is None],
            )
        )
    return views


def _summary(results: list[Result]) -> str:
    judged = [r for r in results if r.passed is not None]
    met = sum(r.passed is True for r in judged)
    informing = sum(r.passed is None and r.measurement.value is not None for r in results)
    parts = [f"{met} of {len(judged)} thresholds met"] if judged else ["no threshold"]
    parts += [f"{informing} for information"] if informing else []
    skipped = sum(r.measurement.value is None for r in results)
    return ", ".join(parts + ([f"{skipped} not applicable"] if skipped else []))
