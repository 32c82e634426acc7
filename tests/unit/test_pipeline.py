from pathlib import Path

import pytest

from tasks.pipeline import Dataset, PipelineError, load, load_each

FORM = "generator: g, seed: 0, generator_params: {}, train: {}, sample: {}, publish: {}"
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


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"params\.yaml"):
        load(tmp_path)
