"""docs/evaluation.md lists every metric as its record has it; run this file to write the lists."""

from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from tasks.evaluation.base import Metric, metrics_of
from tasks.metrics import Family

PAGE = Path(__file__).parents[3] / "docs" / "evaluation.md"
BEGIN = "<!-- metrics: written by `python -m tests.unit.evaluation.test_documentation` -->\n"
END = "<!-- end of metrics -->\n"
KINDS = {"tabular": "tables", "image": "images", "text": "texts", "multimodal": "pairs"}


def documented() -> str:
    """A list of each family in Markdown."""
    listed = {**metrics_of("tabular"), **metrics_of("image"), **metrics_of("text")}
    # Those of the images and of the texts of pairs are listed as what they are.
    pairs = metrics_of("multimodal").values()
    metrics = [*listed.values(), *(m for m in pairs if m.name.partition("_")[2] not in listed)]
    parts = []
    for family in get_args(Family):
        rows = "".join(_line(m) for m in metrics if m.family == family)
        head = "| metric | how to read it | for | better | by default |\n|---|---|---|---|---|\n"
        parts.append(f"### {family.capitalize()}\n\n{head}{rows}")
    return "\n" + "\n".join(parts) + "\n"


def _line(metric: Metric) -> str:
    text = f"**{metric.label}.** {metric.explanation} <br>*{metric.source}*"
    kinds = ", ".join(KINDS[kind] for kind in metric.kinds)
    cells = [f"`{metric.name}`", text, kinds, metric.goal, _bounds(metric)]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _bounds(metric: Metric) -> str:
    words = {
        "at_most": "at most {:g}",
        "at_least": "at least {:g}",
        "at_most_reference_plus": "real + {:g}",
        "at_least_reference_minus": "real − {:g}",
    }
    bounds = metric.threshold.model_dump(exclude_none=True) if metric.threshold else {}
    told = " and ".join(words[name].format(value) for name, value in bounds.items())
    return told if metric.decisive or not told else f"{told}; never alone"


def _split(page: str) -> Iterable[str]:
    before, _, rest = page.partition(BEGIN)
    between, _, after = rest.partition(END)
    return before, between, after


def test_every_metric_is_listed_as_it_is() -> None:
    _, between, _ = _split(PAGE.read_text(encoding="utf-8"))
    assert between == documented()


if __name__ == "__main__":
    before, _, after = _split(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(before + BEGIN + documented() + END + after, encoding="utf-8")
