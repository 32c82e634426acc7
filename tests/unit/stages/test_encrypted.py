"""A dataset that is stored encrypted, from its source to its synthetic rows."""

import base64
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.constraints.declared import Range
from tasks.errors import GateRefused, WorkspaceError
from tasks.publishing.evidence import _public_model
from tasks.schema import DatasetSchema
from tasks.stages.balance import balance
from tasks.stages.clean import clean
from tasks.stages.evaluate import evaluate
from tasks.stages.ingest import ingest
from tasks.stages.sample import sample
from tasks.stages.split import split
from tasks.stages.train import train
from tasks.stages.validate import validate
from tasks.storage import count_rows, digest, read_json, read_table, write_json
from tasks.tracking import Tracker, open_tracker
from tasks.workspace import Layout
from tests.datasets import dataset_params

REAL = ("raw", "clean", "split", "balanced", "model")
"""What holds real values, or was learned from them."""

N_ROWS = 300


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFMINT_ENCRYPTION_KEY", base64.b64encode(bytes(range(32))).decode())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("source") / "people.csv"
    lines = ["mail,sex,age,note"]
    for i in range(N_ROWS):
        sex = rng.choice(["female-marker", "male-marker"])
        note = "secret words of somebody" if i % 3 else ""
        lines.append(f"person{i}@marker.example,{sex},{rng.normal(40, 9):.1f},{note} {i}")
    path.write_text("\n".join(lines) + "\n")
    return path


def run(source: Path, root: Path, tracker: Tracker, *, encrypt: bool) -> Layout:
    """All stages up to the evaluation."""
    params = dataset_params(
        source={"type": "files", "path": str(source), "encrypt": encrypt},
        clean={"drop_columns": ["note"], "missing": {"sex": "mode"}, "personal": {"mail": "keep"}},
        balance={"method": "generate"},
        train={"epochs": 2, "threads": 1, "device": "cpu"},
        evaluate={"metrics": ["shape_error"]},
    )
    at = Layout(root, "people")
    ingest(at.raw, params, project=root)
    clean(at.raw, at.clean, params)
    split(at.clean, at.split, params)
    balance(at.split, at.balanced, params)
    work = root / ".proofmint" / "checkpoints"
    train(at.balanced, at.model, params, "people", checkpoints=work, tracker=tracker)
    sample(at.model, at.synthetic, params)
    evaluate(at.split, at.synthetic, at.evaluation, params)
    return at


@pytest.fixture(scope="module")
def runs(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROOFMINT_ENCRYPTION_KEY", base64.b64encode(bytes(range(32))).decode())
        store = tmp_path_factory.mktemp("mlflow")
        tracker = open_tracker(None, store)
        done = {}
        for name in ("secret", "again", "plain"):
            if name == "plain":  # whose model is logged as it is
                assert [p for p in files(store) if b"marker" in p.read_bytes()] == []
            root = tmp_path_factory.mktemp(name)
            done[name] = run(source, root, tracker, encrypt=name != "plain")
        return done


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_no_real_value_is_on_disk(runs: dict[str, Layout]) -> None:
    at = runs["secret"]
    for path in files(at.root):
        if at.synthetic in path.parents:  # has e-mails of the same form, made anew
            continue
        data = path.read_bytes()
        assert b"@marker.example" not in data, path
        assert b"secret words" not in data, path
    for name in REAL:
        for path in files(getattr(at, name)):
            assert b"male-marker" not in path.read_bytes(), path
            assert not path.read_bytes().startswith(b"PAR1"), path
    # Without encryption, all of them have it in some file, so the search does find.
    for name in ("raw", "clean", "split", "balanced", "model"):
        found = [p for p in files(getattr(runs["plain"], name)) if b"male-marker" in p.read_bytes()]
        assert found, name


def test_what_is_encrypted_says_so(runs: dict[str, Layout]) -> None:
    at = runs["secret"]
    assert [p.name for p in sorted((at.raw / "people").iterdir())] == ["part-00000.parquet.enc"]
    assert sorted(p.name for p in at.model.iterdir()) == [
        "balance.json.enc",
        "encoder.safetensors.enc",
        "generator.safetensors.enc",
        "model.json.enc",
    ]
    for folder in (at.raw, at.clean, at.split / "train", at.split / "holdout", at.balanced):
        assert DatasetSchema.load(folder).encrypted
    assert not DatasetSchema.load(at.synthetic).encrypted
    assert [p.name for p in (at.synthetic / "people").iterdir()] == ["part-00000.parquet"]


def test_the_results_are_those_of_plain_data(runs: dict[str, Layout]) -> None:
    plain, secret = runs["plain"], runs["secret"]
    for name in ("raw", "clean", "balanced"):
        one, other = getattr(plain, name), getattr(secret, name)
        assert read_table(one, "people") == read_table(other, "people")
        assert count_rows(one, "people") == count_rows(other, "people") > 0
    assert digest(plain.synthetic) == digest(secret.synthetic)
    assert digest(plain.evaluation) == digest(secret.evaluation)
    assert _public_model(plain.model) == _public_model(secret.model) != {}


def test_a_refused_gate_tells_no_value(runs: dict[str, Layout], tmp_path: Path) -> None:
    at = Layout(tmp_path, "people")
    shutil.copytree(runs["secret"].raw, at.raw)
    schema = DatasetSchema.load(at.raw)
    constraint = Range(type="range", column="age", max_value=1)
    constrained = schema.model_copy(update={"tables": (schema.main.constrained([constraint]),)})
    (at.raw / "schema.json").write_text(constrained.dumps())
    config = Path(__file__).parents[3] / "great_expectations" / "great_expectations.yml"
    at.suite("raw").parent.mkdir(parents=True)
    shutil.copy(config, at.root / "great_expectations")
    kinds = ("values_to_be_in_set", "distinct_values_to_equal_set")
    expectations = [
        {"type": f"expect_column_{kind}", "kwargs": {"column": "sex", "value_set": ["x"]}}
        for kind in kinds
    ]
    write_json(at.suite("raw"), {"name": "people_raw", "expectations": expectations})
    state = tmp_path / "state"
    with pytest.raises(GateRefused, match="300 of 300 rows do not") as caught:
        validate("raw", at, dataset_params(), docs=state / "docs")
    assert "age = (not shown)" in str(caught.value)
    assert "male-marker" not in str(caught.value)
    assert len(files(state)) > 5
    assert [p for p in files(state) if b"male-marker" in p.read_bytes()] == []


def test_the_same_run_gives_the_same_bytes(runs: dict[str, Layout]) -> None:
    for name in (*REAL, "synthetic", "evaluation"):
        assert digest(getattr(runs["secret"], name)) == digest(getattr(runs["again"], name)), name


def test_without_the_key_nothing_is_read_or_written(
    runs: dict[str, Layout], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = runs["secret"]
    monkeypatch.setenv("PROOFMINT_ENCRYPTION_KEY", base64.b64encode(bytes(32)).decode())
    with pytest.raises(
        WorkspaceError, match=r"part-00000\.parquet\.enc was encrypted with another"
    ):
        read_table(at.raw, "people")
    with pytest.raises(WorkspaceError, match="another key"):
        read_json(at.model / "model.json")
    with pytest.raises(WorkspaceError, match="another key"):
        sample(at.model, tmp_path / "synthetic", dataset_params())
    monkeypatch.delenv("PROOFMINT_ENCRYPTION_KEY")
    settings = {"type": "files", "path": str(source), "encrypt": True}
    with pytest.raises(WorkspaceError, match="found neither"):
        ingest(tmp_path / "raw", dataset_params(source=settings), project=tmp_path)
    assert not (tmp_path / "raw").exists()
    assert not (tmp_path / "synthetic").exists()
