"""The benchmarks' own arithmetic; what they measure is not run here, but for our own runner."""

import csv
import json
import sys

import growth
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from harness import figures, made_up, scores
from harness.measured import measure
from harness.systems import SYSTEMS, run
from harness.tables import BOOTSTRAP, Table


def test_a_process_is_measured_as_a_whole():
    held = bytearray(300 * 2**20)  # of the process that asks, not of the measured one
    usage = measure([sys.executable, "-c", "b = b'x' * (64 * 2**20); print('said'); exit(3)"])
    assert len(held) > usage.peak_bytes > 64 * 2**20
    assert usage.exit_status == 3
    assert usage.output == "said\n"
    assert 0 < usage.cpu_seconds <= usage.wall_seconds + 0.5


def test_the_processes_that_a_process_starts_count():
    child = "for i in range(10_000_000): pass"
    usage = measure(
        [
            sys.executable,
            "-c",
            f"import subprocess as s, sys; s.run([sys.executable, '-c', {child!r}])",
        ]
    )
    alone = measure([sys.executable, "-c", "pass"])
    assert usage.cpu_seconds > 1.5 * alone.cpu_seconds


def test_a_process_is_given_up_after_its_processor_time():
    usage = measure([sys.executable, "-c", "while True: pass"], max_cpu_seconds=1)
    assert usage.exit_status == 128 + 24  # SIGXCPU
    assert usage.cpu_seconds == pytest.approx(1, abs=0.5)


def run_of(cpu_seconds: float, mib: float, **more: float) -> dict[str, float]:
    return {"exit_status": 0, "cpu_seconds": cpu_seconds, "peak_bytes": mib * 2**20, **more}


def test_figures_are_medians_of_the_runs():
    runs = {"ours": [run_of(1, 10, mle=0.5), run_of(9, 20, mle=0.7), run_of(2, 90)]}
    assert figures.cost(runs).splitlines()[-1] == "| ours | - | - | - | - | 2.0 | - | 20 |"
    quality = figures.quality(runs, {"real": {"shape_error": 0.5, "mle": None}})
    # Not every run has an `mle`.
    assert quality.splitlines()[2:] == [
        "| real | 0.50 | - | - | - | - | - | - | - | - |",
        "| ours | - | - | - | - | - | - | - | - | - |",
    ]


def test_ratios_say_where_a_system_was_given_up():
    runs = {
        "ours": [run_of(10, 100)],
        "slow": [run_of(55, 250)],
        "slower": [{**run_of(200, 100), "exit_status": 152}],
    }
    assert figures.ratios(runs, "ours") == [
        "slow: 5.5 times our processor time, 2.5 times our memory",
        "slower: at least 20.0 times our processor time, 1.0 times our memory",
    ]
    assert figures.ratios({"slow": runs["slow"]}, "ours") == []


def frame(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_rows_of_files_become_arrays_that_metrics_compare():
    real = frame(size=[1.0, np.nan], kind=["b", "a"])
    other = frame(kind=["c", "b"], size=["1", "none"])  # columns in another order, a bad number
    with scores.compared([real, real, other], ["kind"], "kind") as comparison:
        assert comparison.train.numbers[:, 0] == pytest.approx([1, np.nan], nan_ok=True)
        assert comparison.every["synthetic"].number(0) == pytest.approx([1, np.nan], nan_ok=True)
        assert comparison.train.codes[:, 0].tolist() == [1, 0]
        assert comparison.synthetic.codes[:, 0].tolist() == [2, 1]


def test_frames_become_arrays_that_the_report_compares():
    day = pd.to_datetime(["1970-01-02", None])
    real = pd.DataFrame({"size": [1.0, np.nan], "day": day, "kind": ["b", None]})
    other = pd.DataFrame({"kind": ["c", "b"], "day": day[:2], "size": ["1", "none"]})
    (ours, theirs), n_columns = scores.columns_of([real, other], ["kind"])
    assert n_columns == (2, 1)
    for rows in (ours.rows, theirs.rows):
        assert rows.numbers.ravel() == pytest.approx([1, 86_400, np.nan, np.nan], nan_ok=True)
    assert ours.rows.codes.ravel().tolist() == [0, -1]
    assert theirs.rows.codes.ravel().tolist() == [1, 0]


@pytest.fixture
def table(tmp_path):
    """60 training and 40 test rows: `y` is twice `x`."""
    rng = np.random.default_rng(0)
    for name, n in (("train", 60), ("test", 40)):
        x = rng.normal(size=n).round(6)
        kind = np.where(x > 0, "with, comma", "")
        frame(x=x, kind=kind, y=2 * x).to_csv(tmp_path / f"{name}.csv", index=False)
    files = (tmp_path / "train.csv", tmp_path / "test.csv")
    made = Table("toy", *files, ("kind",), "y", home=tmp_path / "results")
    made.prepare()
    return made


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def test_halves_share_no_row_and_the_bootstrap_is_as_long(table):
    header, *rows = rows_of(table.train)
    seen, unseen = (rows_of(path) for path in table.halves)
    assert seen[0] == unseen[0] == header
    assert sorted(seen[1:] + unseen[1:]) == sorted(rows)
    assert len(seen) == len(unseen) == 31
    drawn = rows_of(table.references[BOOTSTRAP])[1:]
    assert len(drawn) == 60
    assert {tuple(row) for row in drawn} < {tuple(row) for row in rows}


def test_scores_of_the_training_rows_themselves(table):
    found = scores.scores(table.train, table.test, table.train, table.discrete, table.target)
    assert found["trend_error_real_bins"] == 0
    assert found["exact_copies"] == 1
    assert found["exact_copies_test"] == 0
    assert found["mle"] == found["mle_real"]  # RMSE: both learned from the same rows
    assert 0 < found["mle"] < 2


def test_copied_rows_are_closer_to_the_half_that_was_seen(table):
    assert scores.dcr(*table.halves, table.halves[0], table.discrete) > 0.95


def test_any_csv_is_made_fit_for_all_systems(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.tables.HOME", tmp_path)
    days = pd.date_range("2024-01-01", periods=40).strftime("%Y-%m-%d")
    rows = frame(
        key=[f"k{i}" for i in range(40)], day=days, kind=["a", "b"] * 20, n=range(0, 80, 2)
    )
    rows.to_csv(tmp_path / "my.csv", index=False)
    made = Table.of_csv(tmp_path / "my.csv", tmp_path / "my.csv", "n")
    assert made.discrete == ("kind",)
    assert rows_of(made.train)[:2] == [["day", "kind", "n"], ["1704067200", "a", "0"]]
    assert rows_of(made.train) == rows_of(made.test)


def test_our_runner_writes_rows_and_times(table, tmp_path):
    out = tmp_path / "synthetic.csv"
    found = run(SYSTEMS["proofmint"], table.train, out, discrete=table.discrete_file, seed=1)
    assert found["exit_status"] == 0, found.get("output")
    assert len(rows_of(out)) == 61
    parts = found["fit_cpu_seconds"] + found["sample_cpu_seconds"]
    assert 0 < parts < found["cpu_seconds"]
    assert json.loads(table.discrete_file.read_text()) == ["kind"]


def test_growth_is_counted_per_doubling():
    assert growth.per_doubling(10_000, 80_000, 3, 24) == pytest.approx(2)
    assert growth.per_doubling(20, 40, 10, 25) == pytest.approx(2.5)
    assert growth.per_doubling(20, 80, 10, 40) == pytest.approx(2)


def test_made_up_rows_are_mixed_related_and_the_same_every_time():
    schema = made_up.schema_of(20)
    meanings = [column.meaning for column in schema.main.columns]
    assert {m: meanings.count(m) for m in set(meanings)} == {
        "numeric": 8,
        "categorical": 8,
        "datetime": 2,
        "boolean": 2,
    }
    first, again = (pa.Table.from_batches(made_up.rows_of(schema, 60_000)) for _ in range(2))
    assert first.num_rows == 60_000
    assert first.equals(again)
    numbers = first.select([c.name for c in schema.main.columns_of("numeric")]).to_pandas()
    related = numbers.corr("spearman").to_numpy()[np.triu_indices(8, 1)]
    assert np.abs(related).max() > 0.3
