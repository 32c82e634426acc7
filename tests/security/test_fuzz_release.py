"""What a source, a row or a settings file may call things is text in every file of a release.

Report, card, Croissant, data package: whatever a column, a category or a title is called, the
structure of each document is that of harmless names, and every name comes back as it was.
"""

import json
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tasks.metrics import write_measurements
from tasks.params import PublishParams
from tasks.publishing.manifest import Manifest, faults
from tasks.publishing.tables import slugs_of
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.stages.publish import publish
from tasks.storage import read_json, read_table, write_dataset
from tests import releases
from tests.security.hostile import ATTACKS, texts

COLUMN, CATEGORY, TITLE = "a column", "a category", "a title"


class Structure(HTMLParser):
    """Tags with the names of their attributes, and where anything leads to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.leads: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "title":  # what is too long for a picture is there as its tooltip
            self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.leads |= {value or "" for name, value in attrs if name in ("href", "src", "action")}


def published(root: Path, column: str, category: str, title: str) -> Path:
    """A release whose names are these."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(releases, "HOSTILE", column)
        case = releases.tabular_inputs(root, 40)
    schema = DatasetSchema.load(case.at.synthetic)
    rows = read_table(case.at.synthetic, "patients")
    ill = pa.array([category if value == "no" else value for value in rows["ill"].to_pylist()])
    rows = rows.set_column(rows.schema.get_field_index("ill"), rows.schema.field("ill"), ill)
    for old in (case.at.synthetic / "patients").iterdir():
        old.unlink()
    (case.at.synthetic / "patients").rmdir()
    write_dataset(case.at.synthetic, schema, {"patients": rows.to_batches()})
    names = [c.name for c in schema.main.columns if c.name != "note"]
    plots = releases._evaluation_plots(names)
    plots["columns"][-1]["categories"] = [category, "yes"]
    plots["rare_groups"][0]["group"] = f"{column} = {category}"
    write_measurements(case.at.evaluation, releases.MEASUREMENTS, plots=plots)
    about = PublishParams(
        title=title,
        description=title,
        license="CC-BY-4.0",
        source_citation=title,
        creator=title,
        url=title,
    )
    publish(case.at, case.params.model_copy(update={"publish": about}))
    return case.at.release


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published(tmp_path_factory.mktemp("harmless"), COLUMN, CATEGORY, TITLE)


def shape(release: Path) -> list[str]:
    """The structure of a card, as a reader's Markdown has it."""
    body = (release / "README.md").read_text().split("\n---\n", 1)[1]
    found = []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(body):
        children = {child.type for child in token.children or ()} - {
            "text",
            "softbreak",
            "code_inline",
        }
        found += [token.type, *sorted(children)]
    return found


@settings(max_examples=12)
@given(
    column=texts.filter(lambda text: text.strip() and text not in ("age", "sex", "note", "ill")),
    category=texts,
    title=texts.filter(lambda text: text.strip() and "\0" not in text),
)
@example("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)")
@example("a|b|c", "---", "---\nlicense: mit\n---\n# heading")
@example("../../../etc/passwd", "[click](javascript:alert(1))", "](javascript:alert(1))")
@example("{{ 7 * 7 }}", "{% raw %}", "```\n<script>alert(1)</script>")
@example("!!python/object/apply:os.system ['x']", "a: b\n- c", "${item.seed}\n<!-- ")
def test_names_are_text(
    harmless: Path,
    tmp_path_factory: pytest.TempPathFactory,
    column: str,
    category: str,
    title: str,
) -> None:
    release = published(tmp_path_factory.mktemp("hostile"), column, category, title)
    page, usual = (Structure((r / "report.html").read_text()) for r in (release, harmless))
    assert page.tags == usual.tags
    assert not any(name.startswith("on") for _, names in page.tags for name in names)
    assert {
        lead for lead in page.leads - usual.leads if not lead.startswith("data:image/")
    } == set()
    assert shape(release) == shape(harmless)

    header = yaml.safe_load((release / "README.md").read_text().split("\n---\n", 1)[0][4:])
    told = [feature["name"] for feature in header["dataset_info"]["features"]]
    assert column in told
    assert (header["pretty_name"], header["license"]) == (title, "cc-by-4.0")
    package = read_json(release / "datapackage.json")
    assert column in [field["name"] for field in package["resources"][0]["schema"]["fields"]]
    assert package["title"] == title
    json.loads((release / "croissant.json").read_text())

    paths = sorted(path.relative_to(release).as_posix() for path in release.rglob("*"))
    assert paths == sorted(path.relative_to(harmless).as_posix() for path in harmless.rglob("*"))
    assert faults(release, Manifest.load(release)) == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_table_s_name_is_a_folder_s_name_or_refused(attack: str, tmp_path: Path) -> None:
    (slug,) = slugs_of([attack])
    assert (tmp_path / slug).parent == tmp_path
    assert slug.replace("_", "").replace("-", "").isalnum() or set(slug) <= {"_", "-"}
    try:
        name = TableSchema(
            name=attack, columns=(Column(name="a", type="int64", meaning="numeric"),)
        ).name
    except ValueError:
        return
    (tmp_path / name).mkdir()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@given(st.lists(texts, min_size=1, max_size=5))
def test_names_in_paths_are_different_and_safe(names: list[str]) -> None:
    slugs = slugs_of(names)
    assert len({slug.lower() for slug in slugs}) == len(names)
    assert all(slug and slug.isascii() and not set(slug) & set("./\\:*?\0") for slug in slugs)
