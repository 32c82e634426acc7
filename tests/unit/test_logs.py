import json
import subprocess
import sys
from pathlib import Path

import pytest

from tasks import cli, logs
from tasks.errors import DataError, GateRefused, ParamsError, SourceError
from tasks.workspace import git

EMAIL = "anna.meier@example.org"
PASSWORD = "hunter2-is-no-password"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one dataset whose clean data is on disk; nothing of the machine's settings."""
    for name in (logs.FORMAT_VARIABLE, logs.VALUES_VARIABLE, logs.RUN_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    git(tmp_path, "init", "-q")
    entry = {"kind": "tabular", "balance": {"method": "smote"}}
    (tmp_path / "params.yaml").write_text(json.dumps({"datasets": {"patients": entry}}))
    clean = tmp_path / "data" / "patients" / "clean"
    clean.mkdir(parents=True)
    columns = [{"name": "diagnosis"}, {"name": "e-mail"}]
    (clean / "schema.json").write_text(
        json.dumps({"tables": [{"name": "visits", "columns": columns}]})
    )
    monkeypatch.chdir(tmp_path)
    logs._names.cache_clear()
    return tmp_path


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            f"row 17 of table 'visits': expected a number in column 'diagnosis', found '{EMAIL}'",
            "row 17 of table 'visits': expected a number in column 'diagnosis', found (withheld)",
        ),
        (
            'column "diagnosis": expected \'smote\', found "it\'s benign"',
            "column \"diagnosis\": expected 'smote', found (withheld)",
        ),
        (
            f"the database refused visits: DETAIL:  Key (e-mail)=({EMAIL}) already exists.",
            "the database refused visits: DETAIL:  Key (e-mail)=(withheld) already exists.",
        ),
        (
            "DETAIL:  Failing row contains (7, Anna, benign).",
            "DETAIL:  Failing row contains (withheld)",
        ),
        (
            "  - diagnosis: is one of: B, M; found: 3 of 569 rows do not (found X, Y)",
            "  - diagnosis: is one of: B, M; found: 3 of 569 rows do not (found values are withheld)",
        ),
        ("2 of 9 rows do not, for example age 7", "2 of 9 rows do not, for example (withheld)"),
        (f"cannot read: {EMAIL} called +44 20 7946 0958", "cannot read: <EMAIL> called <PHONE>"),
        (
            "the dataset's rows aren't there; released v3 at 4ea4859a0fe8, 1,797 rows",
            "the dataset's rows aren't there; released v3 at 4ea4859a0fe8, 1,797 rows",
        ),
    ],
)
@pytest.mark.usefixtures("project")
def test_where_values_are_withheld_the_place_stays(
    message: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert logs.cleaned(message, dataset="patients") == message
    monkeypatch.setenv(logs.VALUES_VARIABLE, "withheld")
    assert logs.cleaned(message, dataset="patients") == said


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("values", ["shown", "withheld"])
def test_secrets_are_never_said(values: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(logs.VALUES_VARIABLE, values)
    monkeypatch.setenv("SOURCE", f"postgresql://reader:{PASSWORD}%21@db.example/shop")
    monkeypatch.setenv("SMTP_PASSWORD", "correct horse")
    message = f"login failed for reader, {PASSWORD}! and correct horse, at http://u:pw@host/x"
    said = logs.cleaned(message)
    assert said == "login failed for reader, *** and ***, at http://***@host/x"


def test_a_command_says_and_tells_its_runner_the_same_clean_words(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise DataError(f"row 3 of 'visits': found '{EMAIL}'")

    monkeypatch.setattr(cli, "load_dataset", fail)
    monkeypatch.setenv(cli.FAULT_FILE_VARIABLE, str(project / "fault.json"))
    assert cli.main(["clean", "patients"]) == 4
    assert EMAIL in capsys.readouterr().err
    monkeypatch.setenv(logs.VALUES_VARIABLE, "withheld")
    assert cli.main(["clean", "patients"]) == 4
    told = json.loads((project / "fault.json").read_text())["message"]
    assert told == (
        "row 3 of 'visits': found (withheld) (run the command at a terminal to be shown what is"
        " withheld here)"
    )
    assert capsys.readouterr().err == f"error: {told}\n"


def test_settings_are_quoted_also_where_values_are_withheld(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del project
    monkeypatch.setenv(logs.VALUES_VARIABLE, "withheld")
    assert "'smoote'" in logs.message_of(ParamsError("no method 'smoote'"), "patients")
    for error in (SourceError("found 'Anna'"), GateRefused("found 'Anna'")):
        assert "Anna" not in logs.message_of(error, "patients")


SCRIPT = """
import logging, sys, warnings
from tasks import logs
logs.configure("clean", "patients")
logging.getLogger("tasks.cleaning").info("dropped %d rows of 'visits', one with 'Anna'", 3)
logging.getLogger("elsewhere").warning("two\\nlines")
warnings.warn("odd", stacklevel=1)
print(logs.last_words("error", "it failed", "clean", "patients"), file=sys.stderr)
"""


def test_lines_of_json_hold_who_said_it_when_and_about_what(project: Path) -> None:
    repository = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=project,
        env={
            "PYTHONPATH": str(repository),
            logs.FORMAT_VARIABLE: "json",
            logs.VALUES_VARIABLE: "withheld",
            logs.RUN_VARIABLE: "scheduled__2026-11-21",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    about = {"dataset": "patients", "stage": "clean", "run": "scheduled__2026-11-21"}
    assert all(line.items() >= about.items() and line["time"].endswith("+00:00") for line in lines)
    assert [(line["level"], line["message"]) for line in lines if "odd" not in line["message"]] == [
        ("info", "dropped 3 rows of 'visits', one with (withheld)"),
        ("warning", "two\nlines"),
        ("error", "it failed"),
    ]


@pytest.mark.usefixtures("project")
def test_another_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(logs.FORMAT_VARIABLE, "yaml")
    assert cli.main(["clean", "patients"]) == 2
    assert "expected PROOFMINT_LOG_FORMAT to be one of text, json" in capsys.readouterr().err
