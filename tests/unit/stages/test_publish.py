from pathlib import Path

import pytest

from tasks.errors import DataError, GateRefused
from tasks.publishing.manifest import MANIFEST_FILE, Manifest, faults
from tasks.stages.publish import publish
from tasks.storage import digest, read_json
from tests.releases import (
    CANARY,
    Case,
    image_inputs,
    refuse,
    relational_inputs,
    tabular_inputs,
)

BUILDERS = [tabular_inputs, image_inputs, relational_inputs]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return tabular_inputs(tmp_path, n_rows=40)


def test_a_release_holds_data_descriptions_and_proof(case: Case) -> None:
    publish(case.at, case.params)
    manifest = Manifest.load(case.at.release)
    assert {file.path for file in manifest.files} == {
        "README.md",
        "croissant.json",
        "datapackage.json",
        "report.html",
        "data/patients/part-00000.parquet",
        *(f"evidence/{n}.json" for n in ("metrics", "schema", "params", "model")),
        *(f"evidence/gates/{n}.json" for n in ("raw", "clean", "synthetic", "release")),
        *(f"evidence/suites/{n}.json" for n in ("raw", "clean", "release")),
    }
    assert faults(case.at.release, manifest) == []
    assert manifest.inputs["model"] == digest(case.at.model)


@pytest.mark.parametrize("inputs", BUILDERS)
def test_equal_inputs_give_equal_bytes(inputs, tmp_path: Path) -> None:
    digests = []
    for place in ("here", "elsewhere"):
        case = inputs(tmp_path / place)
        publish(case.at, case.params)
        publish(case.at, case.params)
        digests.append(digest(case.at.release))
    assert digests[0] == digests[1]


@pytest.mark.parametrize("inputs", BUILDERS)
def test_nothing_private_is_released(
    inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_DATABASE", f"postgresql://ada:{CANARY}@db/shop")
    case = inputs(tmp_path)
    publish(case.at, case.params)
    files = [path for path in case.at.release.rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        for private in (CANARY, "SHOP_DATABASE", str(tmp_path), "/home/"):
            assert private.encode() not in content, f"{private} in {path}"


def test_a_refused_release_leaves_the_earlier_one(case: Case) -> None:
    publish(case.at, case.params)
    before = digest(case.at.release)
    refuse(case.at)
    with pytest.raises(GateRefused) as caught:
        publish(case.at, case.params)
    assert "12.3, reference 2.87" in str(caught.value)
    assert "The earlier release stays." in str(caught.value)
    assert digest(case.at.release) == before


def test_a_refused_release_publishes_nothing(case: Case) -> None:
    refuse(case.at)
    with pytest.raises(GateRefused):
        publish(case.at, case.params)
    assert not case.at.release.parent.exists()


def test_without_a_verdict_nothing_is_published(case: Case) -> None:
    case.at.verdict("release").unlink()
    with pytest.raises(DataError, match=r"release\.json"):
        publish(case.at, case.params)
    assert not case.at.release.exists()


def test_the_thresholds_are_part_of_the_evidence(case: Case) -> None:
    publish(case.at, case.params)
    params = read_json(case.at.release / "evidence" / "params.json")
    assert params["thresholds"]["shape_error"]["at_most"] == 10.0
    assert params["source"] == {"type": "sql", "withheld": ["connection", "query"]}
    assert not (case.at.release / MANIFEST_FILE).is_symlink()
