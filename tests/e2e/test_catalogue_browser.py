"""The catalogue in Chromium, as part of Airflow: light and dark, by keyboard alone, with a screen reader's eyes."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api_server import ApiServer, api_server
from tests.released_project import OTHER, make_releases
from tests.small_project import DATASET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DESKTOP, PHONE = 1400, 390

HERE = f"/proofmint/datasets/{DATASET}"
PAGES = {
    "catalogue": "/proofmint/",
    "dataset": HERE,
    "release": f"{HERE}/versions/v2",
    "withdrawn": f"{HERE}/versions/v1",
    "not found": f"{HERE}/versions/v9",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("needs Chromium; Debian: apt-get install chromium")
    root = tmp_path_factory.mktemp("catalogue") / "project"
    make_releases(root)
    users = {"admin": "Admin", "viewer": "Viewer", "ann": "Team A", "ben": "Team B"}
    with api_server(root, users) as running:
        yield running


@pytest.fixture(scope="module")
def browser(server: ApiServer) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-sync"),
                *("--disable-background-networking", "--disable-component-update"),
            ],
        )
        yield found
        found.close()


@pytest.fixture
def context(browser: Any, server: ApiServer, request: pytest.FixtureRequest) -> Iterator[Any]:
    scheme = getattr(request, "param", "light")
    found = browser.new_context(
        viewport={"width": DESKTOP, "height": 900}, base_url=server.url, color_scheme=scheme
    )
    cookie = {"name": "_token", "value": server.token("admin"), "url": server.url}
    found.add_cookies([cookie])
    yield found
    found.close()


def problems_of(page: Any) -> list[str]:
    """What a page says to the developer: scripts that were refused, files that did not come."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else 0)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


@pytest.mark.parametrize("context", ["light", "dark"], indirect=True)
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("name", PAGES)
def test_there_are_no_violations_of_wcag_2_1_aa(context: Any, name: str, width: int) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    page = context.new_page()
    problems = problems_of(page)
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(PAGES[name])
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    standards = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
    # The report is a page of its own, with a test of its own (test_report_browser.py).
    found = axe.Axe().run(page, options={"runOnly": standards, "iframes": False})
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert [text for text in problems if "404" not in text] == []


def test_it_is_reached_from_airflows_navigation(context: Any) -> None:
    page = context.new_page()
    page.goto("/")
    page.get_by_role("link", name="Datasets").click()
    frame = page.frame_locator("iframe")
    frame.locator(f"a[href$='/datasets/{DATASET}']").first.click()
    frame.get_by_role("heading", name="Versions").wait_for()
    page.wait_for_url(f"**/plugin/datasets{HERE}")  # an address to send to somebody
    page.goto(page.url)
    frame.get_by_role("heading", name="Versions").wait_for()
    frame.get_by_role("link", name="Open the DAG").click()
    page.wait_for_url(f"**/dags/{DATASET}")


def test_a_team_finds_its_datasets_in_the_navigation(browser: Any, server: ApiServer) -> None:
    context = browser.new_context(base_url=server.url)
    cookie = {"name": "_token", "value": server.token("ben"), "url": server.url}
    context.add_cookies([cookie])
    page = context.new_page()
    page.goto("/")
    page.get_by_role("link", name="Datasets").click()
    frame = page.frame_locator("iframe")
    frame.locator(f"a[href$='/datasets/{OTHER}']").first.wait_for()
    assert frame.locator("article").count() == 1
    context.close()


def test_a_link_leads_through_the_login_to_its_page(browser: Any, server: ApiServer) -> None:
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.goto(PAGES["release"])
    page.locator("input[name=username]").fill("ann")
    page.locator("input[name=password]").fill(server.passwords["ann"])
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{PAGES['release']}")
    page.get_by_role("heading", name="Lineage").wait_for()
    context.close()


def test_the_trigger_form_of_the_dag_opens(context: Any) -> None:
    page = context.new_page()
    page.goto(f"/plugin/datasets{HERE}")
    page.frame_locator("iframe").get_by_role("link", name="Trigger a run…").click()
    page.get_by_test_id("trigger-dag-submit").wait_for()
    assert f"/dags/{DATASET}/" in page.url


def test_colours_follow_airflows_switch_at_once(context: Any) -> None:
    page, airflow = context.new_page(), context.new_page()
    page.goto("/proofmint/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    airflow.goto("/")
    airflow.evaluate("localStorage.setItem('theme', 'dark')")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    airflow.evaluate("localStorage.setItem('theme', 'light')")
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light


def test_everything_is_reached_by_keyboard(context: Any) -> None:
    page = context.new_page()
    page.goto(PAGES["catalogue"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.type(OTHER)
    page.locator(f"a[href$='/datasets/{DATASET}']").first.wait_for(state="hidden")
    assert page.locator("[data-count]").inner_text() == "1"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.href").endswith(f"/datasets/{OTHER}")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) != "none"

    page.goto(PAGES["release"])
    seen = set()
    for _ in range(300):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.outerHTML.slice(0, 300)"))
    focusable = page.locator("main a:visible, main button:visible, main summary:visible")
    missing = [
        text
        for text in focusable.evaluate_all("all => all.map(one => one.outerHTML.slice(0, 300))")
        if text not in seen
    ]
    assert missing == []


def test_identifiers_are_copied(context: Any) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(PAGES["release"])
    button = page.get_by_role("button", name="Copy the tag")
    button.click()
    page.get_by_text("Copied").wait_for(state="attached")
    assert page.evaluate("navigator.clipboard.readText()") == f"{DATASET}@v2"


def test_the_report_is_shown_and_runs_nothing(context: Any) -> None:
    page = context.new_page()
    page.goto(PAGES["release"])
    page.locator("#report").scroll_into_view_if_needed()
    report = page.frame_locator("iframe.report")
    report.get_by_role("heading", level=1).wait_for()
    assert page.locator("iframe.report").get_attribute("sandbox") == ""
    (frame,) = [frame for frame in page.frames if frame.url.endswith("/report")]
    assert frame.evaluate("self.origin") == "null"


def test_pages_work_without_a_script(browser: Any, server: ApiServer) -> None:
    context = browser.new_context(base_url=server.url, java_script_enabled=False)
    cookie = {"name": "_token", "value": server.token("viewer"), "url": server.url}
    context.add_cookies([cookie])
    page = context.new_page()
    page.goto("/proofmint/")
    page.locator(f"a[href$='/datasets/{DATASET}']").first.click()
    page.get_by_role("link", name="v2", exact=True).first.click()
    page.get_by_role("heading", name="Lineage").wait_for()
    page.get_by_role("link", name="Open the report").click()
    page.wait_for_url("**/report")
    context.close()
