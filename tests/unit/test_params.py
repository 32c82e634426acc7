from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import params
from tasks.errors import ParamsError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def entry() -> dict[str, Any]:
    """A valid entry to spoil."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    return content["datasets"]["breast_cancer"]


def test_the_projects_own_params_are_valid() -> None:
    assert set(params.load(ROOT / "params.yaml").datasets) >= {"breast_cancer", "digits"}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["colour"], 1, "datasets.x.colour: unknown key; choose one of: kind, schedule, seed"),
        (["train", "epoch"], 3, "datasets.x.train.epoch: unknown key; choose one of: epochs"),
        (
            ["kind"],
            "tables",
            "datasets.x.kind: input should be 'tabular', 'image', 'text' or 'multimodal'",
        ),
        (["train", "epochs"], "ten", "datasets.x.train.epochs: input should be a valid integer"),
        (["train", "epochs"], 0, "datasets.x.train.epochs"),
        (["train", "threads"], True, "datasets.x.train.threads"),
        (["split", "holdout_fraction"], 1.0, "datasets.x.split.holdout_fraction"),
        (["seed"], -1, "datasets.x.seed"),
        (["seed"], 2**63, "datasets.x.seed"),
        (["sample", "rows"], 0, "datasets.x.sample.rows"),
        (["clean"], None, "datasets.x.clean"),
        (["generator"], "../../etc/passwd", "datasets.x.generator: string should match"),
        (["generator"], "my_lab.models:Flow", "datasets.x.generator: string should match"),
        (["thresholds"], {"c2st_auc": {}}, "thresholds.c2st_auc: needs one of at_most, at_least"),
        (["thresholds"], {"c2st_auc": {"below": 1}}, "below: unknown key; choose one of: at_most"),
        (["publish", "license"], "", "datasets.x.publish.license"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_path(
    entry: dict[str, Any], path: list[str], value: Any, message: str
) -> None:
    place = entry
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ParamsError) as caught:
        params.parse({"datasets": {"x": entry}}, "params.yaml")
    assert message in str(caught.value)


def test_a_missing_section_is_named(entry: dict[str, Any]) -> None:
    del entry["split"]
    with pytest.raises(ParamsError, match=r"datasets\.x\.split: missing"):
        params.parse({"datasets": {"x": entry}}, "params.yaml")


@pytest.mark.parametrize("name", ["Adult", "1st", "a/b", "a b", "a.b", "a@b", "", "x" * 64])
def test_a_dataset_name_that_is_no_identifier_is_refused(entry: dict[str, Any], name: str) -> None:
    with pytest.raises(ParamsError, match="should match pattern"):
        params.parse({"datasets": {name: entry}}, "params.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets: [", "is not YAML"),
        ("- a\n- b\n", "to be a mapping, found list"),
        ("", "to be a mapping, found NoneType"),
        ("datasets: {}\n", "datasets"),
        ("\x00", "is not YAML"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(ParamsError, match=message):
        params.load(file)


def test_a_missing_file_and_an_unknown_dataset_are_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="found none"):
        params.load(tmp_path / "params.yaml")
    with pytest.raises(ParamsError, match="no dataset 'nope'; it has: breast_cancer, digits"):
        params.load_dataset(ROOT / "params.yaml", "nope")


def test_another_datasets_fault_does_not_stop_this_one(
    tmp_path: Path, entry: dict[str, Any]
) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump({"datasets": {"good": entry, "bad": {"kind": 7}}}))
    assert params.load_dataset(file, "good").kind == "tabular"


def test_a_source_keeps_its_own_settings(entry: dict[str, Any]) -> None:
    source = params.parse({"datasets": {"x": entry}}, "p").datasets["x"].source
    assert source.type == "sql"
    assert source.settings["table"] == "breast_cancer"
