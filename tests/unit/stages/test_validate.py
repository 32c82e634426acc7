"""The gates with the committed suites of the demo's datasets: what passes and what is refused."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import TypeAdapter

from tasks.constraints.declared import Constraint
from tasks.errors import DataError, GateRefused, ParamsError
from tasks.metrics import Measurement, write_measurements
from tasks.params import DatasetParams, load_dataset
from tasks.schema import DatasetSchema
from tasks.stages.clean import clean
from tasks.stages.ingest import ingest
from tasks.stages.validate import validate
from tasks.storage import digest, read_json, read_table, write_dataset, write_json
from tasks.workspace import Layout
from tests.conftest import DemoSource

ROOT = Path(__file__).parents[3]
TABULAR = ("shape_error", "trend_error", "c2st_auc", "utility", "dcr_share", "exact_copies")


@pytest.fixture(scope="module")
def demo(demo_sources: DemoSource, tmp_path_factory) -> Path:
    """A root with the raw and the clean data of both datasets."""
    root = tmp_path_factory.mktemp("root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROOFMINT_DEMO", demo_sources.url)
        for name in ("breast_cancer", "digits"):
            params = load_dataset(ROOT / "params.yaml", name)
            if name == "digits":
                source = params.source.model_copy(update={"path": str(demo_sources.digits)})
                source.__pydantic_extra__["path"] = str(demo_sources.digits)
                params = params.model_copy(update={"source": source})
            at = Layout(root, name)
            ingest(at.raw, params, project=root)
            clean(at.raw, at.clean, params)
    return root


@pytest.fixture
def root(demo: Path, tmp_path: Path) -> Path:
    """A root of the test's own."""
    root = tmp_path / "root"
    shutil.copytree(demo, root)
    shutil.copytree(ROOT / "great_expectations", root / "great_expectations")
    return root


def hold(gate: str, root: Path, dataset: str, params: DatasetParams | None = None) -> dict:
    at = Layout(root, dataset)
    params = params or load_dataset(ROOT / "params.yaml", dataset)
    validate(gate, at, params, docs=root / "state" / "docs")
    return read_json(at.verdict(gate))


def refusal(gate: str, root: Path, dataset: str, params: DatasetParams | None = None) -> str:
    with pytest.raises(GateRefused) as caught:
        hold(gate, root, dataset, params)
    assert not Layout(root, dataset).verdict(gate).exists()
    kept = read_json(root / "state" / "refusals" / dataset / f"{gate}.json")
    assert kept["passed"] is False
    assert kept["n_failed"] == sum(not check["passed"] for check in kept["checks"])
    return str(caught.value)


def change(
    folder: Path,
    table: str,
    edit: Callable[[pa.Table], pa.Table],
    **names: str,
) -> None:
    """Rewrite a table as `edit` makes it; `names` renames columns in the schema too."""
    schema = DatasetSchema.load(folder)
    rows = edit(read_table(folder, table))
    main = schema.main
    columns = tuple(
        c.model_copy(update={"name": names.get(c.name, c.name), "nullable": True})
        for c in main.columns
    )
    schema = schema.model_copy(
        update={"tables": (main.model_copy(update={"columns": columns, "primary_key": ()}),)}
    )
    shutil.rmtree(folder)
    folder.mkdir()
    write_dataset(folder, schema, {table: rows.to_batches()})


def scaled(name: str, factor: float) -> Callable[[pa.Table], pa.Table]:
    def edit(rows: pa.Table) -> pa.Table:
        place = rows.column_names.index(name)
        return rows.set_column(place, name, pc.multiply(rows[name], factor))

    return edit


def with_null(name: str) -> Callable[[pa.Table], pa.Table]:
    def edit(rows: pa.Table) -> pa.Table:
        place = rows.column_names.index(name)
        values = [None, *rows[name].to_pylist()[1:]]
        return rows.set_column(place, name, pa.array(values, rows[name].type))

    return edit


@pytest.mark.parametrize("dataset", ["breast_cancer", "digits"])
def test_the_real_data_passes_and_leaves_the_committed_folder_as_it_is(root, dataset):
    before = digest(root / "great_expectations")
    at = Layout(root, dataset)
    for gate in ("raw", "clean"):
        verdict = hold(gate, root, dataset)
        assert verdict["passed"]
        assert (verdict["gate"], verdict["dataset"], verdict["n_failed"]) == (gate, dataset, 0)
        assert verdict["n_expectations"] == len(verdict["checks"])
        assert verdict["suite_sha256"] == digest(at.suite(gate))
    shutil.copytree(at.clean, at.synthetic)
    assert hold("synthetic", root, dataset)["passed"]
    first = digest(at.verdict("raw"))
    hold("raw", root, dataset)
    assert digest(at.verdict("raw")) == first
    assert digest(root / "great_expectations") == before
    index = (root / "state" / "docs" / "site" / "index.html").read_text()
    assert all(f"{dataset}_{gate}" in index for gate in ("raw", "clean", "synthetic"))


@pytest.mark.parametrize(
    ("edit", "names", "message"),
    [
        (with_null("mean_area"), {}, "mean_area: expected: is never missing; found: 1 of 569 rows"),
        (with_null("diagnosis"), {}, "diagnosis: expected: is never missing"),
        (scaled("mean_radius", 0.1), {}, r"mean_radius: expected: is outside [\d.]+ to [\d.]+ no more often .*; found: 569 of 569"),
        (scaled("worst_concavity", 0.1), {}, "worst_concavity: expected: has values distributed as in the rows learned from"),
        (lambda rows: rows.slice(0, 0), {}, "the table: expected: has 340 to 5,600 rows; found: 0"),
        (lambda rows: rows.slice(0, 9), {}, "the table: expected: has 340 to .* found: 9"),
        (
            lambda rows: rows.rename_columns({"mean_area": "area"}),
            {"mean_area": "area"},
            "missing: mean_area; not expected: area",
        ),
        (
            lambda rows: pa.concat_tables([rows, rows]),
            {},
            "id: expected: differs in every row; found: 1,138 of 1,138 rows",
        ),
        (
            lambda rows: rows.set_column(
                31, "diagnosis", pc.utf8_slice_codeunits(rows["diagnosis"], 0, 1)
            ),
            {},
            "diagnosis: expected: is one of: benign, malignant; found: 569 of 569 rows do not",
        ),
    ],
)  # fmt: skip
def test_a_broken_table_is_refused_at_the_raw_gate(root, edit, names, message):
    change(Layout(root, "breast_cancer").raw, "breast_cancer", edit, **names)
    text = refusal("raw", root, "breast_cancer")
    assert re.search(message, text), text
    assert text.startswith("gate raw of breast_cancer refused: ")
    assert "changed on purpose: `proofmint learn breast_cancer`" in text


def test_an_unknown_label_is_refused_and_the_next_good_run_passes(root):
    at = Layout(root, "digits")
    kept = at.raw.with_name("kept")
    shutil.copytree(at.raw, kept)
    edit = lambda rows: rows.set_column(1, "label", pa.array(["x"] * rows.num_rows))  # noqa: E731
    change(at.raw, "images", edit)
    assert "label: expected: takes all of these values and no other" in refusal(
        "raw", root, "digits"
    )
    shutil.rmtree(at.raw)
    kept.rename(at.raw)
    assert hold("raw", root, "digits")["passed"]
    assert not (root / "state" / "refusals" / "digits" / "raw.json").exists()


FAMILIES = {"utility": "utility", "coverage": "diversity", "dcr_share": "privacy"}


def measure(root: Path, values: dict[str, tuple[float | None, float | None]]) -> DatasetParams:
    """Metrics of a release and a threshold for each family; of two of them one that can fail."""
    at = Layout(root, "breast_cancer")
    shutil.copytree(at.clean, at.synthetic, dirs_exist_ok=True)
    at.verdict("synthetic").parent.mkdir(parents=True, exist_ok=True)
    write_json(at.verdict("synthetic"), {"checks": []})
    rows = [
        Measurement(
            name=name,
            label=name,
            family=FAMILIES.get(name, "fidelity"),
            goal="lower",
            value=value,
            reference=reference,
            explanation="e",
            source="s",
            not_applicable=None if value is not None else "there is no target",
        )
        for name, (value, reference) in values.items()
    ]
    for folder, part in ((at.evaluation, rows[:4]), (at.audit, rows[4:])):
        folder.mkdir(parents=True)
        write_measurements(folder, part)
    params = load_dataset(ROOT / "params.yaml", "breast_cancer")
    thresholds = {
        "shape_error": {"at_most": 10.0},
        "utility": {"at_least_reference_minus": 0.1},
        "coverage": {"at_least": 0.0},
        "dcr_share": {"at_least": 0.0},
    }
    return DatasetParams.model_validate(params.model_dump() | {"thresholds": thresholds})


GOOD = dict.fromkeys([*TABULAR, "coverage"], (1.0, 1.0)) | {
    "shape_error": (3.0, 2.0),
    "utility": (0.9, 0.95),
}


def test_a_good_release_passes(root):
    verdict = hold("release", root, "breast_cancer", measure(root, GOOD))
    (utility,) = [check for check in verdict["checks"] if check["target"] == "utility"]
    assert (utility["type"], utility["observed"]) == ("threshold", "0.9 (real holdout: 0.95)")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            GOOD | {"shape_error": (12.5, 2.0)},
            "shape_error: expected: at most 10; found: 12.5 (real holdout: 2)",
        ),
        (
            GOOD | {"utility": (0.8, 0.95)},
            "at least the real holdout's minus 0.1, and what chance explains); found: 0.8",
        ),
        ({k: v for k, v in GOOD.items() if k != "utility"}, "utility: expected: at least"),
        ({k: v for k, v in GOOD.items() if k != "dcr_share"}, "name: expected: takes all of these"),
        (GOOD | {"utility": (None, None)}, "found: it does not apply (there is no target)"),
    ],
)
def test_a_release_below_a_threshold_is_refused(root, values, message):
    text = refusal("release", root, "breast_cancer", measure(root, values))
    assert message in text


def declare(folder: Path, *contents: dict) -> None:
    """Write constraints into the schema of a dataset, as `ingest` does."""
    schema = DatasetSchema.load(folder)
    constraints = TypeAdapter(list[Constraint]).validate_python(list(contents))
    schema = schema.model_copy(update={"tables": (schema.main.constrained(constraints),)})
    (folder / "schema.json").write_text(schema.dumps())


SMALL_CELLS = {"type": "range", "column": "mean_area", "max_value": 2000}


def test_real_data_that_breaks_its_own_constraint_is_refused(root):
    at = Layout(root, "breast_cancer")
    declare(at.raw, SMALL_CELLS, {"type": "inequality", "columns": ["worst_area", "mean_area"]})
    text = refusal("raw", root, "breast_cancer")
    assert re.search(
        r"mean_area: expected: mean_area <= 2000; found: \d of 569 rows do not, for example row \d+"
        r" \(mean_area = 2\d{3}\.0\);",
        text,
    )
    assert re.search(r"worst_area, mean_area: .* <= mean_area; found: 5\d\d of 569 rows do", text)


def test_a_release_whose_constraints_were_not_checked_is_refused(root):
    at = Layout(root, "breast_cancer")
    params = measure(root, GOOD)
    declare(at.synthetic, SMALL_CELLS)
    text = refusal("release", root, "breast_cancer", params)
    assert "mean_area: expected: mean_area <= 2000; found: not checked at the gate of" in text


def test_faults_of_the_suite_are_explained(root):
    suite = Layout(root, "digits").suite("raw")
    text = suite.read_text()
    suite.write_text(text.replace("expect_column_values_to_not_be_null", "expect_magic", 1))
    with pytest.raises(ParamsError, match="'expect_magic' of 'label' cannot be used"):
        hold("raw", root, "digits")
    suite.write_text(text.replace('"kwargs"', '"meta": {"table": "words"}, "kwargs"', 1))
    with pytest.raises(ParamsError, match="is about table 'words'; the data has: images"):
        hold("raw", root, "digits")
    suite.unlink()
    with pytest.raises(DataError, match=r"expected the file .*digits_raw.json"):
        hold("raw", root, "digits")
