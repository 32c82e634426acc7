import subprocess
from pathlib import Path
from typing import Any

import pytest

from tasks.params import load_dataset
from tasks.tuning.patch import params_patch
from tests.projects import REPOSITORY

ODD = """\
# a head
datasets:
    one:   # indented by four
        generator_params: {a: 1,   b: "x"}   # in braces
        train:
            batch_size: 64 # why
            learning_rate: 0.1
        list:
        - 1
        -   2
        text:   "kept"

    two: {train: {}, generator_params: {}}"""


def _applied(text: str, patch: str, folder: Path) -> str:
    """What `git apply` makes of it."""
    (folder / "sub").mkdir()
    place = folder / "sub" / "params.yaml"
    place.write_text(text, encoding="utf-8", newline="")
    (folder / "a.patch").write_text(patch, encoding="utf-8", newline="")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "apply", "--whitespace=error-all", "a.patch"], cwd=folder, check=True)
    return place.read_bytes().decode("utf-8")


def _patch(text: str, dataset: str, settings: dict[str, Any]) -> str:
    return params_patch(text, dataset, settings, "sub/params.yaml")


def test_the_projects_own_params(tmp_path: Path) -> None:
    text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    settings = {
        "train.learning_rate": 0.00005,
        "train.batch_size": 128,
        "generator_params.hidden_units": None,
        "generator_params.dropout": 0.25,
    }
    changed = _applied(text, _patch(text, "breast_cancer", settings), tmp_path)
    params = load_dataset(tmp_path / "sub" / "params.yaml", "breast_cancer")
    assert (params.train.learning_rate, params.train.batch_size) == (0.00005, 128)
    assert params.generator_params == {"hidden_units": None, "dropout": 0.25}
    before = load_dataset(REPOSITORY / "params.yaml", "breast_cancer")
    same = {"train": before.train, "generator_params": before.generator_params}
    assert params.model_copy(update=same) == before
    gone = set(text.splitlines()) - set(changed.splitlines())
    assert gone <= {"    generator_params: {}", "    train: {}"}
    assert load_dataset(tmp_path / "sub" / "params.yaml", "digits") == load_dataset(
        REPOSITORY / "params.yaml", "digits"
    )


def test_only_lines_of_the_settings_change(tmp_path: Path) -> None:
    patch = _patch(ODD, "one", {"train.batch_size": 32, "train.learning_rate": 0.25})
    wanted = ODD.replace("batch_size: 64", "batch_size: 32").replace("0.1", "0.25")
    assert _applied(ODD, patch, tmp_path).split() == wanted.split()
    changes = [line for line in patch.splitlines()[2:] if line[0] in "+-"]
    assert len(changes) == 4
    assert "# why" in patch


def test_braces_stay_braces(tmp_path: Path) -> None:
    changed = _applied(ODD, _patch(ODD, "one", {"generator_params.a": 2}), tmp_path)
    assert '{a: 2, b: "x"}' in changed
    assert "# in braces" in changed


def test_a_file_without_a_last_line_break(tmp_path: Path) -> None:
    changed = _applied(ODD, _patch(ODD, "two", {"train.batch_size": 8}), tmp_path)
    assert "batch_size: 8" in changed


@pytest.mark.parametrize("value", [[64, 128], True, 3])
def test_values_of_any_kind(value: object, tmp_path: Path) -> None:
    import yaml

    changed = _applied(ODD, _patch(ODD, "one", {"generator_params.c": value}), tmp_path)
    assert yaml.safe_load(changed)["datasets"]["one"]["generator_params"]["c"] == value
