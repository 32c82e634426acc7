"""What a colleague does in a browser: log in, find the DAG, trigger it with other settings, watch it.

Needs Chromium (Debian: `apt-get install chromium`). The pictures of the documentation are made by
`docs/screenshots.py`.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tasks.commands.server_settings import Servers, password_of, servers_of
from tasks.commands.servers import request
from tasks.workspace import git
from tests.projects import copy_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RUN_SECONDS = 900

DATASET, ROWS, SEED = "breast_cancer", 200, 7


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("needs Chromium; Debian: apt-get install chromium")
    found = servers_of(copy_project(tmp_path_factory.mktemp("browser") / "project"))
    try:
        command(found, "up")
        yield found
    finally:
        command(found, "down")


def command(servers: Servers, name: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tasks", name],
        cwd=servers.project,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


@pytest.fixture
def page(servers: Servers) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-sync"),
                *("--disable-background-networking", "--disable-component-update"),
            ],
        )
        yield browser.new_page(
            viewport={"width": 1400, "height": 850}, base_url=servers.url("airflow")
        )
        browser.close()


def airflow(servers: Servers, path: str) -> Any:
    url = servers.url("airflow")
    login = {"username": "admin", "password": password_of(servers, "airflow")}
    token = request(f"{url}/auth/token", content=login)["access_token"]
    return request(f"{url}{path}", {"Authorization": f"Bearer {token}"})


def log_in(page: Any, password: str) -> None:
    page.goto("/")
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill(password)
    page.keyboard.press("Enter")


def test_a_wrong_password_does_not_let_in(page: Any) -> None:
    log_in(page, "wrong")
    page.get_by_text("Invalid credentials").first.wait_for()
    assert "/auth/login" in page.url


def test_a_run_with_other_rows_and_seed_is_triggered_and_watched(
    page: Any, servers: Servers
) -> None:
    log_in(page, password_of(servers, "airflow"))
    page.wait_for_url(lambda url: "/auth/login" not in url)

    page.goto("/dags")
    page.get_by_role("link", name=DATASET, exact=True).first.wait_for()
    page.get_by_role("link", name="digits", exact=True).first.wait_for()

    page.goto(f"/dags/{DATASET}")
    trigger(page)
    run = finished_run(servers)

    page.goto(f"/dags/{DATASET}/runs/{run}")
    page.get_by_text("Success").first.wait_for()

    page.get_by_label("Show Graph (Press g)").click()
    page.get_by_text("validate_release").first.wait_for()

    place = f"/api/v2/dags/{DATASET}/dagRuns/{run}/taskInstances/release/xcomEntries/return_value"
    released = airflow(servers, place)["value"]
    params = yaml.safe_load(git(servers.project, "show", f"{released['commit']}:params.yaml"))
    assert params["datasets"][DATASET]["sample"]["rows"] == ROWS
    assert params["datasets"][DATASET]["seed"] == SEED
    listed = command(servers, "releases").splitlines()
    (line,) = [line for line in listed if f" {released['version']} " in line]
    assert line.split()[:5] == [DATASET, released["version"], line.split()[2], str(ROWS), "passed"]

    page.goto(f"/dags/{DATASET}/runs/{run}/plugin/release")
    shown = page.frame_locator("iframe")
    shown.get_by_role("link", name=f"Release {released['version']}").click()
    shown.get_by_role("heading", name="Lineage").wait_for()


def trigger(page: Any) -> None:
    """Fill the form and send it; it opens with what params.yaml says."""
    page.get_by_role("button", name="Trigger Dag").first.click()
    page.locator("input[name=element_rows]").fill(str(ROWS))
    page.locator("input[name=element_seed]").fill(str(SEED))
    page.keyboard.press("Tab")
    page.get_by_test_id("trigger-dag-submit").click()
    page.get_by_test_id("trigger-dag-submit").wait_for(state="detached")


def finished_run(servers: Servers) -> str:
    """Wait until the run has succeeded; its id."""
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        runs = airflow(servers, f"/api/v2/dags/{DATASET}/dagRuns")["dag_runs"]
        by_hand = [run for run in runs if run["run_type"] == "manual"]
        if by_hand and by_hand[0]["state"] in ("success", "failed"):
            run = by_hand[0]
            assert (run["conf"]["rows"], run["conf"]["seed"]) == (ROWS, SEED)
            path = f"/api/v2/dags/{DATASET}/dagRuns/{run['dag_run_id']}/taskInstances"
            states = {t["task_id"]: t["state"] for t in airflow(servers, path)["task_instances"]}
            assert run["state"] == "success", states
            return str(run["dag_run_id"])
        time.sleep(3)
    raise AssertionError(f"the run did not end within {RUN_SECONDS} s")
