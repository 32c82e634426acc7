"""`dvc repro` of a dataset that is stored encrypted: what DVC keeps of it cannot be read."""

import base64
import json
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import Project
from tests.projects import copy_project

PERSON, WORD = b"@marker.example", b"secretword"
"""In e-mails, which differ, and in classes, which synthetic rows and published metrics name."""


@pytest.mark.slow
def test_dvc_keeps_no_real_value(tmp_path: Path) -> None:
    root = copy_project(tmp_path)
    lines = [f"p{i}@marker.example,secretword{i % 2},{20 + i % 50}" for i in range(400)]
    (root / "people.csv").write_text("\n".join(["mail,sex,age", *lines]) + "\n")
    settings = yaml.safe_load((root / "params.yaml").read_text())
    entry = settings["datasets"]["breast_cancer"] | {
        "source": {"type": "files", "path": "people.csv", "encrypt": True},
        "target": "sex",
        "constraints": [],
        "clean": {"personal": {"mail": "pseudonymise"}},
        "generator_params": {},
        "train": {"epochs": 2, "device": "cpu", "threads": 1},
        "thresholds": {},
    }
    (root / "params.yaml").write_text(yaml.safe_dump({"datasets": {"people": entry}}))
    for point in ("raw", "clean"):
        suite = root / "great_expectations" / "expectations" / f"people_{point}.json"
        expectation = {"type": "expect_column_to_exist", "kwargs": {"column": "age"}}
        suite.write_text(json.dumps({"name": suite.stem, "expectations": [expectation]}))
    key = base64.b64encode(bytes(range(32))).decode()
    project = Project(root, {"PYTHONPATH": str(root), "PROOFMINT_ENCRYPTION_KEY": key})

    project.dvc("repro", "evaluate@people")

    kept = [p for p in (root / ".dvc" / "cache").rglob("*") if p.is_file()]
    kept += [p for p in (root / "data").rglob("*") if p.is_file()]
    kept += [p for p in (root / ".proofmint").rglob("*") if p.is_file()]
    assert len(kept) > 40
    assert [p for p in kept if PERSON in p.read_bytes()] == []
    data = root / "data" / "people"
    public = {
        p.read_bytes()
        for d in ("synthetic", "evaluation")
        for p in (data / d).rglob("*.*")
        if p.is_file()
    }
    assert [p for p in kept if WORD in p.read_bytes() and p.read_bytes() not in public] == []
    assert key.encode() not in b"".join(p.read_bytes() for p in kept)
