"""Card, Croissant, data package and report, from the same evidence."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.errors import DataError
from tasks.publishing.answers import key_results
from tasks.publishing.card import card, front_matter
from tasks.publishing.croissant import croissant
from tasks.publishing.datapackage import datapackage
from tasks.publishing.evidence import Evidence
from tasks.publishing.licences import hub_licence, licence_url
from tasks.publishing.page import page_of
from tasks.publishing.report import report
from tasks.schema import ForeignKey
from tasks.storage import read_json, write_json
from tests.releases import (
    evidence_of,
    image_inputs,
    relational_inputs,
    tabular_inputs,
)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return tmp_path / "release"


@pytest.fixture
def evidence(tmp_path: Path, release: Path) -> Evidence:
    return evidence_of(tabular_inputs(tmp_path, n_rows=40), release)


def test_the_front_matter_is_what_the_hub_reads(evidence: Evidence) -> None:
    header = front_matter(evidence)
    assert header["license"] == "cc-by-4.0"
    assert header["annotations_creators"] == ["machine-generated"]
    assert header["task_categories"] == ["tabular-classification"]
    assert header["size_categories"] == ["n<1K"]
    assert "synthetic" in header["tags"]
    _, text, _ = card(evidence).split("---\n", 2)
    assert yaml.safe_load(text) == header


def test_the_card_shows_each_metric_beside_reference_and_threshold(evidence: Evidence) -> None:
    row = "| fidelity | Column shapes, error (%) | 3.41 | 3.02 to 3.9 | 2.87 | ≤ 10 | met |"
    assert row in card(evidence).splitlines()


def test_the_card_leaves_what_does_not_decide_to_the_evidence(evidence: Evidence) -> None:
    text = card(evidence)
    assert "Pair trends" not in text
    assert "All 6 metrics" in text


def test_declared_constraints_are_told(evidence: Evidence, release: Path) -> None:
    assert "## Constraints" not in card(evidence)
    held = {
        "type": "constraint_inequality",
        "target": "admitted, discharged",
        "description": "admitted <= discharged",
        "passed": True,
        "observed": "all 40 rows do",
    }
    verdicts = {**evidence.verdicts, "synthetic": {"passed": True, "checks": [held]}}
    told = replace(evidence, verdicts=verdicts)
    assert "| admitted &lt;= discharged | all 40 rows do |" in card(told).splitlines()
    assert "Declared constraints that every synthetic row was held against" in report(
        page_of(told, release)
    )


def test_a_hostile_name_stays_text_in_the_card(evidence: Evidence) -> None:
    _, _, body = card(evidence).split("---\n", 2)
    assert "<img" not in body
    rows = [line for line in body.splitlines() if "&lt;img" in line]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [5]


def test_several_tables_are_several_configurations(tmp_path: Path, release: Path) -> None:
    header = front_matter(evidence_of(relational_inputs(tmp_path), release))
    assert [c["config_name"] for c in header["configs"]] == ["our_customers", "orders_2024"]
    assert [c.get("default") for c in header["configs"]] == [True, None]
    assert header["task_categories"] == ["tabular-classification", "tabular-regression"]


@pytest.mark.parametrize(
    ("spdx", "expected"),
    [
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        ("GPL-3.0-only", {"license": "gpl-3.0"}),
        ("ODbL-1.0", {"license": "odbl"}),
        ("CC0-1.0", {"license": "cc0-1.0"}),
        ("LicenseRef-Ours", {"license": "other", "license_name": "licenseref-ours"}),
        ("my own terms", {"license": "other", "license_name": "my-own-terms"}),
    ],
)
def test_licences_have_the_names_of_the_hub(spdx: str, expected: dict[str, str]) -> None:
    assert hub_licence(spdx) == expected
    assert (licence_url(spdx) is None) == ("own" in spdx or "Ref" in spdx)


def test_the_model_that_a_training_started_from_is_named(evidence: Evidence) -> None:
    assert "another model" not in card(evidence)
    parent = {"from": "digits@v3", "sha256": "ab" * 32}
    training = {**evidence.model.get("training", {}), "parent": parent}
    told = replace(evidence, model={**evidence.model, "training": training})
    assert f"the weights of another model (`digits@v3`, sha256 `{'ab' * 32}`)" in card(told)
    _, model = croissant(told)["prov:wasDerivedFrom"]
    assert model["prov:wasDerivedFrom"][1]["@id"] == f"urn:sha256:{'ab' * 32}"


def test_croissant_tells_the_lineage(evidence: Evidence) -> None:
    content = croissant(evidence)
    real, model = content["prov:wasDerivedFrom"]
    assert real["@id"] == f"urn:sha256:{evidence.inputs['training_data']}"
    assert model["prov:wasDerivedFrom"] == {"@id": real["@id"]}
    assert content["prov:wasGeneratedBy"]["prov:used"] == {"@id": model["@id"]}
    (file,) = content["distribution"]
    assert file["sha256"] == evidence.tables[0].shards[0].sha256


def test_keys_are_told_in_croissant_and_data_package(tmp_path: Path, release: Path) -> None:
    evidence = evidence_of(relational_inputs(tmp_path), release)
    orders = croissant(evidence)["recordSet"][1]
    assert orders["key"] == {"@id": "orders%3D2024/id"}
    assert orders["field"][1]["references"] == {"field": {"@id": "our%20customers/id"}}
    schema = datapackage(evidence)["resources"][1]["schema"]
    assert schema["missingValues"] == []  # An empty text is a text.
    assert schema["primaryKey"] == ["id"]
    assert schema["foreignKeys"] == [
        {
            "fields": ["customer"],
            "reference": {"resource": "our_customers", "fields": ["id"]},
        }
    ]


def test_a_reference_in_a_circle_is_told_in_the_data_package_only(
    tmp_path: Path, release: Path
) -> None:
    evidence = evidence_of(relational_inputs(tmp_path), release)
    customers, orders = evidence.schema.tables
    link = ForeignKey(columns=("id",), references=orders.name, referenced_columns=("id",))
    circle = customers.model_copy(update={"foreign_keys": (link,)})
    tables = (replace(evidence.tables[0], schema=circle), evidence.tables[1])
    schema = evidence.schema.model_copy(update={"tables": (circle, orders)})
    linked = replace(evidence, tables=tables, schema=schema)
    assert "references" not in str(croissant(linked)["recordSet"])
    assert [bool(r["schema"].get("foreignKeys")) for r in datapackage(linked)["resources"]] == [
        True,
        True,
    ]


def test_the_report_loads_nothing_and_runs_nothing(evidence: Evidence, release: Path) -> None:
    page = report(page_of(evidence, release))
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<link|<iframe|@import|url\(|src=\"(?!data:)|href=\"(?!#)", page)
    assert "<img src=x" not in page
    assert len(page.encode()) < 300_000


def test_the_first_screen_answers_the_three_questions(evidence: Evidence, release: Path) -> None:
    page = report(page_of(evidence, release))
    for text in (
        "Yes, under CC-BY-4.0",
        "all four gates; 3 of 3 thresholds",
        "Models of “ill”",
        "Within the limit that was set",
    ):
        assert text in page
    names = [r.measurement.name for r in key_results(page_of(evidence, release))]
    assert names == ["shape_error", "trend_error", "c2st", "tstr", "dcr_share"]


def test_columns_with_personal_data_are_not_drawn(tmp_path: Path, release: Path) -> None:
    case = tabular_inputs(tmp_path, n_rows=40)
    plots = read_json(case.at.evaluation / "plots.json")
    plots["columns"].append(
        {"name": "note", "categories": ["Ada Lovelace"], "real": [1], "synthetic": [1]}
    )
    write_json(case.at.evaluation / "plots.json", plots)
    page = report(page_of(evidence_of(case, release), release))
    assert "Ada Lovelace" not in page
    assert "Distribution of blood pressure" in page


def test_pictures_of_images_are_the_synthetic_ones(tmp_path: Path, release: Path) -> None:
    page = report(page_of(evidence_of(image_inputs(tmp_path), release), release))
    assert page.count('<img src="data:image/png;base64,') == 30
    assert 'alt="synthetic example 1 of left"' in page


def test_a_release_tells_what_is_closest_to_a_training_image_and_does_not_show_it(
    tmp_path: Path, release: Path
) -> None:
    evidence = evidence_of(image_inputs(tmp_path), release)
    plots = {**evidence.plots, "closest_images": [{"row": 2, "distance": 0.61}]}
    page = page_of(replace(evidence, plots=plots), release)
    [closest] = page.closest
    assert (closest.real, closest.distance) == (None, 0.61)
    assert closest.synthetic in page.images[-1].sources
    assert page.beside == ()
    assert "no real image is in this release" in report(page)
    malformed = replace(evidence, plots={"closest_images": [{"row": "second"}]})
    with pytest.raises(DataError, match="closest_images"):
        page_of(malformed, release)


def test_what_is_absent_is_said_to_be_absent(tmp_path: Path, release: Path) -> None:
    case = tabular_inputs(tmp_path, n_rows=40)
    at = case.at
    for place in (
        *(at.evaluation.iterdir()),
        *(at.audit.iterdir()),
        at.model / "model.json",
        at.verdict("raw"),
        at.suite("clean"),
    ):
        place.unlink()
    evidence = evidence_of(case, release)
    page = report(page_of(evidence, release))
    assert "Nothing was measured." in page
    assert "Treat it like the real data." in page
    assert "No metric was judged." in card(evidence)
    assert croissant(evidence)["rai:dataUseCases"] == []


@pytest.mark.parametrize(
    "plots",
    [{"columns": [{"name": "age"}]}, {"pairs": {"columns": ["a", "b"]}}, {"dcr": {"edges": "x"}}],
)
def test_malformed_plots_are_named(tmp_path: Path, release: Path, plots: dict[str, Any]) -> None:
    case = tabular_inputs(tmp_path, n_rows=40)
    write_json(case.at.evaluation / "plots.json", plots)
    write_json(case.at.audit / "plots.json", {})
    with pytest.raises(DataError, match=r"plots\.json"):
        report(page_of(evidence_of(case, release), release))


def test_no_measured_metric_is_listed_as_untested(evidence: Evidence) -> None:
    sentences = evidence.not_tested
    assert sentences[0] == "Coverage: fewer than 1,000 rows."
    assert any("differential privacy" in sentence for sentence in sentences)
    assert not any("Column shapes" in sentence for sentence in sentences)
