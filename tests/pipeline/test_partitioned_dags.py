"""The DAG of a partitioned dataset: which partitions its schedule and a backfill have."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.projects import copy_project

READ_DAGS = """
import json, runpy, sys
from pathlib import Path
root = Path(sys.argv[1])
sys.path[:0] = [str(root / "plugins"), str(root)]
import pendulum
from airflow.serialization.serialized_objects import DagSerialization
found = runpy.run_path(str(root / "dags" / "dataset_factory.py"))

def accepted(dag, value):
    try:
        dag.params.get_param("partition").resolve(value)
    except Exception:
        return False
    return True

def described(dag):
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    if not timetable.partitioned:
        return {"partitioned": False, "params": list(dag.params), "tags": sorted(dag.tags)}
    first, last, now = (pendulum.parse(text) for text in ("2026-01-01", "2026-03-10", "2026-04-02"))
    # What the scheduler makes of the last of its times before now.
    _, scheduled = timetable._get_partition_info(timetable._align_to_prev(now))
    infos = timetable.iter_partition_dagrun_infos(earliest=first, latest=last)
    return {
        "partitioned": True,
        "scheduled": scheduled,
        "keys": [info.partition_key for info in infos],
        "starts": [info.partition_date.isoformat() for info in
                   timetable.iter_partition_dagrun_infos(earliest=first, latest=last)],
        "accepted": [value for value in json.loads(sys.argv[2]) if accepted(dag, value)],
    }

print(json.dumps({d.dag_id: described(d) for d in found.values() if type(d).__name__ == "DAG"}))
"""

BY = {
    "daily": ("@daily", {"by": "day", "timezone": "Europe/Berlin"}),
    "weekly": ("0 3 * * 1", {"by": "week"}),
    "monthly": ("@monthly", {"by": "month"}),
    "yearly": ("@yearly", {"by": "year"}),
    "unscheduled": (None, {"by": "month"}),
    "wrong": ("@monthly", {"by": "fortnight"}),
    "plain": ("@monthly", None),
}
KEYS = [None, "2026-03-07", "2026-W10", "2026-03", "2026", "", "march", "../..", 2026]


@pytest.fixture(scope="module")
def dags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    root = copy_project(tmp_path_factory.mktemp("project"))
    content = yaml.safe_load((root / "params.yaml").read_text())
    entry = content["datasets"]["breast_cancer"]
    content["datasets"] = {
        name: {
            **entry,
            "schedule": schedule,
            "partition": given and {"column": "day", **given},
        }
        for name, (schedule, given) in BY.items()
    }
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    done = subprocess.run(
        [sys.executable, "-c", READ_DAGS, str(root), json.dumps(KEYS)],
        env={
            **os.environ,
            "AIRFLOW_HOME": str(root / "home"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return read


@pytest.mark.parametrize(
    ("name", "scheduled", "keys", "n_keys"),
    [
        ("daily", "2026-04-01", ("2026-01-01", "2026-03-10"), 69),
        ("weekly", "2026-W13", ("2026-W02", "2026-W11"), 10),
        ("monthly", "2026-03", ("2026-01", "2026-03"), 3),
        ("yearly", "2025", ("2026", "2026"), 1),
    ],
)
def test_a_schedule_makes_what_has_ended_and_a_backfill_what_is_asked_for(
    dags: dict[str, dict[str, Any]], name: str, scheduled: str, keys: tuple[str, str], n_keys: int
) -> None:
    dag = dags[name]
    assert dag["partitioned"]
    assert dag["scheduled"] == scheduled
    assert (dag["keys"][0], dag["keys"][-1]) == keys
    assert len(set(dag["keys"])) == len(dag["keys"]) == n_keys


def test_days_begin_in_the_time_zone(dags: dict[str, dict[str, Any]]) -> None:
    assert dags["daily"]["starts"][0] == "2025-12-31T23:00:00+00:00"


@pytest.mark.parametrize(
    ("name", "key"),
    [("daily", "2026-03-07"), ("weekly", "2026-W10"), ("monthly", "2026-03"), ("yearly", "2026")],
)
def test_the_form_takes_keys_of_its_kind_alone(
    dags: dict[str, dict[str, Any]], name: str, key: str
) -> None:
    assert dags[name]["accepted"] == [None, key]


def test_without_a_schedule_or_without_partitions_a_dag_is_as_ever(
    dags: dict[str, dict[str, Any]],
) -> None:
    assert not dags["unscheduled"]["partitioned"]
    assert "partition" in dags["unscheduled"]["params"]
    assert not dags["plain"]["partitioned"]
    assert "partition" not in dags["plain"]["params"]
    assert "broken" in dags["wrong"]["tags"]
