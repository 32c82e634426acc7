import json
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.lineage import Assertion, Field, of_stage, source_nodes
from tasks.workspace import git

PIPELINE = """
stages:
  ingest:
    foreach: ${datasets}
    do: {cmd: x, deps: [tasks/a.py], outs: ["data/${key}/raw"]}
  validate_raw:
    foreach: ${datasets}
    do: {cmd: x, deps: ["data/${key}/raw"], outs: ["data/${key}/gates/raw.json"]}
"""

LOCK = """
schema: '2.0'
stages:
  ingest@shop:
    cmd: x
    outs:
    - {path: data/shop/raw, md5: abc.dir, size: 120, nfiles: 3}
"""


@pytest.mark.parametrize(
    ("source", "address", "names"),
    [
        (
            {"type": "sql", "tables": ["orders", "sales.lines"]},
            "postgres://anna:secret@db.example/shop",
            [
                ("postgres://db.example:5432", "shop.public.orders"),
                ("postgres://db.example:5432", "shop.sales.lines"),
            ],
        ),
        (
            {"type": "sql", "query": "SELECT 'anna' FROM orders"},
            "mysql+pymysql://u:p@db:3307/shop",
            [("mysql://db:3307", "shop.query:sales")],
        ),
        (
            {"type": "sql", "table": "orders"},
            '{"conn_type": "postgresql", "host": "db", "password": "secret", "schema": "shop"}',
            [("postgres://db:5432", "shop.public.orders")],
        ),
        ({"type": "sql", "table": "orders"}, None, [("ours", "sql:sales")]),
        (
            {"type": "kafka", "topic": "clicks"},
            "kafka://u:p@one:9093,two:9092?x=y",
            [("kafka://one:9093", "clicks")],
        ),
        (
            {"type": "files", "path": "s3://lake/orders/*.csv"},
            None,
            [("s3://lake", "orders/*.csv")],
        ),
        (
            {"type": "files", "path": "https://u:p@host:8443/a.csv?sig=secret"},
            None,
            [("https://host:8443", "a.csv")],
        ),
        ({"type": "files", "path": "orders/a.csv"}, None, [("file", "/project/orders/a.csv")]),
        ({"type": "my_lab"}, None, [("ours", "my_lab:sales")]),
    ],
)
def test_sources_are_named_as_openlineage_names_them_without_secrets(
    source: dict[str, Any], address: str | None, names: list[tuple[str, str]]
) -> None:
    found = source_nodes(source, "sales", "ours", address, project=Path("/project"))
    assert [(node.namespace, node.name) for node in found] == names


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A worktree in which the raw data was pulled."""
    entry = {
        "kind": "tabular",
        "generator": "ctgan",
        "seed": 0,
        **{name: {} for name in ("generator_params", "train", "sample", "publish")},
        "source": {"type": "files", "path": "orders.csv"},
    }
    (tmp_path / "params.yaml").write_text(json.dumps({"datasets": {"shop": entry}}))
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "dvc.lock").write_text(LOCK)
    raw = tmp_path / "data" / "shop" / "raw"
    raw.mkdir(parents=True)
    columns = [
        {"name": "email", "type": "string", "personal": True},
        {"name": "amount", "type": "double"},
    ]
    (raw / "schema.json").write_text(
        json.dumps({"tables": [{"name": "orders", "columns": columns}]})
    )
    (raw / "report.json").write_text(json.dumps({"rows": {"orders": 7}}))
    git(tmp_path, "init", "-q")
    identity = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    git(tmp_path, *identity, "commit", "-q", "--allow-empty", "-m", "x")
    git(tmp_path, "remote", "add", "origin", "https://anna:secret@git.example/shop.git")
    return tmp_path


def test_what_a_stage_made_has_its_columns_rows_size_and_digest(root: Path) -> None:
    found = of_stage(root, "shop", "ingest", "ours")
    (made,) = found.outputs
    assert (made.version, made.n_rows, made.n_bytes, made.n_files) == ("abc.dir", 7, 120, 3)
    assert made.fields == (Field("email", "string", personal=True), Field("amount", "double"))
    assert found.commit == git(root, "rev-parse", "HEAD")
    assert found.repository == "https://git.example/shop.git"


def test_a_gate_that_refused_is_told_with_its_checks_and_without_what_it_found(
    root: Path, tmp_path: Path
) -> None:
    checks = [
        {"type": "not_null", "target": "email", "passed": False, "observed": "anna@example.org"}
    ]
    refusals = tmp_path / "refusals"
    (refusals / "shop").mkdir(parents=True)
    (refusals / "shop" / "raw.json").write_text(json.dumps({"checks": checks}))
    found = of_stage(root, "shop", "validate_raw", "ours", refusals=refusals)
    (judged,) = found.inputs
    assert judged.assertions == (Assertion("not_null", "email", passed=False),)
    assert judged.version == "abc.dir"
    assert found.outputs == ()
    assert "anna" not in repr(found)
    later = of_stage(
        root, "shop", "validate_raw", "ours", refusals=refusals, since=time.time() + 60
    )
    assert later.inputs[0].assertions == ()
