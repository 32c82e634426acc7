"""Make the pictures of pages that the documentation shows: `python docs/screenshots.py`.

Starts Airflow with a copy of this project, runs a dataset by hand through the browser, twice: the
second run waits for approval. Takes about five minutes. Needs Chromium (Debian: `apt-get install chromium`).
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tasks.commands.server_settings import Servers, password_of, servers_of  # noqa: E402
from tests.airflow_rest import Airflow, wait_for  # noqa: E402
from tests.projects import copy_project  # noqa: E402

PICTURES = ROOT / "docs" / "images"
DATASET, ROWS = "breast_cancer", 200
WIDTH, HEIGHT = 1400, 850
SETTLED_MILLISECONDS = 2_000
"""Airflow's grid fills and its graph moves to its place without telling."""


def main() -> None:
    """Take all pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("expected Chromium; Debian: apt-get install chromium")
    with (
        tempfile.TemporaryDirectory() as folder,
        running(copy_project(Path(folder) / "proofmint")) as servers,
        sync_playwright() as playwright,
    ):
        options = ("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-sync")
        browser = playwright.chromium.launch(executable_path=chromium, args=list(options))
        show_airflow(log_in(browser, servers), servers)
        for scheme in ("light", "dark"):
            show_catalogue(log_in(browser, servers, scheme), scheme)
        show_approval(log_in(browser, servers), servers)
        browser.close()


@contextmanager
def running(project: Path) -> Iterator[Servers]:
    """The servers of a project, until the block ends."""
    environment = {k: v for k, v in os.environ.items() if k != "PROOFMINT_HOME"}
    try:
        proofmint(project, environment, "up")
        yield servers_of(project)
    finally:
        proofmint(project, environment, "down")


def proofmint(project: Path, environment: Mapping[str, str], *command: str) -> None:
    """Run a command of ours."""
    run = [sys.executable, "-m", "tasks", *command]
    subprocess.run(run, cwd=project, env={**environment, "PYTHONPATH": str(project)}, check=True)


def log_in(browser: Browser, servers: Servers, scheme: str = "light") -> Page:
    """A browser window of the administrator."""
    page = browser.new_page(
        viewport={"width": WIDTH, "height": HEIGHT},
        base_url=servers.url("airflow"),
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page.goto("/")
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill(password_of(servers, "airflow"))
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/auth/login" not in url)
    return page


def show_airflow(page: Page, servers: Servers) -> None:
    """The DAGs, the trigger form, a run, its graph and the report that it released."""
    page.goto("/dags")
    page.get_by_role("link", name=DATASET, exact=True).first.wait_for()
    page.get_by_role("link", name="digits", exact=True).first.wait_for()
    picture(page, "dags")

    page.goto(f"/dags/{DATASET}")
    page.get_by_role("button", name="Trigger Dag").first.click()
    page.locator("input[name=element_rows]").fill(str(ROWS))
    page.locator("input[name=element_seed]").fill("7")
    page.keyboard.press("Tab")
    picture(page, "trigger")
    page.get_by_test_id("trigger-dag-submit").click()
    page.get_by_test_id("trigger-dag-submit").wait_for(state="detached")

    airflow = Airflow.of(servers)
    (run,) = airflow.api(f"dags/{DATASET}/dagRuns?run_type=manual")["dag_runs"]
    airflow.end_of(DATASET, run["dag_run_id"])
    page.goto(f"/dags/{DATASET}/runs/{quote(run['dag_run_id'])}")
    page.get_by_text("Success").first.wait_for()
    picture(page, "run")

    page.set_viewport_size({"width": 2000, "height": 560})
    page.get_by_label("Show Graph (Press g)").click()
    page.get_by_label("Collapse Details Panel").click()
    page.get_by_text("validate_release").first.wait_for()
    page.get_by_label("Fit View").click()
    picture(page, "graph")

    page.set_viewport_size({"width": 1100, "height": 1100})
    page.goto((servers.project / "releases" / DATASET / "report.html").as_uri())
    picture(page, "report")


def show_catalogue(page: Page, scheme: str) -> None:
    """The catalogue, a dataset and a release, in one of Airflow's colour schemes."""
    suffix = "" if scheme == "light" else f"-{scheme}"
    frame = page.frame_locator("iframe")
    page.goto("/plugin/datasets")
    title = frame.get_by_role("link", name="Wisconsin breast cancer, synthetic")
    title.wait_for()
    picture(page, f"catalogue{suffix}")
    title.click()
    frame.get_by_role("heading", name="Versions").wait_for()
    picture(page, f"dataset{suffix}")
    frame.get_by_role("link", name="Release v1").click()
    frame.get_by_role("heading", name="Lineage").wait_for()
    picture(page, f"release{suffix}")


def show_approval(page: Page, servers: Servers) -> None:
    """The question that a run asks where a dataset needs approval."""
    params = servers.project / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(
        text.replace(f"  {DATASET}:\n", f"  {DATASET}:\n    approval: required\n"), encoding="utf-8"
    )
    commit = [
        "git",
        "-c",
        "user.name=docs",
        "-c",
        "user.email=docs@localhost",
        "commit",
        "-qam",
        "x",
    ]
    subprocess.run(commit, cwd=servers.project, check=True)
    airflow = Airflow.of(servers)
    wait_for("task approve", lambda: "approve" in task_ids(airflow))
    run_id = airflow.trigger(DATASET, rows=ROWS, seed=8)
    airflow.wait_for_task(DATASET, run_id, "approve", "awaiting_input")
    page.set_viewport_size({"width": WIDTH, "height": 1100})
    page.goto(f"/dags/{DATASET}/runs/{quote(run_id)}/tasks/approve/required_actions")
    page.get_by_role("button", name="Approve").first.wait_for()
    picture(page, "approval")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto(f"/dags/{DATASET}/runs/{quote(run_id)}/plugin/release")
    page.frame_locator("iframe").get_by_role("heading", name="What it would release").wait_for()
    picture(page, "candidate")


def task_ids(airflow: Airflow) -> set[str]:
    """The tasks of the DAG, as Airflow has read it last."""
    return {task["task_id"] for task in airflow.api(f"dags/{DATASET}/tasks")["tasks"]}


def picture(page: Page, name: str) -> None:
    """Write a picture with a palette, which is a third of the size and looks the same."""
    page.wait_for_timeout(SETTLED_MILLISECONDS)
    with Image.open(io.BytesIO(page.screenshot())) as image:
        small = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
        small.save(PICTURES / f"{name}.png", optimize=True)
    print(PICTURES / f"{name}.png")  # noqa: T201


if __name__ == "__main__":
    main()
