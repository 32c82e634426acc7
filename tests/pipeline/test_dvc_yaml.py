"""dvc.yaml is the pipeline: our reader agrees with DVC, and no stage forgets code that it runs."""

import ast
import dataclasses
import itertools
from pathlib import Path

import pytest
from dvc.repo import Repo

from tasks import operation, params, pipeline
from tasks.workspace import Layout

ROOT = Path(__file__).resolve().parents[2]
DATASETS = pipeline.load(ROOT)
STAGES = [stage for dataset in DATASETS.values() for stage in dataset.stages]


def test_our_reader_equals_dvcs_index() -> None:
    with Repo(str(ROOT)) as repo:
        theirs = {
            stage.addressing: (
                stage.cmd,
                {dep.def_path for dep in stage.deps if not hasattr(dep, "params")},
                {out.def_path for out in stage.outs},
                stage.always_changed,
                (stage.meta or {}).get("airflow", {}),
            )
            for stage in repo.index.stages
        }
    ours = {
        stage.address: (
            stage.command,
            set(stage.deps),
            set(stage.outs),
            stage.always_changed,
            stage.airflow,
        )
        for stage in STAGES
    }
    assert ours == theirs


def test_the_edges_are_those_of_the_design() -> None:
    edges = DATASETS["breast_cancer"].edges()
    path = [
        "ingest",
        "validate_raw",
        "clean",
        "validate_clean",
        "split",
        "balance",
        "train",
        "sample",
    ]
    path += ["validate_synthetic", "evaluate", "validate_release", "publish"]
    assert set(itertools.pairwise(path)) <= edges
    assert ("audit", "validate_release") in edges
    assert not any(before == "publish" for before, _ in edges)


def test_the_layout_names_the_outputs_of_dvc_yaml() -> None:
    at = Layout(Path(), "digits")
    folders = [at.raw, at.clean, at.split, at.balanced, at.model, at.synthetic]
    folders += [at.evaluation, at.audit, at.release]
    folders += [at.verdict(gate) for gate in ("raw", "clean", "synthetic", "release")]
    outs = {out for stage in DATASETS["digits"].stages for out in stage.outs}
    assert {folder.as_posix() for folder in folders} == outs


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.address)
def test_deps_cover_the_imports(stage: pipeline.Stage) -> None:
    missing = [
        path
        for path in sorted(_closure(_entry_points(stage)))
        if not any(path == dep or path.startswith(dep + "/") for dep in stage.deps)
    ]
    assert not missing, f"add to the deps of {stage.name} in dvc.yaml: {missing}"


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.address)
def test_every_dep_is_there(stage: pipeline.Stage) -> None:
    code = [dep for dep in stage.deps if not dep.startswith(("data/", "releases/"))]
    assert [dep for dep in code if not (ROOT / dep).exists()] == []


def test_every_section_of_a_dataset_is_followed_by_a_stage() -> None:
    text = (ROOT / "dvc.yaml").read_text()
    sections = set(params.DatasetParams.model_fields) - set(operation.OPERATIONAL)
    followed = {field for field in sections if f"datasets.${{key}}.{field}" in text}
    # `publish` follows the whole entry: the release says how it was made. An engine leaves no trace.
    assert sections - followed <= {"publish", "engine"}
    assert "- datasets.${key}\n" in text


def _entry_points(stage: pipeline.Stage) -> set[str]:
    """The stage's own file, and what it finds by name: files of the registry, and whole folders."""
    verb = stage.name.split("_")[0]
    by_name = ("tasks/generators/", "tasks/encoding/")
    found = {f"tasks/stages/{verb}.py"} | {
        dep for dep in stage.deps if dep.startswith(by_name) and dep.endswith(".py")
    }
    for folder in ("cleaning", "engines", "evaluation", "sources"):
        if f"tasks/{folder}" in stage.deps:
            files = (ROOT / "tasks" / folder).rglob("*.py")
            found |= {path.relative_to(ROOT).as_posix() for path in files}
    return found


def _closure(files: set[str]) -> set[str]:
    """All files of `tasks` that these files import, directly or not, themselves included."""
    found: set[str] = set()
    waiting = list(files)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(_imports(ROOT / path))
    return found


def _imports(file: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
            modules.update(f"{node.module}.{alias.name}" for alias in node.names)
    candidates = {name.replace(".", "/") + ".py" for name in modules if name.startswith("tasks")}
    return {path for path in candidates if (ROOT / path).is_file()}


def test_packages_hold_no_code() -> None:
    """An `__init__.py` runs in every stage that imports a neighbour; none may hold more than words."""
    for file in (ROOT / "tasks").rglob("__init__.py"):
        body = ast.parse(file.read_text()).body
        assert all(isinstance(node, ast.Expr) for node in body), file


def test_stage_records_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        STAGES[0].name = "other"  # type: ignore[misc]
