"""The pictures of the report, by topic of plots.json; a topic that is absent has no picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tasks.errors import DataError
from tasks.publishing.charts import curves, maps, rows
from tasks.publishing.charts.rows import Bar
from tasks.publishing.evidence import MODEL_FILE, PLOTS_FILE
from tasks.publishing.page import Page
from tasks.publishing.wording import number

_WORST_PAIRS = 12
_GIVEAWAYS = 12
_ATTRIBUTES = 16


@dataclass(frozen=True)
class Plot:
    """A picture with what stands above it."""

    name: str
    note: str
    picture: Markup


def drawn(draw: Callable[[Page], Any], page: Page) -> Any:
    """What `draw` makes of the page.

    Raises:
        DataError: what a stage left for the pictures is malformed.
    """
    try:
        return draw(page)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise DataError(
            f"{page.title}: expected {PLOTS_FILE} and {MODEL_FILE} to hold {draw.__name__} as the"
            f" report draws them, found something else: {type(error).__name__}: {error}"
        ) from error


def pairs(page: Page) -> dict[str, Any] | None:
    """Three heat maps and the pairs of columns whose association differs most."""
    found = page.plots.get("pairs")
    if not found or len(found["columns"]) < 2:
        return None
    names: list[str] = found["columns"]
    error = found["error"]
    below = [(i, j) for i in range(len(names)) for j in range(i) if error[i][j] is not None]
    worst = sorted(below, key=lambda ij: (-abs(error[ij[0]][ij[1]]), ij))[:_WORST_PAIRS]
    largest = max((abs(error[i][j]) for i, j in below), default=0.0)

    def plot(name: str, key: str, highest: float, note: str, title: str) -> Plot:
        return Plot(name, note, maps.pair_map(found[key], names, highest, key, title))

    large = None
    if not maps.has_names(names) and maps.has_names(names, maps.WIDE):
        large = maps.pair_map(
            error, names, largest, "error", "Differences, with names", width=maps.WIDE
        )
    return {
        "names": names,
        "large": large,
        "maps": [
            plot("Real", "real", 1, "full colour: 1", "Associations, real data"),
            plot("Synthetic", "synthetic", 1, "full colour: 1", "Associations, synthetic data"),
            plot(
                "Error",
                "error",
                largest,
                f"full colour: {number(largest)} %",
                "Differences of the associations",
            ),
        ],
        "worst": [
            (names[j], names[i], found["real"][i][j], found["synthetic"][i][j], error[i][j])
            for i, j in worst
        ],
    }


def projection(page: Page) -> dict[str, Any] | None:
    """Real and synthetic rows on the two axes along which real rows vary most."""
    found = page.plots.get("projection")
    if not found:
        return None
    real, synthetic = found["real"], found["synthetic"]
    highest = max((share for row in (*real, *synthetic) for share in row if share), default=0.0)
    # Where real rows are too few to be drawn, nobody can say whether synthetic ones are more.
    difference = [
        [(b or 0.0) - a if a else 0.0 for a, b in zip(*both, strict=True)]
        for both in zip(real, synthetic, strict=True)
    ]
    largest = max((abs(share) for row in difference for share in row), default=0.0)
    return {
        "axes": [str(axis) for axis in found["axes"]],
        "maps": [
            Plot("Real", "", maps.density_map(real, highest, "real", "Real rows, projected")),
            Plot(
                "Synthetic",
                "",
                maps.density_map(synthetic, highest, "synthetic", "Synthetic rows, projected"),
            ),
            Plot(
                "Difference",
                f"full colour: {number(100 * largest)} %",
                maps.density_map(difference, largest, "difference", "More or fewer synthetic rows"),
            ),
        ],
    }


def giveaways(page: Page) -> Markup | None:
    """Columns by which a classifier tells synthetic rows from real ones."""
    found = [g for g in page.plots.get("giveaways") or [] if g["column"] in page.public_columns]
    if not found:
        return None
    values = [(str(g["column"]), float(g["importance"])) for g in found[:_GIVEAWAYS]]
    return rows.ranking(values, "Columns that give synthetic rows away")


def utility(page: Page) -> dict[str, Any] | None:
    """Scores of models learned from real, synthetic and both kinds of rows."""
    found = page.plots.get("utility") or {}
    models = found.get("models") or []
    if not models:
        return _utility_of_metrics(page)
    series = ("real", "synthetic", "augmented")
    bars = [
        (
            str(model["model"]),
            [
                Bar(kind, float(model[kind]), _interval(model.get(f"{kind}_interval")))
                for kind in series
                if model.get(kind) is not None
            ],
        )
        for model in models
    ]
    floor = 0.5 if "AUC" in str(found["score"]).upper() else 0.0
    return {
        "score": found["score"],
        "target": found["target"],
        "n_rows": found.get("rows"),
        "augmented": any(model.get("augmented") is not None for model in models),
        "floor": floor,
        "picture": rows.bars(bars, f"{found['score']} by model and training data", floor=floor),
    }


def _utility_of_metrics(page: Page) -> dict[str, Any] | None:
    """Where no model was drawn: the metrics of utility themselves."""
    bars = []
    for m in (r.measurement for r in page.of_family("utility")):
        if m.value is not None:
            real = [] if m.reference is None else [Bar("real", m.reference, m.reference_interval)]
            bars.append((m.label, [*real, Bar("synthetic", m.value, m.interval)]))
    if not bars:
        return None
    return {
        "score": None,
        "augmented": False,
        "picture": rows.bars(bars, "Utility of synthetic and of real data"),
    }


def _interval(ends: Sequence[float] | None) -> tuple[float, float] | None:
    return None if ends is None else (float(ends[0]), float(ends[1]))


def fairness(page: Page) -> dict[str, Any] | None:
    """How often each group has an outcome, in real and in synthetic rows."""
    found = [g for g in page.plots.get("fairness") or [] if g["column"] in page.public_columns]
    lines = [
        (f"{g['column']} = {g['group']}", _series(g, real="rate_real", synthetic="rate_synthetic"))
        for g in found
    ]
    lines = [(label, values) for label, values in lines if values]
    if not lines:
        return None
    return {
        "outcome": found[0].get("outcome") or page.schema.target,
        "picture": rows.marks(lines, "Rate of the outcome by group"),
    }


def rare_groups(page: Page) -> Markup | None:
    """Shares of small groups, among real, unseen and synthetic rows."""
    private = {
        column.name for table in page.schema.tables for column in table.columns
    } - page.public_columns
    lines = [
        (str(g["group"]), _series(g, real="real", holdout="holdout", synthetic="synthetic"))
        for g in page.plots.get("rare_groups") or []
        if not any(f"{name} = " in str(g["group"]) for name in private)
    ]
    lines = [(label, values) for label, values in lines if values]
    return rows.marks(lines, "Shares of rare groups", logarithmic=True) if lines else None


def distances(page: Page) -> Markup | None:
    """Distances to the closest real record."""
    dcr = page.plots.get("dcr")
    if not dcr:
        return None
    keys = {"real": "holdout_to_train", "holdout": "to_holdout", "synthetic": "to_train"}
    histograms = {
        kind: [float(count) for count in dcr[key]] for kind, key in keys.items() if dcr.get(key)
    }
    edges = [float(edge) for edge in dcr["edges"]]
    return curves.cumulated(histograms, edges, "Distances to the closest real record")


def membership(page: Page) -> dict[str, Any] | None:
    """What attacks find of the training rows, by the false alarms that they cost."""
    found = page.plots.get("membership")
    if not found:
        return None
    return {
        "attacks": [(str(a["attack"]), float(a["auc"])) for a in found],
        "picture": curves.roc(
            [(a["fpr"], a["tpr"]) for a in found],
            "Members found by share of false alarms, for each attack",
        ),
    }


def attributes(page: Page) -> dict[str, Any] | None:
    """How often an attacker guesses a column right, of training rows and of others."""
    found = [a for a in page.plots.get("attributes") or [] if a["column"] in page.public_columns]
    if not found:
        return None
    # What the attack gains on training rows over others is what the data gives away.
    found.sort(key=lambda a: (a["holdout"] or 0) - (a["training"] or 0))
    lines = [
        (
            str(a["column"]),
            _series(a, baseline="baseline", holdout="holdout", synthetic="training"),
        )
        for a in found[:_ATTRIBUTES]
    ]
    return {
        "n_columns": len(found),
        "n_shown": len(lines),
        "picture": rows.marks(lines, "Guesses that are right, by column"),
    }


def _series(entry: Mapping[str, Any], **keys: str) -> dict[str, float]:
    return {kind: float(entry[key]) for kind, key in keys.items() if entry.get(key) is not None}


def progress(page: Page) -> Markup | None:
    """The losses during training, if the generator's summary holds them."""
    losses = {
        kind: [(float(e["epoch"]), float(e[key])) for e in page.history if e.get(key) is not None]
        for kind, key in (("real", "train_loss"), ("synthetic", "validation_loss"))
    }
    losses = {kind: points for kind, points in losses.items() if len(points) > 1}
    return curves.progress(losses, "Losses during training") if losses else None
