import json
from pathlib import Path

import pytest

from tasks.commands.server_settings import observability


def test_lineage_goes_to_a_file_of_the_owner_unless_somewhere_else_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "AIRFLOW__OPENLINEAGE__TRANSPORT"
    monkeypatch.delenv(name, raising=False)
    transport = json.loads(observability(tmp_path)[name])
    place = Path(transport["log_file_path"])
    assert place.parent.is_dir()
    assert place.is_relative_to(tmp_path)
    elsewhere = '{"type": "http", "url": "https://marquez.example.org"}'
    monkeypatch.setenv(name, elsewhere)
    assert observability(tmp_path)[name] == elsewhere


def test_metrics_and_json_logs_are_what_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("AIRFLOW__METRICS__STATSD_ON", "AIRFLOW__LOGGING__JSON_LOGS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    assert not observability(tmp_path).keys() & set(names)
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "another Airflow's")
    for name in names:
        monkeypatch.setenv(name, "true")
    found = observability(tmp_path)
    assert {found[name] for name in names} == {"true"}
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in found
