"""The two stages that measure: files in, files out, the same bytes every time."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import DataError, ParamsError
from tasks.metrics import read_measurements
from tasks.splits.record import BalanceRecord, ClassRecord
from tasks.stages.audit import audit
from tasks.stages.evaluate import evaluate
from tasks.storage import digest, read_json
from tests.comparisons import breast_cancer, compare, digits, params, save, schema_of
from tests.fakes import shuffler


def test_a_table(tmp_path: Path) -> None:
    schema, train, holdout = breast_cancer()
    compare(tmp_path, schema, train, holdout, shuffler(train, 200, np.random.default_rng(0)))
    for run in ("first", "second"):
        for stage in (evaluate, audit):
            stage(
                tmp_path / "split",
                tmp_path / "synthetic",
                tmp_path / run / stage.__name__,
                params("tabular"),
            )
    assert digest(tmp_path / "first") == digest(tmp_path / "second")
    families = [m.family for m in read_measurements(tmp_path / "first" / "evaluate")]
    assert list(dict.fromkeys(families)) == ["fidelity", "utility", "diversity"]
    assert {m.family for m in read_measurements(tmp_path / "first" / "audit")} == {"privacy"}
    plots = read_json(tmp_path / "first" / "evaluate" / "plots.json")
    assert set(plots) >= {"columns", "pairs", "giveaways", "utility", "projection"}
    assert len(plots["columns"]) == len(plots["pairs"]["error"]) == 31
    assert set(read_json(tmp_path / "first" / "audit" / "plots.json")) == {
        "attributes",
        "dcr",
        "membership",
    }


def test_images(tmp_path: Path) -> None:
    schema, train, holdout = digits()
    compare(tmp_path, schema, train.slice(0, 200), holdout.slice(0, 100), train.slice(200, 100))
    evaluate(tmp_path / "split", tmp_path / "synthetic", tmp_path / "out", params("image"))
    found = {m.name: m for m in read_measurements(tmp_path / "out")}
    assert found["frechet_distance"].value is not None
    assert found["class_share_error"].value is not None
    plots = read_json(tmp_path / "out" / "plots.json")
    assert [column["name"] for column in plots["columns"]] == ["label"]
    assert {one["column"] for one in plots["giveaways"]} == {"image", "label"}


def test_classes_that_were_balanced_are_no_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def rows(n_f: int, n_m: int) -> pa.Table:
        sexes = ["f"] * n_f + ["m"] * n_m
        return pa.table({"sex": sexes, "age": rng.normal(40, 9, n_f + n_m)})

    real = rows(400, 100)
    compare(tmp_path, schema_of(real, target="sex"), real, rows(200, 50), rows(250, 250))
    record = BalanceRecord(
        method="generate",
        target="sex",
        real_rows=500,
        classes=(
            ClassRecord(value="f", rows=400, wanted=400),
            ClassRecord(value="m", rows=100, wanted=400),
        ),
    )
    (tmp_path / "balanced").mkdir()
    record.save(tmp_path / "balanced")
    asked = params("tabular", ["worst_shape_error"])
    folders = tmp_path / "split", tmp_path / "synthetic"
    evaluate(*folders, tmp_path / "plain", asked)
    evaluate(*folders, tmp_path / "told", asked, tmp_path / "balanced")
    (plain,), (told,) = (read_measurements(tmp_path / name) for name in ("plain", "told"))
    assert plain.value > 29  # 80 : 20 is not 50 : 50
    assert told.value < 10
    assert {p.name for p in tmp_path.iterdir()} == {
        *("split", "synthetic", "balanced", "plain", "told")
    }


def test_only_the_metrics_that_were_asked_for(tmp_path: Path) -> None:
    rows = pa.table({"x": [1.0, 2.0, 3.0]})
    compare(tmp_path, schema_of(rows), rows, rows, rows)
    asked = params("tabular", ["exact_copies"])
    audit(tmp_path / "split", tmp_path / "synthetic", tmp_path / "audit", asked)
    evaluate(tmp_path / "split", tmp_path / "synthetic", tmp_path / "evaluation", asked)
    [found] = read_measurements(tmp_path / "audit")
    assert (found.name, found.value, found.reference) == ("exact_copies", 1.0, 0.666667)
    assert read_measurements(tmp_path / "evaluation") == []


def test_three_rows_have_reasons_instead_of_numbers(tmp_path: Path) -> None:
    rows = pa.table(
        {"x": [1.0, 2.0, 3.0], "empty": pa.nulls(3, pa.float64()), "c": ["a", "a", "a"]}
    )
    compare(tmp_path, schema_of(rows, target="c"), rows, rows, rows)
    evaluate(tmp_path / "split", tmp_path / "synthetic", tmp_path / "out", params("tabular"))
    found = {m.name: m for m in read_measurements(tmp_path / "out")}
    assert found["shape_error"].value == 0
    for name in ("c2st_auc", "utility", "coverage"):
        assert found[name].value is None
        assert found[name].not_applicable


def test_a_fault_leaves_nothing_behind(tmp_path: Path) -> None:
    rows = pa.table({"x": [1.0, 2.0]})
    compare(tmp_path, schema_of(rows), rows, rows, rows)
    out = tmp_path / "out"
    with pytest.raises(ParamsError, match="'unheard_of' unknown"):
        evaluate(tmp_path / "split", tmp_path / "synthetic", out, params("tabular", ["unheard_of"]))
    other = pa.table({"y": [1.0]})
    save(tmp_path / "other", schema_of(other), other)
    with pytest.raises(DataError, match="lacks the columns"):
        audit(tmp_path / "split", tmp_path / "other", out, params("tabular"))
    assert not out.exists()
