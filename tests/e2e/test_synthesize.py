"""`proofmint synthesize` as a user runs it: any table in, one like it out, or a clear message."""

import csv
import datetime as dt
import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tasks.cli import main
from tasks.errors import (
    DataError,
    ParamsError,
    ProofmintError,
    SourceError,
    TrainingError,
    WorkspaceError,
)

N_ROWS = 120
ROOT = Path(__file__).parents[2]


def _mixed(rng: np.random.Generator) -> dict[str, list[str]]:
    """One column of every kind that people bring."""
    days = [dt.date(2019, 1, 1) + dt.timedelta(int(d)) for d in rng.integers(0, 1500, N_ROWS)]
    numbers = rng.normal(size=N_ROWS)
    return {
        "id": [str(i + 1) for i in range(N_ROWS)],
        "Straße, Ort": [str(v) for v in rng.choice(["Zürich", "東京", 'a "b", c'], N_ROWS)],
        "zip": [f"{v:05d}" for v in rng.choice([386, 127, 12345], N_ROWS)],
        "flag": [str(v) for v in rng.choice(["TRUE", "FALSE"], N_ROWS)],
        "answer": [str(v) for v in rng.choice(["yes", "no"], N_ROWS)],
        "constant": ["k"] * N_ROWS,
        "empty": [""] * N_ROWS,
        "us": [f"{d:%m/%d/%Y}" for d in days],
        "de": [f"{d:%d.%m.%Y}" for d in days],
        "iso": [f"{d:%Y-%m-%dT09:30:00Z}" for d in days],
        "big": [str(2**62 + int(v)) for v in rng.integers(0, 9, N_ROWS)],
        "price": [f"{v:.2f}" for v in rng.gamma(2, 10, N_ROWS)],
        "number": ["NA" if v > 1 else repr(float(v)) for v in numbers],
        "gaps": ["" if v > 0 else str(int(v * 9)) for v in numbers],
        # What a type alone does not tell: spellings, clocks, zones, what stands for no value.
        "money": [f"${v:,.2f}" for v in 1e4 * np.abs(numbers)],
        "percent": [f"{v:.1f}%" for v in 10 * np.abs(numbers)],
        "scientific": [f"{v:.3e}" for v in numbers**5],
        "us time": [f"{d:%m/%d/%Y} 0{d.day % 9 + 1}:30 PM" for d in days],
        "clock": [f"{d.day % 24:02d}:{d.month:02d}" for d in days],
        "zoned": [f"{d}T10:00:00+05:30" for d in days],
        "month": [f"{d:%d-%b-%y}" for d in days],
        "mail": ["NA" if i % 3 == 0 else f"p{i}@{'ab'[i % 2]}.org" for i in range(N_ROWS)],
        "code": [f"K-{i * 37 % 1000:03d}" for i in range(N_ROWS)],
        "uint": [str(2**63 + int(v * 2**40) % 2**50) for v in np.abs(numbers)],
        "infinite": ["inf" if v > 0.5 else f"{v:.2f}" for v in numbers],
        "note": [f"he said {i} times {i * i}" for i in range(N_ROWS)],
        "": [str(i) for i in range(N_ROWS)],
    }


def _write(path: Path, columns: dict[str, list[str]], delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        out = csv.writer(stream, delimiter=delimiter)
        out.writerow(columns)
        out.writerows(zip(*columns.values(), strict=True))
    return path


def _read(path: Path, delimiter: str = ",") -> dict[str, list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream, delimiter=delimiter)
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    columns = _mixed(np.random.default_rng(0))
    return _write(tmp_path_factory.mktemp("input") / "in.csv", columns)


@pytest.fixture(scope="module")
def output(mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command makes of `mixed`, in a process and a folder of its own."""
    folder = tmp_path_factory.mktemp("output")
    command = [sys.executable, "-m", "tasks", "synthesize", str(mixed), "out.csv"]
    done = subprocess.run(
        [*command, "--target", "flag", "--rows", "300", "--epochs", "3"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "Distance from the real rows" in done.stderr
    assert f"{'infinite'!r}: " in done.stderr
    assert "out.csv: 300 synthetic rows of 27 columns" in done.stderr
    # Neither a repository nor a store nor a draft.
    assert [path.name for path in folder.iterdir()] == ["out.csv"]
    return folder / "out.csv"


def test_the_values_look_like_the_real_ones(mixed: Path, output: Path) -> None:
    real, synthetic = _read(mixed), _read(output)
    assert list(synthetic) == list(real)
    assert {len(values) for values in synthetic.values()} == {300}
    for name in ("Straße, Ort", "zip", "flag", "answer", "constant", "empty"):
        assert set(synthetic[name]) <= set(real[name]), name
    for name, layout in (("us", "%m/%d/%Y"), ("de", "%d.%m.%Y"), ("iso", "%Y-%m-%dT%H:%M:%SZ")):
        for text in synthetic[name]:
            assert dt.datetime.strptime(text, layout).strftime(layout) == text  # noqa: DTZ007
    assert {int(v) for v in synthetic["big"]} <= set(range(2**62, 2**62 + 9))
    assert all(v == f"{float(v):.2f}" for v in synthetic["price"])
    assert "NA" in synthetic["number"]
    assert "" in synthetic["gaps"]
    assert "" not in synthetic["number"]
    assert len(set(synthetic["id"])) == 300


SHAPES = {
    "money": r"\$(\d{1,3}(,\d{3})*\.\d\d)",
    "percent": r"\d+\.\d%",
    "scientific": r"-?\d\.\d{3}e[+-]\d\d",
    "us time": r"[01]\d/[0-3]\d/20\d\d (0\d|1[0-2]):[0-5]\d [AP]M",
    "clock": r"[0-2]\d:[0-5]\d",
    "zoned": r"20\d\d-[01]\d-[0-3]\dT\d\d:\d\d:\d\d\+05:30",
    "month": r"[0-3]\d-[A-Z][a-z]{2}-\d\d",
    "mail": r"NA|p\d+@[ab]\.org",
    "code": r"K-\d+",
    "uint": r"922\d{16}",
    "infinite": r"inf|-?\d+\.\d\d",
    "note": r"\(suppressed\)",
    "": r"-?\d+",
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_spelling_is_kept(mixed: Path, output: Path, name: str) -> None:
    values = _read(output)[name]
    assert [v for v in values if not re.fullmatch(SHAPES[name], v)] == []
    if name in ("mail", "note"):
        assert not (set(values) - {"NA"}) & set(_read(mixed)[name])
    if name in ("mail", "infinite"):
        n_missing = sum(v in ("NA", "inf") for v in values)
        assert 30 < n_missing < 200


@pytest.fixture
def small(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    columns = {
        "a": [f"{v:.3f}".replace(".", ",") for v in rng.normal(size=40)],
        "b": [str(v) for v in rng.choice(["x", "y"], 40)],
    }
    return _write(tmp_path / "small.csv", columns, delimiter=";")


def test_the_seed_decides_and_the_delimiter_stays(small: Path, tmp_path: Path) -> None:
    for name, seed in (("one", "1"), ("again", "1"), ("other", "2")):
        options = ["--seed", seed, "--epochs", "2"]
        assert main(["synthesize", str(small), str(tmp_path / name), *options]) == 0
    one, again, other = ((tmp_path / name).read_bytes() for name in ("one", "again", "other"))
    assert one == again != other
    columns = _read(tmp_path / "one", delimiter=";")
    assert len(columns["b"]) == 40
    assert all("," in value for value in columns["a"])


def test_a_file_is_written_as_it_was_read(tmp_path: Path) -> None:
    lines = "".join(f"{i % 7 / 4:.2f}\t{'äß'[i % 2]}\r\n" for i in range(40))
    for encoding, given in (
        ("utf-16", []),
        ("utf-8-sig", []),
        ("cp1252", ["--encoding", "cp1252"]),
    ):
        source, output = tmp_path / "in.csv.gz", tmp_path / "out.csv.gz"
        source.write_bytes(gzip.compress(f" x\ty \r\n{lines}".encode(encoding)))
        assert main(["synthesize", str(source), str(output), "--epochs", "1", *given]) == 0
        content = gzip.decompress(output.read_bytes())
        assert content[:2] == gzip.decompress(source.read_bytes())[:2]
        header, *rows, end = content.decode(encoding).split("\r\n")
        assert (header, end, len(rows)) == (" x\ty ", "", 40)
        assert all(re.fullmatch(r"\d\.\d\d\t[äß]", row) for row in rows)


def test_every_row_meets_the_conditions(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    columns = {
        "a=b": [str(v) for v in rng.choice(["x", "y"], 60)],
        "when": [f"{v:02d}.01.2020" for v in rng.choice([1, 2, 3], 60)],
        "n": [f"{v:.1f}" for v in rng.normal(size=60)],
    }
    source, output = _write(tmp_path / "in.csv", columns), tmp_path / "out.csv"
    held = ["--condition", "a=b=x", "--condition", "when=2.1.2020"]
    assert main(["synthesize", str(source), str(output), "--epochs", "2", *held]) == 0
    found = _read(output)
    assert (set(found["a=b"]), set(found["when"])) == ({"x"}, {"02.01.2020"})


@pytest.mark.parametrize(
    "columns",
    [
        {"a": ["1"] * 30, "b": ["x"] * 30},
        {"a": [""] * 30, "b": ["NA"] * 30},
        {"who": [f"Ann{i} Lee{i * i}" for i in range(30)]},
        {"key": [f"K{i:03d}" for i in range(0, 90, 3)], "id": [str(i) for i in range(30)]},
    ],
)
def test_a_table_in_which_nothing_varies(columns: dict[str, list[str]], tmp_path: Path) -> None:
    source, output = _write(tmp_path / "in.csv", columns), tmp_path / "out.csv"
    assert main(["synthesize", str(source), str(output)]) == 0
    found = _read(output)
    for name, values in found.items():
        assert len(values) == 30
        assert name not in ("a", "b") or set(values) == set(columns[name])
        assert name not in ("who", "key") or not set(values) & set(columns[name])


def test_an_output_that_exists_is_replaced(small: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("old")
    options = ["--rows", "7", "--epochs", "1"]
    assert main(["synthesize", str(small), str(tmp_path / "out.csv"), *options]) == 0
    assert len(_read(tmp_path / "out.csv", delimiter=";")["a"]) == 7


HEADER = "a,b\n"
ROWS = "1.5,x\n2.5,y\n" * 20


@pytest.mark.parametrize(
    ("content", "options", "error", "message"),
    [
        (None, [], SourceError, "expected a file or folder at .*in.csv, found none"),
        ("", [], SourceError, "found an empty file"),
        (HEADER, [], SourceError, "found a header only"),
        ("a,a\n1,2\n", [], SourceError, r"more than one column is named \['a'\]"),
        ("a,b\n1,2\n3\n", [], SourceError, "line 3 has 1 values, expected 2"),
        (HEADER + "1.5,x\n" * 5, [], DataError, "at least 20 rows .* found 5"),
        (HEADER + ROWS, ["--target", "c"], ParamsError, "'c' is not a column .* it has: a, b"),
        (HEADER + ROWS, ["--rows", "0"], ParamsError, "--rows to be at least 1, found 0"),
        (HEADER + ROWS, ["--seed", "-1"], ParamsError, "--seed from 0 to .*, found -1"),
        (HEADER + ROWS, ["--epochs", "0"], ParamsError, "--epochs from 1 to 100000, found 0"),
        (HEADER + ROWS, ["--condition", "c=1"], ParamsError, "columns a, b, found 'c=1'"),
        (HEADER + ROWS, ["--condition", "a=z"], ParamsError, "a=z: expected .* type double"),
        (
            HEADER + ROWS,
            ["--condition", "b=q", "--epochs", "1"],
            TrainingError,
            "'b' cannot be held at 'q'",
        ),
        (HEADER + ROWS, ["--encoding", "latin-99"], SourceError, "is not text in latin-99"),
        (HEADER + ROWS, ["--generator", "gpt"], ParamsError, "choose one of: .*autoregressive, "),
    ],
)
def test_a_fault_is_named_and_nothing_is_written(
    content: str | None,
    options: list[str],
    error: type[ProofmintError],
    message: str,
    *,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / "in.csv"
    if content is not None:
        source.write_text(content, encoding="utf-8")
    before = sorted(tmp_path.iterdir())
    status = main(["synthesize", str(source), str(tmp_path / "out.csv"), *options])
    assert status == error.exit_code
    assert re.search(message, capsys.readouterr().err)
    assert sorted(tmp_path.iterdir()) == before


def test_places_that_cannot_be_read_or_written(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for source, output, message in (
        (folder, tmp_path / "out.csv", "in one sub-folder per label, found none"),
        (small, folder, "expected a file to write, found the folder"),
        (small, tmp_path / "no" / "out.csv", "make it first"),
        (small, small, "would replace the input"),
    ):
        assert main(["synthesize", str(source), str(output)]) in (5, WorkspaceError.exit_code)
        assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "small.csv"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    assert main(["synthesize", str(small), str(folder / "out.csv")]) == WorkspaceError.exit_code
