"""The report in a real browser: accessible, quick, and whole on a screen, a phone and on paper.

Needs Chromium (Debian: `apt-get install chromium`).
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.metrics import judged
from tasks.publishing.page import Page, page_of, page_of_files
from tasks.publishing.report import report
from tasks.publishing.samples import BesideRow, ClosestImage, data_uri
from tasks.schema import Column
from tasks.storage import read_table
from tests.releases import Case, evidence_of, image_inputs, tabular_inputs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DESKTOP, PHONE = 1280, 390
N_WIDE = 200
MAX_BYTES = 2_000_000
MAX_LOAD_MILLISECONDS = 3_000
"""The bar is one second on an idle machine; a busy one gets air, a slow page does not."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("needs Chromium; Debian: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-sync"),
                *("--disable-background-networking", "--disable-component-update"),
            ],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports of a table, of images, of three files that were refused, and of a very wide table."""
    root = tmp_path_factory.mktemp("reports")
    patients = tabular_inputs(root / "table", n_rows=40)
    table = page_of(evidence_of(patients, root / "release"), root / "release")
    pictures = evidence_of(image_inputs(root / "images"), root / "of images")
    made = {
        "table": table,
        "images": page_of(pictures, root / "of images"),
        "sets of images": _with_real_images(table),
        "files": _refused(patients, table),
        "wide": _wide(table),
    }
    places = {name: root / f"{name}.html" for name in made}
    for name, page in made.items():
        places[name].write_text(report(page), encoding="utf-8")
    return places


def _refused(case: Case, like: Page) -> Page:
    measurements = [r.measurement for r in like.results]
    too_strict = judged(measurements, {m.name: None for m in measurements})
    failing = tuple(replace(r, threshold=like.results[0].threshold) for r in too_strict[2:4])
    return page_of_files(
        title="C.csv",
        description="Compared with A.csv (training) and B.csv (holdout).",
        schema=like.schema,
        n_rows={"train": 300, "holdout": 100, "synthetic": 40},
        results=(*too_strict[:2], *failing),
        plots=like.plots,
        verdict={"passed": False, "checks": []},
        synthetic=read_table(case.at.synthetic, "patients"),
    )


def _with_real_images(like: Page) -> Page:
    """What `proofmint evaluate` shows of images."""
    some = tuple(data_uri(np.full((8, 8, 1), level, np.uint8)) for level in range(0, 250, 25))
    return replace(
        like,
        rows=[],
        beside=[BesideRow("cat", some, some[:4]), BesideRow("dog", some, ())],
        closest=[ClosestImage(one, some[0], 0.1 * i) for i, one in enumerate(some)],
    )


def _wide(like: Page) -> Page:
    """Two hundred columns, the most that are drawn, and pairs of the sixty that differ most."""
    names = [f"measurement number {i}" for i in range(N_WIDE)]
    column = next(c for c in like.plots["columns"] if "edges" in c)
    matrix = [[(i * j % 17) / 17 for j in range(60)] for i in range(60)]
    columns = tuple(Column(name=name, type="double", meaning="numeric") for name in names)
    table = like.schema.main.model_copy(update={"columns": columns})
    schema = like.schema.model_copy(update={"tables": (table,), "target": names[0]})
    pairs = {"columns": names[:60], "real": matrix, "synthetic": matrix, "error": matrix}
    plots = {
        **like.plots,
        "columns": [{**column, "name": name, "error": i / 9} for i, name in enumerate(names)],
        "pairs": pairs,
    }
    return replace(like, schema=schema, plots=plots)


NAMES = ("table", "images", "sets of images", "files", "wide")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("name", NAMES)
def test_there_are_no_violations_of_wcag_2_1_aa(
    browser: Any, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.goto(pages[name].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    standards = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
    found = axe.Axe().run(page, options={"runOnly": standards})
    assert found.violations_count == 0, found.generate_report()
    page.close()


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_the_screen_and_loads_at_once(
    browser: Any, pages: dict[str, Path], name: str
) -> None:
    assert pages[name].stat().st_size < MAX_BYTES
    for width in (DESKTOP, PHONE):
        page = browser.new_page(viewport={"width": width, "height": 844})
        asked: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto(pages[name].as_uri())
        loading = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        assert loading < MAX_LOAD_MILLISECONDS
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        page.close()


def test_the_first_screen_of_a_phone_holds_the_first_answers(
    browser: Any, pages: dict[str, Path]
) -> None:
    page = browser.new_page(viewport={"width": PHONE, "height": 844})
    page.goto(pages["table"].as_uri())
    places = [box["y"] + box["height"] for box in map(_box, page.locator(".answer").all())]
    assert len(places) == 3
    assert places[1] < 844
    page.set_viewport_size({"width": DESKTOP, "height": 900})
    assert all(_box(answer)["y"] < 450 for answer in page.locator(".answer").all())
    page.close()


def _box(place: Any) -> dict[str, float]:
    box: dict[str, float] = place.bounding_box()
    return box


def test_a_column_opens_without_a_script(browser: Any, pages: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["table"].as_uri())
    column = page.locator("details.column").first
    figures = column.locator(".more")
    assert not figures.is_visible()
    column.locator("summary").click()
    assert figures.is_visible()
    context.close()


def test_on_paper_nothing_is_folded_away(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page(viewport={"width": DESKTOP, "height": 900})
    page.goto(pages["table"].as_uri())
    page.emulate_media(media="print")
    assert page.locator(".gate table").first.is_visible()
    assert not page.locator("nav").is_visible()
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    page.close()
