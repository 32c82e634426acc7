"""What the README tells a newcomer to write is accepted."""

import re
from pathlib import Path

import yaml

from tasks import params
from tasks.evaluation.base import metrics_of
from tasks.metrics import Measurement, judged, unproved

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_the_example_of_a_dataset_can_be_released() -> None:
    block = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert block is not None
    example = params.parse({"datasets": yaml.safe_load(block[1])}, "README.md").datasets["patients"]
    known = metrics_of("tabular")
    assert set(example.thresholds) <= set(known)
    measured = [
        Measurement(
            name=name,
            label=found.label,
            family=found.family,
            goal=found.goal,
            value=0.5,
            reference=0.5,
            explanation=found.explanation,
            source=found.source,
            threshold=found.threshold,
            decisive=found.decisive,
        )
        for name, found in known.items()
    ]
    assert unproved(judged(measured, example.thresholds)) == []


def test_every_page_that_it_points_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
