"""Policies that hold for every DAG, and what parsing them costs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import pipeline
from tasks.pipeline import MAINTENANCE
from tasks.worktrees import OVERRIDES

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "pandas", "numpy", "great_expectations", "mlflow", "dvc")
FRAME = {"open_worktree", "release", "close_worktree"}

READ_DAGS = """
import json, runpy, sys, time
from pathlib import Path
root = Path(sys.argv[1])
sys.path[:0] = [str(root / "plugins"), str(root)]
import airflow.sdk, airflow.sdk.exceptions
known, seconds = set(sys.modules), []
for _ in range(3):
    started = time.process_time()
    found = runpy.run_path(str(root / "dags" / "dataset_factory.py"))
    seconds.append(time.process_time() - started)
dags = [value for value in found.values() if isinstance(value, airflow.sdk.DAG)]
added = sorted(set(sys.modules) - known)

def accepted(dag, name, value):
    try:
        dag.params.get_param(name).resolve(value)
    except Exception as error:
        return type(error).__name__
    return True

def described(dag):
    tasks = dag.task_dict
    return {
        "dag_id": dag.dag_id,
        "tags": sorted(dag.tags),
        "doc": dag.doc_md,
        "catchup": dag.catchup,
        "schedule": dag.schedule if isinstance(dag.schedule, str) else None,
        "max_active_runs": dag.max_active_runs,
        "edges": sorted((a.task_id, b) for a in tasks.values() for b in a.downstream_task_ids),
        "setups": [t.task_id for t in tasks.values() if t.is_setup],
        "teardowns": [t.task_id for t in tasks.values() if t.is_teardown],
        "outlets": {
            t.task_id: [(o.name, o.uri) for o in t.outlets] for t in tasks.values() if t.outlets
        },
        "connections": {
            t.task_id: t.connection for t in tasks.values() if getattr(t, "connection", None)
        },
        "tasks": {
            t.task_id: {
                "owner": t.owner,
                "pool": t.pool,
                "retries": t.retries,
                "backoff": t.retry_exponential_backoff,
                "timeout": t.execution_timeout and t.execution_timeout.total_seconds(),
            }
            for t in tasks.values()
        },
        "params": {name: dag.params.get_param(name).schema for name in dag.params},
        "values": dag.params.dump(),
        "accepted": {
            name: [accepted(dag, name, value) for value in values]
            for name, values in json.loads(sys.argv[2]).items()
        },
    }

print(json.dumps({
    "seconds": min(seconds), "added": added, "loaded": sorted(sys.modules), "dags": [described(dag) for dag in dags]
}))
"""

WRONG: dict[str, list[Any]] = {
    "rows": [0, -5, 1.5, "many"],
    "seed": [-1, "seven"],
    "generator": ["no_such_generator", 3],
    "generator_params": [[], "x"],
    "epochs": [0, 10**9],
    "batch_size": [0, "big"],
    "learning_rate": [0, 2, "fast"],
}


def read_dags(root: Path, home: Path, values: dict[str, list[Any]] | None = None) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", READ_DAGS, str(root), json.dumps(values or {})],
        env={**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return read


@pytest.fixture(scope="module")
def dags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    read = read_dags(ROOT, tmp_path_factory.mktemp("airflow"), WRONG)
    return {dag["dag_id"]: dag for dag in read["dags"]}


def test_every_dataset_has_a_dag(dags: dict[str, dict[str, Any]]) -> None:
    assert dags.keys() == pipeline.load(ROOT).keys()


def test_the_edges_are_those_of_dvc_yaml(dags: dict[str, dict[str, Any]]) -> None:
    for name, dataset in pipeline.load(ROOT).items():
        between = {tuple(e) for e in dags[name]["edges"] if not FRAME & set(e)}
        assert between == dataset.edges()


def test_every_stage_is_between_setup_and_release(dags: dict[str, dict[str, Any]]) -> None:
    for dag in dags.values():
        edges = {tuple(edge) for edge in dag["edges"]}
        assert dag["setups"] == ["open_worktree"]
        assert dag["teardowns"] == ["close_worktree"]
        assert {("open_worktree", "ingest"), ("publish", "release")} <= edges
        assert {("release", "close_worktree"), ("open_worktree", "close_worktree")} <= edges
        stages = dag["tasks"].keys() - FRAME
        assert stages <= {before for before, _ in edges}
        assert stages <= {after for _, after in edges}


def test_policies(dags: dict[str, dict[str, Any]]) -> None:
    for name, dataset in pipeline.load(ROOT).items():
        dag = dags[name]
        assert dag["schedule"] == dataset.params["schedule"]
        assert dag["catchup"] is False
        assert dag["max_active_runs"] > 1
        assert {dataset.params["kind"], dataset.params["generator"]} <= set(dag["tags"])
        assert dataset.params["publish"]["title"] in dag["doc"]
        assert all(stage.description in dag["doc"] for stage in dataset.stages)
        assert dag["outlets"] == {"release": [[name, f"x-proofmint://releases/{name}"]]}
        for task in dag["tasks"].values():
            assert task["owner"] == "proofmint"
            assert task["backoff"]
            assert task["timeout"]


def test_what_dvc_yaml_says_for_airflow_reaches_the_tasks(dags: dict[str, dict[str, Any]]) -> None:
    for name, dataset in pipeline.load(ROOT).items():
        for stage in dataset.stages:
            task, hints = dags[name]["tasks"][stage.name], stage.airflow
            assert task["retries"] == hints["retries"]
            assert task["timeout"] == 60 * hints["timeout_minutes"]
            assert task["pool"] == hints.get("pool", "default_pool")
        assert dags[name]["tasks"]["train"]["pool"] == "gpu"


def test_only_the_stage_that_reads_the_source_gets_its_secret(
    dags: dict[str, dict[str, Any]],
) -> None:
    assert dags["breast_cancer"]["connections"] == {"ingest": "PROOFMINT_DEMO"}
    assert dags["digits"]["connections"] == {}


def test_the_form_offers_what_a_run_may_set(dags: dict[str, dict[str, Any]]) -> None:
    for name, dag in dags.items():
        assert dag["params"].keys() == OVERRIDES.keys()
        assert set(dag["values"].values()) == {None}  # as params.yaml says
        kind = pipeline.load(ROOT)[name].params["kind"]
        files = {path.stem for path in (ROOT / "tasks/generators" / kind).glob("[!_]*.py")}
        assert set(dag["params"]["generator"]["enum"]) == {None, *files} - {"base"}


def test_the_form_refuses_wrong_values(dags: dict[str, dict[str, Any]]) -> None:
    for dag in dags.values():
        for name, answers in dag["accepted"].items():
            assert set(answers) == {"ParamValidationError"}, name


def test_the_form_takes_good_values(tmp_path: Path) -> None:
    good: dict[str, list[Any]] = {
        "rows": [1, None],
        "seed": [0, 7],
        "generator_params": [{}, {"layers": 2}],
        "learning_rate": [0.001],
    }
    for dag in read_dags(ROOT, tmp_path, good)["dags"]:
        assert all(answer is True for answers in dag["accepted"].values() for answer in answers)


MONTHLY = {"column": "day", "by": "month"}
WRONG_SETTINGS: dict[str, dict[str, Any]] = {
    "wrong_alerts": {"alerts": "ops@example.org"},
    "wrong_deadline": {"alerts": {"deadline_minutes": "soon"}},
    "endless_deadline": {"alerts": {"deadline_minutes": 10**12}},
    "deadline_beyond_all": {"alerts": {"deadline_minutes": 10**13}},
    "wrong_access": {"access": ["Op"]},
    "wrong_targets": {"publish": {"title": "T", "to": "x"}},
    "wrong_title": {"publish": {"title": 7}},
    "title_of_no_letters": {"publish": {"title": "T\0"}},
    "wrong_by": {"partition": {"column": "day", "by": ["month"]}},
    "wrong_seed": {"seed": None},
    "long_generator": {"generator": "g" * 101},
    "no_schedule": {"schedule": "never"},
    "minute_61": {"schedule": "61 * * * *"},
    "minute_61_of_months": {"schedule": "61 * * * *", "partition": MONTHLY},
    "listed_schedule": {"schedule": []},
}


def test_settings_of_operation_are_wired_and_a_wrong_one_stops_no_other_dag(tmp_path: Path) -> None:
    for name in ("dags", "plugins", "tasks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    entry = next(iter(yaml.safe_load((ROOT / "params.yaml").read_text())["datasets"].values()))
    settings: dict[Any, dict[str, Any]] = {
        **WRONG_SETTINGS,
        **{
            key: {} for key in (2024, None, "as-it-is", "as is", MAINTENANCE)
        },  # names that are none
        "as_it_is": {},
        "of": {},  # `dag_of` is a name of the module
        "approved": {"approval": "required", "alerts": {"deadline_minutes": 60}},
    }
    datasets = {name: {**entry, **own} for name, own in settings.items()}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"datasets": datasets}, sort_keys=False))
    read = read_dags(tmp_path, tmp_path / "airflow")["dags"]
    dags = {dag["dag_id"]: dag for dag in read}
    assert len(read) == len(dags) == len(settings)
    right = {name for name, dag in dags.items() if "broken" not in dag["tags"]}
    assert MAINTENANCE not in dags
    assert right == {"as_it_is", "of", "approved"}
    assert WRONG_SETTINGS.keys() < dags.keys()
    assert "schedule, found 'never'" in dags["no_schedule"]["doc"]

    edges = {tuple(edge) for edge in dags["approved"]["edges"]}
    assert {("publish", "approve"), ("approve", "release")} <= edges
    assert ("publish", "release") not in edges
    assert dags["approved"]["tasks"]["approve"]["timeout"]  # of asking, not of waiting
    assert "approve" not in dags["as_it_is"]["tasks"]
    for name in ("wrong_alerts", "wrong_deadline", "wrong_access"):
        assert f"proofmint check {name}" in dags[name]["doc"]


def test_fifty_datasets_parse_in_under_a_second_and_import_nothing_heavy(tmp_path: Path) -> None:
    for name in ("dags", "plugins", "tasks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    entries = list(yaml.safe_load((ROOT / "params.yaml").read_text())["datasets"].values())
    many = {f"dataset_{i:02}": entries[i % len(entries)] for i in range(50)}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"datasets": many}, sort_keys=False))
    read = read_dags(tmp_path, tmp_path / "airflow")
    assert len(read["dags"]) == 50
    assert read["seconds"] < 1
    assert not set(read["loaded"]) & set(HEAVY)
    ours = {module for module in read["added"] if module.startswith("tasks")}
    assert ours == {"tasks", "tasks.partitions", "tasks.pipeline"}
