"""`report.html`: the evidence in pictures, one file that opens anywhere, offline.

No script, no font and no picture comes from elsewhere; the page forbids itself to load any.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tasks.errors import DataError
from tasks.publishing import charts
from tasks.publishing.evidence import MODEL_FILE, PLOTS_FILE, Evidence, Result
from tasks.publishing.samples import sample_images, sample_rows
from tasks.publishing.wording import bounds_in_words, number

REPORT_FILE = "report.html"

_TEMPLATES = Path(__file__).parent / "templates"
_WORST_PAIRS = 8
_GIVEAWAYS = 10
_COLUMNS_AT_ONCE = 12


@dataclass(frozen=True)
class Answer:
    """One of the three questions that a reader comes with."""

    question: str
    short: str
    details: str
    good: bool | None
    """Whether it is good news; null: neither."""


@dataclass(frozen=True)
class Plot:
    """A picture with what stands above it."""

    name: str
    note: str
    picture: Markup


def report(evidence: Evidence, release: Path) -> str:
    """The page.

    Args:
        evidence: what is shown.
        release: holds the synthetic data, for a look at its rows and images.

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
    environment.filters |= {"number": number, "bounds": bounds_in_words}
    environment.globals |= {"gauge": charts.gauge}
    schema = evidence.schema
    return environment.get_template("report.html.j2").render(
        e=evidence,
        publish=evidence.params.publish,
        css=Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704
        answers=[_may_i_use_it(evidence), _for_what(evidence), _how_private(evidence)],
        key_results=key_results(evidence),
        images=sample_images(release, evidence.tables[0], schema.target),
        rows=[
            (table, *sample_rows(release, table))
            for table in evidence.tables
            if schema.kind != "image"
        ],
        columns=_drawn(_columns, evidence),
        columns_at_once=_COLUMNS_AT_ONCE,
        pairs=_drawn(_pairs, evidence),
        giveaways=_drawn(_giveaways, evidence),
        utility=_drawn(_utility, evidence),
        distances=_drawn(_distances, evidence),
        progress=_drawn(_progress, evidence),
        settings=_settings(evidence),
        training=_flat(evidence.model.get("training")),
    )


def key_results(evidence: Evidence) -> list[Result]:
    """Up to six results for the first screen: those with a threshold first, every question once."""
    measured = [r for r in evidence.results if r.measurement.value is not None]
    ranked = sorted(measured, key=lambda r: r.threshold is None)
    first_of_family = {r.measurement.family: r for r in reversed(ranked)}
    chosen = [r for r in ranked if first_of_family[r.measurement.family] is r]
    chosen += [r for r in ranked if r not in chosen]
    return [r for r in measured if r in chosen[:6]]


def _may_i_use_it(evidence: Evidence) -> Answer:
    judged = [r for r in evidence.results if r.passed is not None]
    met = sum(r.passed is True for r in judged)
    if not evidence.passed:
        return Answer("May I use it?", "No", "The release gate refused it.", good=False)
    details = f"It passed all four gates; {met} of {len(judged)} thresholds are met."
    if len(evidence.verdicts) < 4:
        details = f"It passed its release gate; {met} of {len(judged)} thresholds are met."
    return Answer(
        "May I use it?", f"Yes, under {evidence.params.publish.license}", details, good=True
    )


def _for_what(evidence: Evidence) -> Answer:
    question, target = "For what?", evidence.schema.target
    results = [r for r in evidence.of_family("utility") if r.measurement.value is not None]
    if not results or target is None:
        details = "How well models learn from it was not measured."
        return Answer(question, "Exploring, developing, teaching", details, good=None)
    details = "; ".join(
        f"{r.measurement.label}: {number(r.measurement.value)}"
        f" (real data: {number(r.measurement.reference)})"
        for r in results[:2]
    )
    # Without a threshold nobody has said how good is good enough.
    good = True if all(r.passed for r in results) else None
    return Answer(question, f"Models of “{target}”", details, good=good)


def _how_private(evidence: Evidence) -> Answer:
    question = "How private is it?"
    results = [r for r in evidence.of_family("privacy") if r.measurement.value is not None]
    guarantee = any("epsilon" in r.measurement.name for r in results)
    if not results:
        return Answer(question, "Not measured", "Treat it like the real data.", good=False)
    first = results[0].measurement
    details = (
        f"{first.label}: {number(first.value)} (real data: {number(first.reference)})."
        f" {'' if guarantee else 'Measured, without a formal guarantee.'}"
    )
    judged = [r for r in results if r.passed is not None]
    if not judged:
        return Answer(question, "Measured; no limit was set", details, good=None)
    good = all(r.passed for r in judged)
    short = "Within the limits that were set" if good else "Outside the limits that were set"
    return Answer(question, short, details, good=good)


def _drawn(draw: Callable[[Evidence], Any], evidence: Evidence) -> Any:
    try:
        return draw(evidence)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        topic = draw.__name__.strip("_")
        raise DataError(
            f"{evidence.dataset}: expected {PLOTS_FILE} and {MODEL_FILE} to hold {topic} as the report"
            f" draws them, found something else: {type(error).__name__}: {error}"
        ) from error


def _public_columns(evidence: Evidence) -> set[str]:
    """Columns whose real values may be shown as counts: none that is personal or unique to a row."""
    return {
        column.name
        for table in evidence.schema.tables
        for column in table.columns
        if not column.personal and column.meaning not in ("text", "identifier")
    }


def _columns(evidence: Evidence) -> list[Plot]:
    """A picture of each column, those with the largest error first."""
    public = _public_columns(evidence)
    columns = [c for c in evidence.plots.get("columns", ()) if c["name"] in public]
    return [
        Plot(
            name=column["name"],
            note="" if column.get("error") is None else f"error {number(column['error'])} %",
            picture=charts.categories(column)
            if "categories" in column
            else charts.histogram(column),
        )
        for column in sorted(columns, key=lambda c: -(c.get("error") or 0))
    ]


def _pairs(evidence: Evidence) -> dict[str, Any] | None:
    """Three heat maps and the pairs of columns whose association differs most."""
    pairs = evidence.plots.get("pairs")
    if not pairs or len(pairs["columns"]) < 2:
        return None
    names: list[str] = pairs["columns"]
    error = pairs["error"]
    below = [(i, j) for i in range(len(names)) for j in range(i) if error[i][j] is not None]
    worst = sorted(below, key=lambda ij: (-abs(error[ij[0]][ij[1]]), ij))[:_WORST_PAIRS]
    largest = max((abs(error[i][j]) for i, j in below), default=0.0)
    return {
        "names": names,
        "largest": largest,
        "maps": [
            Plot("Real", "", charts.heat_map(pairs["real"], 1, "real", "Associations, real data")),
            Plot(
                "Synthetic",
                "",
                charts.heat_map(pairs["synthetic"], 1, "synthetic", "Associations, synthetic data"),
            ),
            Plot(
                "Difference",
                f"darkest: {number(largest)} %",
                charts.heat_map(error, largest, "error", "Differences of the associations"),
            ),
        ],
        "worst": [
            (names[j], names[i], pairs["real"][i][j], pairs["synthetic"][i][j], error[i][j])
            for i, j in worst
        ],
    }


def _giveaways(evidence: Evidence) -> Markup | None:
    found = evidence.plots.get("giveaways") or []
    rows = [(str(g["column"]), {"synthetic": float(g["importance"])}) for g in found]
    if not rows:
        return None
    return charts.bars(rows[:_GIVEAWAYS], "Columns that give synthetic rows away")


def _utility(evidence: Evidence) -> Markup | None:
    rows = [
        (r.measurement.label, _bars_of(r.measurement.reference, r.measurement.value))
        for r in evidence.of_family("utility")
        if r.measurement.value is not None
    ]
    return charts.bars(rows, "Utility of synthetic and of real data") if rows else None


def _bars_of(real: float | None, synthetic: float | None) -> dict[str, float]:
    both = {"real": real, "synthetic": synthetic}
    return {kind: value for kind, value in both.items() if value is not None}


def _distances(evidence: Evidence) -> Markup | None:
    dcr = evidence.plots.get("dcr")
    if not dcr:
        return None
    keys = {"real": "holdout_to_train", "holdout": "to_holdout", "synthetic": "to_train"}
    histograms = {
        kind: [float(count) for count in dcr[key]] for kind, key in keys.items() if dcr.get(key)
    }
    edges = [float(edge) for edge in dcr["edges"]]
    return charts.cumulated(histograms, edges, "Distances to the closest real record")


def _progress(evidence: Evidence) -> Markup | None:
    """The losses during training, if the generator's summary holds them."""
    history = evidence.model.get("training", {}).get("history") or []
    losses = {
        kind: [(float(e["epoch"]), float(e[key])) for e in history if e.get(key) is not None]
        for kind, key in (("real", "train_loss"), ("synthetic", "validation_loss"))
    }
    losses = {kind: line for kind, line in losses.items() if len(line) > 1}
    return charts.progress(losses, "Losses during training") if losses else None


def _settings(evidence: Evidence) -> list[tuple[str, str]]:
    return [
        ("generator", evidence.params.generator),
        ("seed", str(evidence.params.seed)),
        *_flat(evidence.model.get("generator_params")),
    ]


def _flat(content: Any) -> list[tuple[str, str]]:
    """Settings and summaries as pairs of texts; what has parts of its own is left to the JSON."""
    if not isinstance(content, Mapping):
        return []
    return [
        (str(key).replace("_", " "), _setting(value))
        for key, value in content.items()
        if isinstance(value, (str, int, float)) or (isinstance(value, list) and len(value) < 8)
    ]


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
