from pathlib import Path

import pytest

from tasks.operation import AlertParams
from tasks.pipeline import (
    LONGEST_DEADLINE_MINUTES,
    Dataset,
    PipelineError,
    load,
    load_each,
)

FORM = "generator: g, seed: 0, generator_params: {}, train: {}, sample: {}, publish: {}"
FORM_OF_LINES = "".join(
    f"    {line}\n" for line in (*FORM.split(", "), "kind: tabular", "source: {type: sql}")
)
PARAMS = f"datasets:\n  a: {{kind: tabular, source: {{type: sql}}, {FORM}}}\n"
STAGES = """
stages:
  first:
    foreach: ${datasets}
    do:
      desc: Do it
      cmd: run ${key}
      always_changed: true
      deps:
        - code/${item.source.type}.py
      outs:
        - out/${key}/one
      meta:
        airflow: {pool: gpu, retries: 2}
  second:
    foreach: ${datasets}
    do:
      cmd: run ${key} again
      deps:
        - out/${key}/one/part
      outs:
        - out/${key}/two
"""


def project(root: Path, stages: str = STAGES, params: str = PARAMS) -> Path:
    (root / "dvc.yaml").write_text(stages)
    (root / "params.yaml").write_text(params)
    return root


def test_a_template_is_filled_for_each_dataset(tmp_path: Path) -> None:
    first, second = load(project(tmp_path))["a"].stages
    assert (first.address, first.command, first.description) == ("first@a", "run a", "Do it")
    assert (first.deps, first.outs) == (("code/sql.py",), ("out/a/one",))
    assert first.always_changed
    assert first.airflow == {"pool": "gpu", "retries": 2}
    assert (second.airflow, second.always_changed) == ({}, False)


def test_a_part_of_an_output_makes_an_edge(tmp_path: Path) -> None:
    assert load(project(tmp_path))["a"].edges() == {("first", "second")}


@pytest.mark.parametrize(
    ("stages", "params", "message"),
    [
        (STAGES, PARAMS.replace("type: sql", ""), r"\$\{item.source.type\} is not in"),
        (STAGES, PARAMS.replace("train: {}, ", ""), r"datasets\.a\.train .* expected a dict"),
        (STAGES, "datasets:\n  a:\n", r"datasets\.a\.kind .* expected a str, found None"),
        (STAGES, "datasets: [a]\n", "expected datasets:"),
        (STAGES, ": : :", "cannot read"),
        (STAGES, "datasets: {a: {day: 2026-02-31}}", "cannot read"),
        (STAGES, PARAMS.replace("publish: {}", "publish: {to: x}"), r"to .* expected \[\{type"),
        (STAGES, PARAMS.replace("sql}", "sql, connection: [x]}"), r"connection .* expected a name"),
        (STAGES, PARAMS.replace("seed: 0", 'seed: 0, x: "a\\0"'), r"expected text, found 'a\\x00'"),
        (STAGES, "just text", "to be a mapping, found str"),
        ("stages:\n  one: {cmd: x}\n", PARAMS, "to have `foreach"),
        ("", PARAMS, "to be a mapping, found NoneType"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, stages: str, params: str, message: str
) -> None:
    with pytest.raises(PipelineError, match=message):
        load(project(tmp_path, stages, params))


def test_a_wrong_entry_does_not_stop_the_others(tmp_path: Path) -> None:
    found = load_each(project(tmp_path, params=PARAMS + "  b: {kind: 7}\n"))
    assert isinstance(found["a"], Dataset)
    assert "datasets.b.kind" in str(found["b"])


def test_an_entry_that_is_like_no_other_does_not_stop_the_others(tmp_path: Path) -> None:
    params = PARAMS + "  b: &b {kind: *b}\n  2024: {}\n  c: &c\n" + FORM_OF_LINES + "    x: *c\n"
    found = load_each(project(tmp_path, params=params))
    assert isinstance(found.pop("a"), Dataset)
    assert list(found) == ["b", "2024", "c"]
    assert all(isinstance(fault, PipelineError) for fault in found.values())
    assert "datasets.c in params.yaml cannot be read (RecursionError" in str(found["c"])


def test_a_deadline_is_bounded_alike_for_dags_and_for_runs() -> None:
    schema = AlertParams.model_json_schema()["properties"]["deadline_minutes"]
    assert LONGEST_DEADLINE_MINUTES in {choice.get("maximum") for choice in schema["anyOf"]}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"params\.yaml"):
        load(tmp_path)
