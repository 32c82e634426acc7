"""Names at the doors where they become a path, a statement, a ref, a shell's word or a YAML key."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tasks.commands.add import add
from tasks.errors import ParamsError, SchemaError, SourceError
from tasks.params import parse
from tasks.pipeline import PipelineError, load_each
from tasks.sources.sql import SqlSource
from tasks.versions import (
    Version,
    Withdrawal,
    commit_files,
    newest,
    publish_version,
    withdraw_version,
)
from tasks.workspace import git
from tasks.worktrees import narrow, path_of
from tests.projects import REPOSITORY
from tests.security.hostile import ATTACKS, no_nuls, texts

ENTRY = yaml.safe_load((REPOSITORY / "params.yaml").read_text())["datasets"]["breast_cancer"]


def is_accepted(name: str) -> bool:
    """Whether params.yaml may hold a dataset of this name."""
    try:
        parse({"datasets": {name: ENTRY}}, "test")
    except ParamsError:
        return False
    return True


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our dvc.yaml."""
    root = tmp_path_factory.mktemp("project")
    shutil.copy(REPOSITORY / "dvc.yaml", root)
    return root


@given(name=texts | st.from_regex(r"[a-z][a-z0-9_]{0,70}\n?", fullmatch=True))
@example("adult\n")
@example("a" * 63)
@example("a" * 64)
@example("ａdult")
@settings(max_examples=60)
def test_a_dataset_s_name_is_the_same_to_all_who_read_it(project: Path, name: str) -> None:
    (project / "params.yaml").write_text(yaml.safe_dump({"datasets": {name: ENTRY}}))
    (found,) = load_each(project).values()
    accepted = is_accepted(name)
    assert accepted == (not isinstance(found, PipelineError))
    if accepted:
        assert name.replace("_", "").isalnum()
        assert name.isascii()
        for stage in found.stages:  # type: ignore[union-attr]
            assert not set(stage.command) & set("'\"`$;|&<>\\\n")


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_is_a_dataset_s_name(attack: str) -> None:
    assert is_accepted(attack) == (attack in ("null", "yes"))  # two words like any other


def test_a_name_that_is_wrong_stops_no_other_dag_and_runs_nothing(tmp_path: Path) -> None:
    names = [*ATTACKS, "PROJECT", "load_each", "1", "a/b"]
    for folder in ("dags", "plugins", "tasks"):
        shutil.copytree(
            REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(REPOSITORY / "dvc.yaml", tmp_path)
    datasets = {"first": ENTRY, **dict.fromkeys(names, ENTRY), 7: ENTRY, "last": ENTRY}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"datasets": datasets}, sort_keys=False))
    code = """
import json, runpy, sys
sys.path[:0] = ["plugins", "."]
import airflow.sdk
found = runpy.run_path("dags/dataset_factory.py")
dags = [value for value in found.values() if isinstance(value, airflow.sdk.DAG)]
print(json.dumps({dag.dag_id: sorted(dag.task_dict) for dag in dags}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "AIRFLOW_HOME": str(tmp_path / "airflow")},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    dags = json.loads(done.stdout.splitlines()[-1])
    whole = {name for name, tasks in dags.items() if tasks != ["explain"]}
    assert whole == {"first", "last", "null", "yes", "load_each"}
    assert not list(tmp_path.rglob("pwned"))


@given(run_id=texts)
def test_a_run_s_id_is_one_folder(run_id: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.getbasetemp()
    place = path_of(root, "adult", run_id)
    assert place.parent == root / ".proofmint" / "worktrees" / "adult"
    assert place.name.isascii()
    assert ".." not in place.name


@given(title=no_nuls.filter(lambda text: text.isprintable()), other=no_nuls)
@settings(max_examples=40)
def test_settings_of_one_dataset_stay_its_own(title: str, other: str) -> None:
    """A worktree's params.yaml is a copy with one dataset: no text of it becomes YAML."""
    entry = {**ENTRY, "publish": {**ENTRY["publish"], "title": title, "description": other}}
    text = yaml.safe_dump({"datasets": {"adult": entry, "another": ENTRY}}, allow_unicode=True)
    assert yaml.safe_load(narrow(text, "adult")) == {
        "datasets": {"adult": yaml.safe_load(text)["datasets"]["adult"]}
    }


# --- SQL --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(postgres_server):
    postgres_server.create_database("hostile")
    engine = sa.create_engine(postgres_server.url("hostile"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE victims (id int)")
        connection.exec_driver_sql("INSERT INTO victims VALUES (1)")
    yield engine
    engine.dispose()


def fits(name: str) -> bool:
    return 0 < len(name.encode()) < 64


@given(
    table=no_nuls.filter(fits),
    columns=st.lists(no_nuls.filter(fits), min_size=1, max_size=3, unique=True),
    value=no_nuls,
)
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@example('"; DROP TABLE victims; --', ["'; DROP TABLE victims; --", "%s%n%(x)s"], "=1+1")
@example("a.b", ["${x}", ":x", "{0.__class__}"], "\\")
def test_names_of_a_database_are_names(engine, table: str, columns: list[str], value: str) -> None:
    made = sa.Table(table, sa.MetaData(), *(sa.Column(name, sa.Text) for name in columns))
    made.create(engine)
    with engine.begin() as connection:
        connection.execute(made.insert().values([[value] * len(columns)]))
    try:
        found = read(engine, table)
    except (SchemaError, SourceError, ParamsError):
        found = None  # a name that cannot be a folder's is refused
    made.drop(engine)
    assert found in (None, [dict.fromkeys(columns, value)])
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT id FROM victims").scalar() == 1


def read(engine: sa.Engine, table: str) -> list[dict[str, str]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DB", engine.url.render_as_string(hide_password=False))
        settings = {"connection": "DB", "table": table}
        with SqlSource(settings, kind="tabular", target=None, project=Path()) as source:
            name = source.schema().main.name
            return pa.Table.from_batches(source.read(name)).to_pylist()


# --- git --------------------------------------------------------------------------------------


def test_no_reason_of_a_withdrawal_can_tell_another_story(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    git(
        tmp_path,
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "x",
    )
    head, previous = git(tmp_path, "rev-parse", "HEAD"), None
    for number, attack in enumerate([*ATTACKS, "Digest: 0\nRows: 7", "a\n\n{}\n\nb"], start=1):
        reason = " ".join(attack.split()) or "-"
        commit = commit_files(tmp_path, head, [previous or head], {"n": f"{number}\n"}, "x\n")
        version = Version("adult", number, commit, "r", "d" * 64, 1, "passed", "now")
        publish_version(tmp_path, version, previous)
        withdraw_version(tmp_path, version, Withdrawal(reason, "Ada <a@b>", "now", "{}\n"))
        found = newest(tmp_path, "adult")
        assert found is not None
        assert found.withdrawn == Withdrawal(reason, "Ada <a@b>", "now", "{}\n")
        assert (found.number, found.rows, found.digest) == (number, 1, "d" * 64)
        previous = commit


# --- files of somebody else's making ----------------------------------------------------------


def test_a_file_s_name_and_header_add_a_dataset_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"datasets": {"mine": ENTRY}}))
    monkeypatch.chdir(tmp_path)
    header = [
        attack for attack in ATTACKS if attack.strip() and '"' not in attack and "\n" not in attack
    ]
    lines = [",".join(f'"{name}"' for name in header)]
    lines += [",".join(f'"{(i * 7 + j) % 13}"' for j in range(len(header))) for i in range(60)]
    source = tmp_path / "$(touch pwned); <b>&'--x.csv"
    source.write_text("\n".join(lines) + "\n")
    for attack in [*ATTACKS, "them\n"]:
        if not is_accepted(attack):
            with pytest.raises(ParamsError):
                add(str(source), tmp_path, name=attack)
    assert add(str(source), tmp_path, name="them") == 0
    datasets = yaml.safe_load((tmp_path / "params.yaml").read_text())["datasets"]
    assert datasets.keys() == {"mine", "them"}
    assert datasets["mine"] == ENTRY
    suites = sorted((tmp_path / "great_expectations").rglob("*.json"))
    assert suites
    assert all(json.loads(path.read_text()) for path in suites)
    assert not list(tmp_path.rglob("pwned"))


def test_no_page_in_airflow_shows_a_text_unescaped() -> None:
    folder = REPOSITORY / "plugins" / "proofmint_pages"
    assert "autoescape=True" in (folder / "pages.py").read_text()
    for path in [*folder.rglob("*.j2"), *folder.rglob("*.py")]:
        text = path.read_text()
        assert not re.search(r"\|\s*safe\b|autoescape false|Markup\(|render_template_string", text)
    for path in folder.rglob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|document\.write|\beval\(", path.read_text())
