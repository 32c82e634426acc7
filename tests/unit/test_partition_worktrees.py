"""The worktree of a partition: an ordinary dataset, made from the entry of the partitioned one."""

import json
from pathlib import Path

import pytest
import yaml

from tasks import pipeline
from tasks.errors import ParamsError
from tasks.params import load_dataset
from tasks.pipeline import PipelineError
from tasks.workspace import Layout, git
from tasks.worktrees import narrow, open_worktree, uncommitted
from tests.projects import copy_project

PARTITION = {"column": "ordered_on", "by": "month", "timezone": "Europe/Berlin"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of this project whose first dataset is partitioned."""
    root = copy_project(tmp_path / "project")
    change(root, partition=PARTITION)
    return root


def change(root: Path, **settings: object) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["datasets"]["breast_cancer"] |= settings
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    git(root, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qam", "change")


def test_a_partition_is_an_ordinary_dataset_in_its_worktree(project: Path) -> None:
    name = "breast_cancer__2026_03"
    worktree = open_worktree(project, name, "a run", {"seed": 7})
    params = load_dataset(worktree.path / "params.yaml", name)
    whole = load_dataset(project / "params.yaml", "breast_cancer")
    assert params.partition is None
    assert params.seed == 7
    assert params.source.settings == {
        **whole.source.settings,
        "between": {
            "column": "ordered_on",
            "start": "2026-03-01",
            "end": "2026-04-01",
            "timezone": "Europe/Berlin",
        },
    }
    assert params.publish.title == f"{whole.publish.title}, 2026-03"
    assert params.publish.description.endswith("Rows from 2026-03-01 to before 2026-04-01.")
    assert list(pipeline.load(worktree.path)) == [name]
    assert worktree.uncommitted == ()
    # Its settings and suites were made for it, and are no change that a person forgot to commit.
    assert uncommitted(worktree.path, name) == ("params.yaml",)


def test_its_suites_are_those_of_the_dataset_under_its_name(project: Path) -> None:
    worktree = open_worktree(project, "breast_cancer__2026_03", "a run")
    own, whole = (Layout(worktree.path, n) for n in ("breast_cancer__2026_03", "breast_cancer"))
    assert len(own.suites) == 3
    for path, other in zip(own.suites, whole.suites, strict=True):
        suite, original = json.loads(path.read_text()), json.loads(other.read_text())
        assert suite == {**original, "name": path.stem}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("breast_cancer__2026", "such as 2026-03; found '2026'"),
        ("breast_cancer__2026_13", "found '2026-13': there is no such month"),
        ("digits__2026_03", "to say `partition:`"),
        ("nobody__2026_03", "has no dataset 'nobody__2026_03'"),
    ],
)
def test_what_is_no_partition_is_refused(project: Path, name: str, told: str) -> None:
    with pytest.raises(ParamsError, match=told):
        narrow((project / "params.yaml").read_text(), name)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"partition": {"column": "d"}}, "by: day|week|month|year"),
        ({"partition": "monthly"}, "by: day|week|month|year"),
        ({"partition": PARTITION | {"timezone": "Berlin"}}, "Europe/Berlin, found 'Berlin'"),
        ({"partition": PARTITION, "schedule": "@once"}, "times that come again"),
    ],
)
def test_a_section_that_cannot_be_scheduled_is_told_of_where_people_look(
    project: Path, settings: dict[str, object], told: str
) -> None:
    change(project, **settings)
    found = pipeline.load_each(project)["breast_cancer"]
    assert isinstance(found, PipelineError)
    assert told in str(found)


def test_a_dataset_may_not_be_called_like_a_partition(project: Path) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("  digits:", "  digits__2026_03:"))
    found = pipeline.load_each(project)["digits__2026_03"]
    assert isinstance(found, PipelineError)
    assert "give the dataset another" in str(found)


def test_an_entry_in_the_place_of_a_partition_is_told_of_to_its_runs(project: Path) -> None:
    name = "breast_cancer__2026_03"
    content = yaml.safe_load((project / "params.yaml").read_text())
    content["datasets"][name] = content["datasets"]["digits"]
    (project / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(ParamsError, match="give the dataset another"):
        open_worktree(project, name, "a run")


@pytest.mark.parametrize("other", ["watermark", "between"])
def test_a_partition_is_read_whole(project: Path, other: str) -> None:
    content = yaml.safe_load((project / "params.yaml").read_text())
    content["datasets"]["breast_cancer"]["source"][other] = "ordered_on"
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ParamsError, match=f"either partition or source.{other}"):
        load_dataset(project / "params.yaml", "breast_cancer")
