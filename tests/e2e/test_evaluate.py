"""`proofmint evaluate` of three files: a verdict with its proof, or a clear message."""

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tasks.errors import DataError, ParamsError, ProofmintError, SourceError, WorkspaceError
from tasks.evaluation.base import metrics_of
from tasks.metrics import Measurement, read_measurements

ROOT = Path(__file__).parents[2]
RESULT = ["metrics.json", "plots.json", "report.html"]


def people(n_rows: int, seed: int) -> pa.Table:
    """Rows of one population: every kind of column that people bring, with gaps."""
    rng = np.random.default_rng(seed)
    age = rng.gamma(9, 5, n_rows).round().astype(int)
    sector = rng.choice(["shop", "farm", "school", "mine"], n_rows, p=[0.5, 0.3, 0.15, 0.05])
    pay = np.exp(rng.normal(7 + age / 90 + (sector == "mine") * 0.6, 0.4)).round(2)
    is_rich = pay + rng.normal(0, 300, n_rows) > 2000
    days = np.datetime64("2021-01-01") + rng.integers(0, 1200, n_rows)
    return pa.table(
        {
            "key": [f"P-{seed}-{i}" for i in range(n_rows)],
            "age": pa.array(age, mask=rng.random(n_rows) < 0.05),
            "sector": sector,
            "pay": pay,
            "since": pa.array(days),
            "union": rng.random(n_rows) < 0.3,
            "rich": np.where(is_rich, "yes", "no"),
        }
    )


def write(path: Path, rows: pa.Table, delimiter: str = ",") -> Path:
    """A file of the kind that its name says."""
    if path.suffix == ".parquet":
        pq.write_table(rows, path)
        return path
    text = io.StringIO()
    out = csv.writer(text, delimiter=delimiter)
    out.writerow(rows.column_names)
    out.writerows(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three files of three kinds; the synthetic rows are honest."""
    folder = tmp_path_factory.mktemp("files")
    return {
        "real": write(folder / "real.csv.gz", people(400, 1)),
        "holdout": write(folder / "holdout.parquet", people(300, 2)),
        "synthetic": write(folder / "synthetic.csv", people(400, 3), delimiter=";"),
    }


def command(files: dict[str, Path], out: Path, *more: str) -> list[str]:
    options = [text for name, path in files.items() for text in (f"--{name}", str(path))]
    return ["evaluate", *options, "--out", str(out), *more]


def measured(out: Path) -> dict[str, Measurement]:
    return {m.name: m for m in read_measurements(out)}


@pytest.fixture(scope="module")
def evaluated(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """What the command makes of honest rows, in a process and a folder of its own."""
    folder = tmp_path_factory.mktemp("evaluated")
    done = subprocess.run(
        [sys.executable, "-m", "tasks", *command(files, Path("out"), "--target", "rich", "--gate")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in folder.iterdir()] == ["out"]
    return folder / "out", done


def test_honest_rows_pass_and_their_proof_is_whole(evaluated: tuple[Path, Any]) -> None:
    out, done = evaluated
    assert sorted(path.name for path in out.iterdir()) == RESULT
    found = measured(out)
    assert list(found) == list(metrics_of("tabular"))
    families = {m.family for m in found.values() if m.value is not None}
    assert families == {"fidelity", "utility", "diversity", "privacy"}
    assert "PASSED: " in done.stdout
    assert not re.search(r" NO$", done.stdout, re.MULTILINE)
    for m in found.values():
        if m.threshold and m.value is not None:
            assert re.search(rf"^  {m.name} .* yes$", done.stdout, re.MULTILINE), m.name
    assert f"measuring 1 of {len(found)}: " in done.stderr
    # The holdout is Parquet and has its own types; nothing had to be said about it.
    assert "note: " not in done.stderr


def test_the_report_names_the_files_and_needs_nothing_else(evaluated: tuple[Path, Any]) -> None:
    page = (evaluated[0] / "report.html").read_text(encoding="utf-8")
    assert "synthetic.csv" in page
    assert "holdout.parquet" in page
    assert not re.search(r"(src|href)=.https?:", page)
    # No key of a real row, nor where the files lie.
    published = page + (evaluated[0] / "plots.json").read_text(encoding="utf-8")
    assert "P-1-" not in published
    assert "P-2-" not in published
    assert str(evaluated[0].parent) not in published


def test_the_same_files_and_seed_give_the_same_bytes_in_place_of_the_old(
    evaluated: tuple[Path, Any], files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in RESULT:
        (out / name).write_bytes((evaluated[0] / name).read_bytes())
    (out / "plots.json").write_text("{}")
    assert main(command(files, out, "--target", "rich")) == 0
    for name in RESULT:
        assert (out / name).read_bytes() == (evaluated[0] / name).read_bytes(), name
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_copy_is_refused_with_its_reasons_and_the_proof_stays(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = {**files, "synthetic": write(tmp_path / "copy.csv", people(400, 1))}
    assert main(command(copied, tmp_path / "out", "--gate")) == 3
    told = capsys.readouterr()
    reason = r"  exact_copies \(.+\): found 1, allowed at most 0\.\S+, fresh real data reaches 0\S*"
    assert re.search(reason, told.err)
    assert re.search(r"^  exact_copies .* NO$", told.out, re.MULTILINE)
    assert "REFUSED: " in told.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == RESULT
    # No target was named: utility says so, and does not count.
    assert "target" in (measured(tmp_path / "out")["utility"].not_applicable or "")


def test_the_numbers_are_those_of_the_stages(evaluated: tuple[Path, Any], tmp_path: Path) -> None:
    from tests.comparisons import compare, schema_of

    rows = [people(n, seed) for n, seed in ((400, 1), (300, 2), (400, 3))]
    schema = schema_of(rows[0], target="rich", meanings={"key": "identifier"})
    data = compare(tmp_path, schema, rows[0], rows[1], rows[2])
    found = measured(evaluated[0])
    for name in ("shape_error", "trend_error", "exact_copies"):
        outcome = metrics_of("tabular")[name](data)
        assert found[name].value == pytest.approx(outcome.value, rel=1e-5), name
        assert found[name].reference == pytest.approx(outcome.reference, rel=1e-5), name


# --- files that differ in how they are written ---------------------------------------------------


def test_columns_may_be_written_differently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = (
        "n,code,day,flag,when,z\n"
        + "1,A1,2020-01-31,True,03/04/2020,\n2,17,2020-02-01,False,13/04/2020,\n" * 30
    )
    held = (
        "code;z;n;day;flag;when\n"
        + "17;;1;2020-01-31 00:00:00;1;03/04/2020\nA1;;2;2020-02-01 10:00:00;0;04/04/2020\n" * 30
    )
    made = (
        "\ufeffflag,n,code,day,when,z,extra\n"
        + "true,1.0,17,2020-01-31,03/04/2020,,9\nfalse,2.5,18,2020-02-01,05/04/2020,,9\n" * 30
    )
    places = dict(zip(("real", "holdout", "synthetic"), "abc", strict=True))
    paths = {part: tmp_path / f"{name}.csv" for part, name in places.items()}
    for path, text in zip(paths.values(), (real, held, made), strict=True):
        path.write_text(text, encoding="utf-8")
    assert main(command(paths, tmp_path / "out")) == 0
    told = capsys.readouterr().err
    assert "'extra' left out of the comparison" in told
    assert re.search("column 'flag' holds truth values in the real file, whole numbers in", told)
    columns = json.loads((tmp_path / "out" / "plots.json").read_text())["columns"]
    assert {c["name"] for c in columns} >= {"n", "code", "day", "flag", "when"}
    assert {c["name"]: c["meaning"] for c in columns}["when"] == "datetime"


def test_encodings_may_differ(tmp_path: Path) -> None:
    text = "stadt,n\n" + "Zürich,1.5\nGraz,2.5\n" * 30
    paths = {part: tmp_path / f"{part}.csv" for part in ("real", "holdout", "synthetic")}
    for path, encoding in zip(paths.values(), ("utf-8", "cp1252", "utf-16"), strict=True):
        path.write_text(text + ("Graz,3.5\n" if encoding == "utf-16" else ""), encoding=encoding)
    paths["holdout"].write_text(text + "Graz,9.5\n", encoding="cp1252")
    out = tmp_path / "out"
    assert main(command(paths, out)) == SourceError.exit_code
    # Every row repeats here, so that a holdout of the same rows is no sign of a mistake.
    assert main(command(paths, out, "--encoding", "cp1252")) == 0
    columns = json.loads((out / "plots.json").read_text(encoding="utf-8"))["columns"]
    shown = next(c for c in columns if c["name"] == "stadt")
    assert sorted(shown["categories"]) == ["Graz", "Zürich"]


@pytest.mark.parametrize("target", ["one", "empty", "many", "x", "flag"])
def test_odd_columns_are_measured_or_said_not_to_apply(target: str, tmp_path: Path) -> None:
    def rows(seed: int) -> pa.Table:
        rng = np.random.default_rng(seed)
        return pa.table(
            {
                "one": ["always"] * 80,
                "empty": pa.nulls(80, pa.string()),
                "many": [f"v{i}" for i in rng.integers(0, 60, 80)],
                "x": rng.normal(size=80) * 1e12,
                "flag": rng.random(80) < 0.5,
                "huge": pa.array([10**18 + int(i) for i in rng.integers(0, 99, 80)]),
            }
        )

    parts = zip(("real", "holdout", "synthetic"), (1, 2, 3), strict=True)
    paths = {part: write(tmp_path / f"{part}.csv", rows(seed)) for part, seed in parts}
    assert main(command(paths, tmp_path / "out", "--target", target)) == 0
    for m in measured(tmp_path / "out").values():
        assert (m.value is None) == (m.not_applicable is not None), m.name


# --- what cannot be compared ---------------------------------------------------------------------

HEAD = "a,b\n"
ROWS = "1.5,x\n2.5,y\n" * 20
HELD = "1.5,x\n3.5,y\n" * 20
FAULTS: list[tuple[str, str | bytes | None, Sequence[str], type[ProofmintError], str]] = [
    ("real", None, [], SourceError, "expected a file or folder at .*real.csv, found none"),
    ("synthetic", "", [], SourceError, "synthetic.csv, found an empty file"),
    ("synthetic", HEAD, [], SourceError, "expected rows in .*synthetic.csv, found a header only"),
    ("real", HEAD, [], SourceError, "expected rows in .*real.csv, found a header only"),
    ("synthetic", "a,a\n1,2\n", [], SourceError, r"more than one column is named \['a'\]"),
    ("synthetic", HEAD + "1,x\n2\n", [], SourceError, "line 3 has 1 values, expected 2"),
    ("synthetic", "c,d\n1,2\n", [], DataError, "no column in common: .*'a', 'b', found 'c', 'd'"),
    ("synthetic", "a\n1\n2\n", [], DataError, "synthetic.csv lacks 'b' of .*; it has: 'a'"),
    ("holdout", "b\n1\n2\n", [], DataError, "holdout.csv lacks 'a' of .*; it has: 'b'"),
    (
        "synthetic",
        HEAD + "low,x\n" * 9,
        [],
        DataError,
        "column 'a': expected numbers in .*synthetic.csv as in .*real.csv, found text, such as 'low'",
    ),
    ("synthetic", HEAD + "1,2020-01-01\n" * 9, [], DataError, "'b': expected text .*found dates"),
    ("synthetic", HEAD + "1.5,x\n" * 9, [], DataError, "at least 20 rows in .*, found 9"),
    ("synthetic", b"\x89PNG\r\n\x1a\n\0\0", [], SourceError, "is not text in utf-8"),
    ("synthetic", "größe,b\n1,x\n".encode("latin-1"), [], SourceError, "--encoding"),
    ("real", HEAD + ROWS, ["--target", "c"], ParamsError, "'c' is not a column .* it has: a, b"),
    ("real", HEAD + ROWS, ["--seed", "-1"], ParamsError, "--seed from 0 to .*, found -1"),
    ("real", HEAD + HELD, [], ParamsError, "hold the same bytes. --holdout names real rows that"),
    ("real", HEAD + "1.5,x\n" * 30, [], DataError, "expected rows that differ in .*real.csv"),
]


@pytest.mark.parametrize(("part", "content", "options", "error", "message"), FAULTS)
def test_a_fault_is_named_and_nothing_is_written(
    part: str,
    content: str | bytes | None,
    options: Sequence[str],
    error: type[ProofmintError],
    message: str,
    *,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = {name: tmp_path / f"{name}.csv" for name in ("real", "holdout", "synthetic")}
    for name, path in files.items():
        path.write_text(HEAD + (HELD if name == "holdout" else ROWS))
    files[part].unlink()
    if content is not None:
        files[part].write_bytes(content.encode() if isinstance(content, str) else content)
    before = sorted(tmp_path.iterdir())
    assert main(command(files, tmp_path / "out", *options)) == error.exit_code
    assert re.search(message, capsys.readouterr().err)
    assert sorted(tmp_path.iterdir()) == before


def test_a_wrong_type_of_the_holdout_is_named_without_a_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: tmp_path / f"{name}.csv" for name in ("real", "holdout", "synthetic")}
    for path in files.values():
        path.write_text(HEAD + ROWS)
    files["holdout"].write_text(HEAD + "secret,x\n" * 9)
    assert main(command(files, tmp_path / "out")) == DataError.exit_code
    told = capsys.readouterr().err
    assert "column 'a': expected numbers in" in told
    assert "secret" not in told


def test_a_holdout_taken_from_the_real_rows_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = people(300, 1)
    files = {
        "real": write(tmp_path / "real.csv", rows),
        "holdout": write(tmp_path / "holdout.csv", rows.slice(100, 100)),
        "synthetic": write(tmp_path / "synthetic.csv", rows),
    }
    assert main(command(files, tmp_path / "out")) == DataError.exit_code
    assert "100% of the rows of" in capsys.readouterr().err


def test_row_numbers_of_pandas_are_pointed_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: tmp_path / f"{name}.csv" for name in ("real", "holdout", "synthetic")}
    numbered = "".join(f"{i},{line}\n" for i, line in enumerate(ROWS.split()))
    files["real"].write_text(f",{HEAD}{numbered}")
    files["holdout"].write_text(f",{HEAD}{numbered}9,9.5,x\n")
    files["synthetic"].write_text(HEAD + ROWS)
    assert main(command(files, tmp_path / "out")) == DataError.exit_code
    assert "are they row numbers?" in capsys.readouterr().err


def test_a_folder_of_something_else_is_not_replaced(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "metrics.json").write_text("[]")
    (mine / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("")
    for out, message in (
        (mine, "holds something else than an evaluation"),
        (tmp_path / "file", "expected --out to name a folder, found the file"),
    ):
        assert main(command(files, out)) == WorkspaceError.exit_code
        assert message in capsys.readouterr().err
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_the_word_takes_a_dataset_or_files(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = {"real": files["real"], "synthetic": files["synthetic"]}
    for arguments, message in (
        (["evaluate"], "expected a dataset of params.yaml, or --real, --holdout, --synthetic"),
        (["evaluate", "adult", "--gate"], "found both: 'adult' and --gate"),
        (command(some, tmp_path / "out"), "--holdout is missing: it names real rows that"),
        (["evaluate", *command(files, tmp_path)[1:-2]], "missing: --out"),
    ):
        assert main(arguments) == ParamsError.exit_code
        assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
