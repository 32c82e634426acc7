import json
from pathlib import Path

import pytest

from tasks import cli
from tasks.errors import GateRefused, ParamsError, ProofmintError, SourceUnavailable, WorkspaceError
from tasks.workspace import git


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """A command line, in an empty project, whose stage `clean` raises what the test puts here."""
    errors: list[Exception] = []

    def fail(*_: object) -> None:
        raise errors[0]

    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROOFMINT_HOME", raising=False)
    monkeypatch.setattr(cli, "load_dataset", fail)
    return errors


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (GateRefused("no"), 3),
        (ParamsError("no"), 2),
        (SourceUnavailable("no"), 5),
        (OSError(28, "No space left on device"), WorkspaceError.exit_code),
        (KeyboardInterrupt(), 130),
    ],
)
def test_a_fault_ends_in_words_and_its_own_status(
    failing: list[BaseException],
    error: BaseException,
    status: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing.append(error)
    assert cli.main(["clean", "x"]) == status
    assert "Traceback" not in capsys.readouterr().err


def test_a_runner_learns_what_went_wrong(
    failing: list[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cli.FAULT_FILE_VARIABLE, str(tmp_path / "fault.json"))
    failing.append(SourceUnavailable("no answer"))
    cli.main(["clean", "x"])
    assert json.loads((tmp_path / "fault.json").read_text()) == {
        "type": "SourceUnavailable",
        "message": "no answer",
        "retryable": True,
    }


def test_a_crash_keeps_its_traceback_in_a_file(
    failing: list[Exception],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli.tempfile, "tempdir", str(tmp_path))
    failing.append(ZeroDivisionError("oops"))
    assert cli.main(["clean", "x"]) == 1
    assert "internal error: ZeroDivisionError: oops" in capsys.readouterr().err
    (log,) = tmp_path.glob("proofmint-crash-*.log")
    assert "Traceback" in log.read_text()


def test_variables_that_are_set_win_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "env").write_text("PM_TEST_A=file\nPM_TEST_B=a=b\n")
    monkeypatch.setenv("PM_TEST_A", "set")
    monkeypatch.setenv("PM_TEST_B", "x")
    monkeypatch.delenv("PM_TEST_B")
    cli._read_local_environment(tmp_path)
    assert (cli.os.environ["PM_TEST_A"], cli.os.environ["PM_TEST_B"]) == ("set", "a=b")


def test_every_error_has_a_status_of_its_own_family() -> None:
    def family(error: type[ProofmintError]) -> list[type[ProofmintError]]:
        return [error, *(below for sub in error.__subclasses__() for below in family(sub))]

    statuses = {sub.exit_code for sub in ProofmintError.__subclasses__()}
    assert len(statuses) == len(ProofmintError.__subclasses__())
    assert all(error.exit_code > 0 and error.__doc__ for error in family(ProofmintError))
