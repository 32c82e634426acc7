"""A dataset by months: on a laptop, and backfilled by a real scheduler; only what changed is made anew."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import versions
from tasks.commands import postgres
from tasks.commands.postgres import PostgresServer
from tasks.commands.server_settings import airflow_environment, password_of, servers_of
from tasks.commands.servers import request
from tasks.publishing.verification import verify_release
from tasks.workspace import Layout
from tests.e2e.conftest import LENIENT, Project
from tests.projects import copy_project

DATABASE = "shop_by_months"

TABLE = """
CREATE TABLE sales (
  id serial PRIMARY KEY, ordered_on date, amount numeric(8, 2) NOT NULL, items int NOT NULL,
  channel text NOT NULL
);
SELECT setseed(0.5);
INSERT INTO sales (ordered_on, amount, items, channel)
  SELECT date '2026-01-01' + i % 59, (20 + 60 * random())::numeric(8, 2), 1 + (5 * random())::int,
         (ARRAY['web', 'shop', 'phone'])[1 + floor(3 * random())::int]
  FROM generate_series(1, 800) i;
INSERT INTO sales (ordered_on, amount, items, channel) VALUES (NULL, 31, 1, 'web');
"""
"""Sales of January and February 2026, and one of nobody knows when."""


@dataclass(frozen=True)
class Shop:
    project: Project
    server: PostgresServer

    def execute(self, statement: str) -> None:
        with self.server.connect(DATABASE) as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def versions(self) -> dict[str, list[str]]:
        """Names of the versions by partition."""
        names = versions.datasets(self.project.root)
        return {
            name: [v.name for v in versions.versions(self.project.root, name)] for name in names
        }


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Shop:
    """A project whose one dataset was set up by `add`, and trains for a moment."""
    postgres_server.create_database(DATABASE)
    root = copy_project(tmp_path_factory.mktemp("shop") / "project")
    env = {"PROOFMINT_SHOP": postgres_server.url(DATABASE), "PYTHONPATH": str(root)}
    shop = Shop(Project(root, env), postgres_server)
    shop.execute(TABLE)
    source = ("PROOFMINT_SHOP", "--table", "sales", "--target", "channel")
    added = shop.project.proofmint(
        "add", *source, "--name", "sales", "--partition", "ordered_on:month"
    )
    assert added.status == 0, added.errors
    assert "proofmint run sales --partition KEY" in added.output
    settings = yaml.safe_load((root / "params.yaml").read_text())
    entry = settings["datasets"]["sales"]
    entry |= {"schedule": "@monthly", "generator": "gaussian_copula", "generator_params": {}}
    entry["clean"] = {"drop_columns": ["id"]}
    entry["thresholds"] = LENIENT["breast_cancer"]
    (root / "params.yaml").write_text(yaml.safe_dump({"datasets": {"sales": entry}}))
    suite = Layout(root, "sales").suite("clean")
    suite.write_text(_without(suite, "id"))
    shop.project.git("add", "-A")
    shop.project.git("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "sales")
    return shop


def _without(suite: Path, column: str) -> str:
    """The text of a suite without what it says of a column that cleaning drops."""
    content = json.loads(suite.read_text())
    kept = []
    for expected in content["expectations"]:
        kwargs = expected["kwargs"]
        if "column_list" in kwargs:
            kwargs["column_list"] = [name for name in kwargs["column_list"] if name != column]
        if column not in kwargs.values():
            kept.append(expected)
    return json.dumps({**content, "expectations": kept})


def test_a_range_of_months_on_a_laptop(shop: Shop, tmp_path: Path) -> None:
    for command in ("run", "release"):
        whole = shop.project.proofmint(command, "sales")
        assert whole.status == 2
        assert "--partition KEY" in whole.errors

    ended = shop.project.proofmint("run", "sales", "--from", "2026-02", "--to", "2026-03")
    assert ended.status == 0, ended.output + ended.errors
    assert "sales__2026_02: released v1" in ended.output
    assert "sales__2026_03: skipped, it has no rows" in ended.output
    assert "1 rows have no 'ordered_on' and are in no partition" in ended.output + ended.errors
    assert shop.versions() == {"sales__2026_02": ["v1"]}
    assert verify_release(Layout(shop.project.root, "sales__2026_02").release).verdict_passed
    assert shop.project.git("status", "--porcelain") == ""
    assert len(shop.project.git("worktree", "list").splitlines()) == 1

    # The tag alone makes the release again: the suites of the partition are in its commit.
    version = shop.project.newest("sales__2026_02")
    clone = shop.project.clone(tmp_path / "clone", version, share_cache=True)
    clone.dvc("checkout", "-q")
    status = json.loads(clone.dvc("status", "--json"))
    assert status == {"ingest@sales__2026_02": ["always changed"]}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--partition", "2026-13"), "there is no such month"),
        (("--from", "2026-02"), "both of --from KEY and --to KEY"),
    ],
)
def test_a_wrong_key_is_told_of(shop: Shop, arguments: tuple[str, ...], told: str) -> None:
    ended = shop.project.proofmint("run", "sales", *arguments)
    assert ended.status == 2
    assert told in ended.errors


@dataclass(frozen=True)
class Scheduler:
    """The servers of `up`, spoken to as a person does."""

    root: Path
    env: dict[str, str]

    def airflow(self, *arguments: str) -> None:
        """Run `airflow …` beside the scheduler."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def get(self, path: str) -> Any:
        servers = servers_of(self.root)
        login = {"username": "admin", "password": password_of(servers, "airflow")}
        token = request(f"{servers.url('airflow')}/auth/token", content=login)["access_token"]
        address = f"{servers.url('airflow')}/api/v2/{path}"
        return request(address, {"Authorization": f"Bearer {token}"})

    def backfill(self, *options: str) -> dict[str, str]:
        """Backfill from December to March and wait; states of the newest run of each month."""
        span = ("--from-date", "2025-12-01", "--to-date", "2026-03-31")
        self.airflow("backfill", "create", "--dag-id", "sales", *span, *options)
        deadline = time.monotonic() + 900
        while any(
            b["completed_at"] is None for b in self.get("backfills?dag_id=sales")["backfills"]
        ):
            assert time.monotonic() < deadline, self.get("dags/sales/dagRuns")
            time.sleep(2)
        runs = self.get("dags/sales/dagRuns?order_by=start_date&run_type=backfill")["dag_runs"]
        return {run["partition_key"]: run["state"] for run in runs}


@pytest.fixture
def scheduler(shop: Shop) -> Iterator[Scheduler]:
    """Airflow as `up` starts it, with the DAG switched on."""
    root = shop.project.root
    with pytest.MonkeyPatch.context() as patch:
        shop.project.set_environment(patch)
        try:
            up = shop.project.proofmint("up")
            assert up.status == 0, up.errors
            servers = servers_of(root)
            env = airflow_environment(servers, postgres.start(servers.database))
            started = Scheduler(root, {**os.environ, **env})
            started.airflow("dags", "unpause", "sales")
            yield started
        finally:
            shop.project.proofmint("down")


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_backfill_makes_each_month_and_later_only_what_has_changed(
    shop: Shop, scheduler: Scheduler
) -> None:
    months = dict.fromkeys(("2025-12", "2026-01", "2026-02", "2026-03"), "success")
    assert scheduler.backfill("--max-active-runs", "2") == months
    before = shop.versions()
    assert before.keys() == {"sales__2026_01", "sales__2026_02"}  # the others have no rows
    for name in before:
        assert verify_release(Layout(shop.project.root, name).release).verdict_passed

    shop.execute(
        "INSERT INTO sales (ordered_on, amount, items, channel)"
        " SELECT '2026-01-15', 20 + i, 1 + i % 5, 'web' FROM generate_series(1, 9) i"
    )
    again = scheduler.backfill("--reprocess-behavior", "completed", "--max-active-runs", "4")
    assert again == months
    late = f"v{len(before['sales__2026_01']) + 1}"
    assert shop.versions() == before | {"sales__2026_01": [*before["sales__2026_01"], late]}
    assert len(shop.project.git("worktree", "list").splitlines()) == 1

    events = scheduler.get("assets/events?order_by=-timestamp")["asset_events"]
    assert events[0]["extra"]["version"] == late
    assert events[0]["partition_key"] == "2026-01"
